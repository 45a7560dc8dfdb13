"""Several stores are read like one."""

from pathlib import Path

import numpy as np
import pytest

from translator.config.schema import TokenizerConfig
from translator.data.batch_schedule import BatchSchedule
from translator.data.batches import batch
from translator.data.corpus import Pair
from translator.data.mixture import Mixture, mix
from translator.data.store import Store, open_store
from translator.data.subword_sampling import SubwordSampling
from translator.data.tokenizer import Tokenizer, train_tokenizer

FIRST = [Pair("Good morning, Anna.", "Guten Morgen."), Pair("", "Nichts."), Pair("No.", "Nein.")]
SECOND = [Pair(f"<bt> I read {i} books.", f"Ich lese {i} Bücher.") for i in range(6)]
THIRD = [Pair("Yes.", "Ja.")]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    config = TokenizerConfig(vocabulary_size=340)
    return train_tokenizer(config, lambda: FIRST + SECOND + THIRD, 1, lambda _: None, ["<bt>"])


@pytest.fixture(scope="module")
def stores(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> list[Store]:
    def store(pairs: list[Pair], folder: Path) -> Store:
        return open_store(folder, lambda: pairs, tokenizer, max_length=90, keep_text=True)

    folder = tmp_path_factory.mktemp("stores")
    return [store(pairs, folder / str(i)) for i, pairs in enumerate((FIRST, SECOND, THIRD))]


@pytest.fixture
def mixture(stores: list[Store]) -> Mixture:
    return Mixture(stores)


KEPT = [FIRST[0], FIRST[2], *SECOND, *THIRD]


def test_rows_are_numbered_through_all_stores(mixture: Mixture, tokenizer: Tokenizer) -> None:
    assert mixture.sizes == [2, 6, 1]
    for row, pair in enumerate(KEPT):
        for side, text in zip((mixture.source, mixture.target), pair, strict=True):
            [ids] = tokenizer.source.encode([text])
            assert side.text(row) == text
            assert side.ids(row).tolist() == ids
            assert side.lengths[row] == len(ids)


def test_lengths_are_those_of_the_stores(mixture: Mixture, stores: list[Store]) -> None:
    expected = [length for store in stores for length in store.lengths]
    assert mixture.lengths.tolist() == expected


def test_facts_are_sums_and_depend_on_the_order(stores: list[Store]) -> None:
    facts = Mixture(stores).facts
    assert (facts.num_pairs, facts.num_empty, facts.num_long) == (9, 1, 0)
    assert facts.digest != Mixture(stores[::-1]).facts.digest
    assert Mixture(stores[:1]).facts == stores[0].facts


def test_share_counts_target_pieces(mixture: Mixture, stores: list[Store]) -> None:
    tokens = [int((store.target.lengths + 1).sum()) for store in stores]
    repetitions = np.repeat(np.array([2, 0.5, 1], np.float32), mixture.sizes)
    shares = mixture.shares(repetitions)
    total = 2 * tokens[0] + 0.5 * tokens[1] + tokens[2]
    assert [share.num_pairs for share in shares] == [2, 6, 1]
    assert [share.repetition for share in shares] == [2, 0.5, 1]
    expected = [2 * tokens[0] / total, 0.5 * tokens[1] / total, tokens[2] / total]
    assert [share.tokens for share in shares] == pytest.approx(expected)


def test_share_equals_that_of_the_batches(mixture: Mixture, tokenizer: Tokenizer) -> None:
    schedule = BatchSchedule(mixture.lengths, 60, 1, mix(mixture.sizes, [5, 2, 1], 1.0))
    counts = np.zeros(9)
    for step in range(40 * schedule.batches_per_epoch):
        for row in schedule.rows(step):
            counts[row] += len(mixture.target.ids(row)) + 1
    shares = [share.tokens for share in mixture.shares(schedule.repetitions())]
    found = [part.sum() / counts.sum() for part in np.split(counts, [2, 8])]
    assert found == pytest.approx(shares, abs=0.002)


@pytest.mark.parametrize("sampled", [False, True])
def test_batch_has_pairs_of_all_corpora_with_their_tags(
    mixture: Mixture, tokenizer: Tokenizer, sampled: bool
) -> None:
    schedule = BatchSchedule(mixture.lengths, 10_000, 1, mix(mixture.sizes, [2, 1, 1], 1.0))
    sampling = SubwordSampling("unigram", 0.2, 3, max_length=90) if sampled else None
    [whole] = batch(mixture, tokenizer, schedule, 2, 1, sampling)
    tag = tokenizer.source.tags["<bt>"]
    begins_with_tag = (whole.source[:, 0] == tag).tolist()
    assert begins_with_tag == [2 <= row < 8 for row in schedule.rows(2)]
    assert True in begins_with_tag and False in begins_with_tag
