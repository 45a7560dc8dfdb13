"""The batch of a step depends on store, seed and step only."""

import numpy as np
import pytest

from translator.config.schema import TokenizerConfig
from translator.data.batch_schedule import BatchSchedule
from translator.data.batches import Batch, batch, pad, pad_rows
from translator.data.concatenation import Concatenation
from translator.data.corpus import Pair
from translator.data.store import Store, open_store
from translator.data.subword_sampling import SubwordSampling
from translator.data.tokenizer import Tokenizer, train_tokenizer

BUDGET = 64
LENGTHS = np.random.default_rng(5).integers(2, 40, size=300)


def epoch(schedule: BatchSchedule, number: int) -> list[list[int]]:
    first = number * schedule.batches_per_epoch
    return [schedule.rows(first + i).tolist() for i in range(schedule.batches_per_epoch)]


@pytest.fixture
def schedule() -> BatchSchedule:
    return BatchSchedule(LENGTHS, BUDGET, seed=1)


class TestBatchSchedule:
    @pytest.mark.parametrize("number", [0, 1, 7])
    def test_has_every_pair_exactly_once_per_epoch(
        self, schedule: BatchSchedule, number: int
    ) -> None:
        rows = [row for batch in epoch(schedule, number) for row in batch]
        assert sorted(rows) == list(range(300))

    def test_has_no_empty_batch(self, schedule: BatchSchedule) -> None:
        assert all(epoch(schedule, 0))

    @pytest.mark.parametrize("budget", [40, BUDGET, 1000, 10**6])
    def test_keeps_the_budget_in_pieces(self, budget: int) -> None:
        schedule = BatchSchedule(LENGTHS, budget, seed=1)
        sizes = [len(rows) * LENGTHS[rows].max() for rows in epoch(schedule, 0)]
        assert max(sizes) <= budget

    def test_fills_most_of_the_budget(self) -> None:
        lengths = np.repeat(LENGTHS, 20)
        schedule = BatchSchedule(lengths, 1024, seed=1)
        assert lengths.sum() / (1024 * schedule.batches_per_epoch) > 0.85

    def test_gives_a_pair_longer_than_the_budget_a_batch_of_its_own(self) -> None:
        schedule = BatchSchedule(np.array([3, 90, 80, 3]), BUDGET, seed=1)
        assert sorted(map(sorted, epoch(schedule, 0))) == [[0, 3], [1], [2]]

    def test_pads_little(self, schedule: BatchSchedule) -> None:
        padded = sum(len(rows) * LENGTHS[rows].max() for rows in epoch(schedule, 0))
        assert LENGTHS.sum() / padded > 0.9

    def test_shuffles_every_epoch_differently(self, schedule: BatchSchedule) -> None:
        first, second = epoch(schedule, 0), epoch(schedule, 1)
        assert first != second
        assert {frozenset(rows) for rows in first} != {frozenset(rows) for rows in second}

    def test_lengths_are_in_random_order(self, schedule: BatchSchedule) -> None:
        longest = [LENGTHS[rows].max() for rows in epoch(schedule, 0)]
        assert longest != sorted(longest)

    def test_depends_on_the_seed(self, schedule: BatchSchedule) -> None:
        assert epoch(schedule, 0) != epoch(BatchSchedule(LENGTHS, BUDGET, seed=2), 0)

    def test_any_step_is_computed_without_earlier_ones(self, schedule: BatchSchedule) -> None:
        steps = [10**6, 3, 10**6 + 1, 0, 2 * schedule.batches_per_epoch, 3]
        expected = [schedule.rows(step).tolist() for step in steps]
        for step, rows in reversed(list(zip(steps, expected, strict=True))):
            assert BatchSchedule(LENGTHS, BUDGET, seed=1).rows(step).tolist() == rows

    def test_keeps_no_memory_of_earlier_epochs(self, schedule: BatchSchedule) -> None:
        first = epoch(schedule, 0)
        for number in range(50):
            schedule.rows(number * schedule.batches_per_epoch)
        assert epoch(schedule, 0) == first

    def test_of_one_pair_repeats_it(self) -> None:
        schedule = BatchSchedule(np.array([5]), BUDGET, seed=1)
        assert schedule.batches_per_epoch == 1
        assert [schedule.rows(step).tolist() for step in range(3)] == [[0]] * 3


WORDS = ["the", "station", "is", "near", "a", "hotel", "and", "Anna", "reads", "one", "book"]
PAIRS = [Pair(" ".join(WORDS), " ".join(reversed(WORDS)))] + [
    Pair(" ".join(WORDS[i % 5 : i % 11 + 2]) or "yes", " ".join(WORDS[i % 7 : i % 13 + 3]) or "no")
    for i in range(60)
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    config = TokenizerConfig(vocabulary_size=300, joint=False)
    return train_tokenizer(config, lambda: PAIRS, 1, lambda _: None)


@pytest.fixture(scope="module")
def store(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("store") / "s"
    return open_store(folder, lambda: PAIRS, tokenizer, max_length=90, keep_text=True)


@pytest.fixture
def store_schedule(store: Store) -> BatchSchedule:
    return BatchSchedule(np.maximum(store.source.lengths, store.target.lengths) + 1, 256, seed=3)


def rows_of(array: np.ndarray) -> list[list[int]]:
    return [[i for i in row if i != 0] for row in array.tolist()]


def sampling(seed: int) -> SubwordSampling:
    return SubwordSampling("unigram", 0.2, seed, max_length=99)


class TestBatch:
    def test_holds_the_pairs_of_its_step(
        self, store: Store, tokenizer: Tokenizer, store_schedule: BatchSchedule
    ) -> None:
        [whole] = batch(store, tokenizer, store_schedule, 4)
        rows = store_schedule.rows(4)
        assert rows_of(whole.source) == [[*store.source.ids(row), 3] for row in rows]
        assert rows_of(whole.labels) == [[*store.target.ids(row), 3] for row in rows]
        assert rows_of(whole.target) == [[2, *store.target.ids(row)] for row in rows]

    def test_keeps_the_budget(
        self, store: Store, tokenizer: Tokenizer, store_schedule: BatchSchedule
    ) -> None:
        for step in range(store_schedule.batches_per_epoch):
            [whole] = batch(store, tokenizer, store_schedule, step)
            assert max(whole.source.size, whole.target.size) <= 256

    @pytest.mark.parametrize("num_shards", [2, 3, 100])
    @pytest.mark.parametrize("sampled", [False, True])
    def test_is_the_concatenation_of_its_shards(
        self,
        store: Store,
        tokenizer: Tokenizer,
        store_schedule: BatchSchedule,
        num_shards: int,
        sampled: bool,
    ) -> None:
        drawn = sampling(9) if sampled else None
        [whole] = batch(store, tokenizer, store_schedule, 4, 1, drawn)
        shards = batch(store, tokenizer, store_schedule, 4, num_shards, drawn)
        assert len(shards) == min(num_shards, len(whole.source))
        sizes = [len(shard.source) for shard in shards]
        assert max(sizes) - min(sizes) <= 1
        for name in Batch._fields:
            joined = [row for shard in shards for row in rows_of(getattr(shard, name))]
            assert joined == rows_of(getattr(whole, name))
        assert sum(s.num_target_tokens for s in shards) == whole.num_target_tokens

    def test_with_sampling_depends_on_seed_and_step_only(
        self, store: Store, tokenizer: Tokenizer, store_schedule: BatchSchedule
    ) -> None:
        def drawn(step: int, seed: int) -> list[list[list[int]]]:
            [found] = batch(store, tokenizer, store_schedule, step, 1, sampling(seed))
            return [rows_of(array) for array in found]

        first = drawn(4, 1)
        drawn(5, 1)
        assert drawn(4, 1) == first
        assert drawn(4, 2) != first

    def test_with_sampling_contains_the_same_text(
        self, store: Store, tokenizer: Tokenizer, store_schedule: BatchSchedule
    ) -> None:
        [found] = batch(store, tokenizer, store_schedule, 4, 1, sampling(1))
        texts = [store.source.text(row) for row in store_schedule.rows(4)]
        assert tokenizer.source.decode([row[:-1] for row in rows_of(found.source)]) == texts

    @pytest.mark.parametrize("num_shards", [1, 3])
    def test_with_concatenation_has_half_the_pairs_and_all_the_pieces(
        self, store: Store, tokenizer: Tokenizer, store_schedule: BatchSchedule, num_shards: int
    ) -> None:
        [apart] = batch(store, tokenizer, store_schedule, 4)
        always = Concatenation(rate=1.0, seed=1, max_length=300)
        shards = batch(store, tokenizer, store_schedule, 4, num_shards, concatenation=always)
        pairs = list(zip(rows_of(apart.source), rows_of(apart.labels), strict=True))
        found = [
            pair
            for shard in shards
            for pair in zip(rows_of(shard.source), rows_of(shard.labels), strict=True)
        ]
        assert len(found) == (len(pairs) + 1) // 2
        [first_source, first_labels], [second_source, second_labels] = pairs[:2]
        assert found[0] == (first_source[:-1] + second_source, first_labels[:-1] + second_labels)

    def test_segmentation_differs_between_steps(self, store: Store, tokenizer: Tokenizer) -> None:
        schedule = BatchSchedule(np.array([30]), 256, seed=3)  # of the first pair, again and again
        drawn = [batch(store, tokenizer, schedule, step, 1, sampling(1))[0] for step in range(9)]
        assert len({str(rows_of(found.source)) for found in drawn}) > 1


def test_padding_comes_after_the_end() -> None:
    small = pad([np.array([7]), np.array([7, 8, 9])], [np.array([5, 6]), np.array([], int)])
    assert small.source.tolist() == [[7, 3, 0, 0], [7, 8, 9, 3]]
    assert small.target.tolist() == [[2, 5, 6], [2, 0, 0]]
    assert small.labels.tolist() == [[5, 6, 3], [3, 0, 0]]
    assert small.source.dtype == np.int32
    assert small.num_target_tokens == 4


def test_one_empty_row_is_a_row() -> None:
    assert pad_rows([[]]).shape == (1, 0)
