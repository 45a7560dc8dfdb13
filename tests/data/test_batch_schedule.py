"""A schedule of several corpora has exact shares, and any step is independent of earlier ones."""

import tracemalloc
from collections import Counter
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest

from translator.data.batch_schedule import BatchSchedule
from translator.data.mixture import Part, mix

SIZES = [37, 200, 63]
WEIGHTS = [3.0, 1.0, 0.3]
LENGTHS = np.random.default_rng(5).integers(2, 40, size=sum(SIZES))
BUDGETS = [1, 40, 64, 1000, 10**6]


def repetitions(sizes: list[int], weights: list[float] | None, temperature: float = 1.0) -> object:
    return [part.repetition for part in mix(sizes, weights, temperature)]


class TestShares:
    def test_are_proportional_to_size(self) -> None:
        assert repetitions([100, 900], None) == [1, 1]

    def test_with_a_temperature_are_proportional_to_a_root_of_the_size(self) -> None:
        # roots 10 and 30: 250 and 750 of 1000 pairs
        assert repetitions([100, 900], None, 2.0) == [Fraction(250, 100), Fraction(750, 900)]

    def test_at_a_very_high_temperature_are_equal(self) -> None:
        first, second = mix([100, 300], None, 1e9)
        assert float(first.repetition) == pytest.approx(2)
        assert float(second.repetition) == pytest.approx(2 / 3)

    def test_follow_the_weights(self) -> None:
        assert repetitions([100, 300], [1, 1]) == [2, Fraction(2, 3)]
        assert repetitions([100, 300], [5, 5]) == [2, Fraction(2, 3)]

    def test_decimal_weights_are_exact(self) -> None:
        assert repetitions([10, 10], [0.7, 0.3]) == [Fraction(7, 5), Fraction(3, 5)]

    def test_of_a_single_corpus_is_one(self) -> None:
        assert repetitions([7], None, 5.0) == repetitions([7], [0.1]) == [1]


def epoch(schedule: BatchSchedule, number: int) -> list[list[int]]:
    first = number * schedule.batches_per_epoch
    return [schedule.rows(first + i).tolist() for i in range(schedule.batches_per_epoch)]


def views(schedule: BatchSchedule, *epochs: int) -> Counter[int]:
    return Counter(row for number in epochs for batch in epoch(schedule, number) for row in batch)


def small() -> BatchSchedule:
    """4 pairs that occur twice per epoch and 12 that occur in two of three epochs; batches of 4."""
    return BatchSchedule(np.full(16, 5), 20, 1, mix([4, 12], [1, 1], 1.0))


class TestScheduleOfSeveralCorpora:
    def test_gives_each_corpus_its_share(self) -> None:
        schedule = small()
        assert schedule.batches_per_epoch == 4
        for number in range(3):
            of_the_first = sum(n for row, n in views(schedule, number).items() if row < 4)
            assert (of_the_first, views(schedule, number).total()) == (8, 16)

    def test_shows_pairs_of_a_corpus_equally_often(self) -> None:
        assert views(small(), 0, 1, 2) == {row: 6 if row < 4 else 2 for row in range(16)}

    @pytest.mark.parametrize("far", [10**6, 3 * 10**20])
    def test_is_exact_in_any_epoch(self, far: int) -> None:
        far -= far % 3
        found = views(small(), far, far + 1, far + 2)
        assert found == {row: 6 if row < 4 else 2 for row in range(16)}

    def test_mixes_the_corpora_in_its_batches(self) -> None:
        schedule = small()
        kinds = [{row < 4 for row in batch} for n in range(25) for batch in epoch(schedule, n)]
        assert sum(len(kind) == 2 for kind in kinds) > 80

    @pytest.mark.parametrize("weights", [WEIGHTS, [1.0, 100.0, 1.0], [50.0, 1.0, 0.01]])
    def test_views_of_a_corpus_differ_by_at_most_one_after_each_epoch(
        self, weights: list[float]
    ) -> None:
        parts = mix(SIZES, weights, 1.0)
        schedule = BatchSchedule(LENGTHS, 200, 1, parts)
        seen: Counter[int] = Counter()
        for number in range(30):
            seen += views(schedule, number)
            row = 0
            for part in parts:
                counts = [seen[r] for r in range(row, row + part.num_pairs)]
                row += part.num_pairs
                due = (number + 1) * part.repetition
                assert floor(due) <= min(counts) <= max(counts) <= ceil(due)

    def test_buckets_round_in_different_epochs(self) -> None:
        """Twelve buckets, each with a third of a view per epoch: every epoch gets four of them."""
        widths = np.array([10 * 5**k // 4**k for k in range(12)])
        schedule = BatchSchedule(
            np.repeat(widths, 31), 250, 1, [Part(1, Fraction(1, 3)), Part(30)] * 12
        )
        for number in range(6):
            found = views(schedule, number)
            assert sum(found[row] for row in range(0, 12 * 31, 31)) == 4

    @pytest.mark.parametrize("budget", BUDGETS)
    @pytest.mark.parametrize("weights", [WEIGHTS, [1.0, 100.0, 1e-4]])
    def test_has_no_empty_batch_and_keeps_the_budget(
        self, budget: int, weights: list[float]
    ) -> None:
        schedule = BatchSchedule(LENGTHS, budget, 1, mix(SIZES, weights, 1.0))
        for number in range(20):
            for rows in epoch(schedule, number):
                assert rows
                assert len(rows) == 1 or len(rows) * LENGTHS[rows].max() <= budget

    def test_any_step_is_computed_without_earlier_ones(self) -> None:
        def fresh() -> BatchSchedule:
            return BatchSchedule(LENGTHS, 200, 1, mix(SIZES, WEIGHTS, 1.0))

        schedule = fresh()
        steps = [10**9, 3, 10**9 + 1, 0, 2 * schedule.batches_per_epoch, 3]
        expected = [schedule.rows(step).tolist() for step in steps]
        for step, rows in reversed(list(zip(steps, expected, strict=True))):
            assert fresh().rows(step).tolist() == rows

    def test_differs_between_epochs_and_seeds(self) -> None:
        assert sorted(epoch(small(), 0)) != sorted(epoch(small(), 3))
        other = BatchSchedule(np.full(16, 5), 20, 2, mix([4, 12], [1, 1], 1.0))
        assert epoch(small(), 0) != epoch(other, 0)

    @pytest.mark.parametrize("budget", BUDGETS)
    def test_repetitions_are_those_of_the_batches(self, budget: int) -> None:
        schedule = BatchSchedule(LENGTHS, budget, 1, mix(SIZES, WEIGHTS, 1.0))
        found = views(schedule, *range(60))
        expected = schedule.repetitions()
        assert max(abs(found[row] - 60 * expected[row]) for row in range(300)) < 1.01

    def test_epoch_has_as_many_pairs_as_the_corpora(self) -> None:
        schedule = BatchSchedule(LENGTHS, 1000, 1, mix(SIZES, WEIGHTS, 1.0))
        assert schedule.repetitions().sum() == pytest.approx(300, abs=3)

    def test_batches_are_full_even_if_a_corpus_is_rare(self) -> None:
        lengths = np.concatenate([np.full(100, 5), np.arange(200) + 20, np.full(100, 220)])
        parts = [Part(100), Part(200, Fraction(1, 20)), Part(100)]
        schedule = BatchSchedule(lengths, 2200, 1, parts)
        assert min(len(rows) for number in range(9) for rows in epoch(schedule, number)) >= 9


class TestWithoutMixing:
    @pytest.mark.parametrize("budget", BUDGETS)
    def test_shares_proportional_to_size_equal_one_corpus(self, budget: int) -> None:
        one = BatchSchedule(LENGTHS, budget, 1)
        several = BatchSchedule(LENGTHS, budget, 1, mix(SIZES, None, 1.0))
        assert epoch(one, 3) == epoch(several, 3)

    def test_batches_are_slices_of_one_permutation(self) -> None:
        """Runs of all versions must draw the same batches."""
        schedule = BatchSchedule(np.full(25, 8), 64, 7)

        def shuffled(number: int, bucket: int, size: int) -> np.ndarray:
            key = np.random.SeedSequence([7, number, bucket])
            return np.random.Generator(np.random.Philox(key)).permutation(size)

        cuts = [(0, 6), (6, 12), (12, 18), (18, 25)]
        for number in (0, 5):
            expected = [shuffled(number, 1, 25)[slice(*cuts[i])] for i in shuffled(number, 0, 4)]
            assert epoch(schedule, number) == [rows.tolist() for rows in expected]


@pytest.mark.parametrize(
    ("longest_joined", "length"),
    [
        (0, 30),  # 20 pairs of 30 pieces
        (40, 20),  # 15 pairs of 40, joined of twice as many
        (60, 30),
    ],
)
def test_largest_batch_considers_joined_pairs(longest_joined: int, length: int) -> None:
    lengths = np.repeat([20, 30], [30, 20])
    schedule = BatchSchedule(lengths, 600, 1)
    assert set(lengths[schedule.rows(schedule.largest(8, longest_joined))]) == {length}


@pytest.mark.parametrize("mixed", [False, True])
def test_schedule_needs_little_memory(mixed: bool) -> None:
    """Memory is proportional to the number of pairs, and small even for millions."""
    lengths = np.random.default_rng(1).integers(2, 60, size=200_000)
    parts = mix([50_000, 150_000], [1, 1], 1.0) if mixed else [Part(200_000)]
    tracemalloc.start()
    try:
        schedule = BatchSchedule(lengths, 4096, 1, parts)
        for step in range(0, 2 * schedule.batches_per_epoch, 7):
            schedule.rows(step)
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 16 * 200_000
    assert most < 40 * 200_000
