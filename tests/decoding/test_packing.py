"""Which sentences are translated together."""

from __future__ import annotations

import pytest

from translator.decoding.packing import LARGEST_LOGITS, pack


def longest(num_pieces: int) -> int:
    """The length limit of ordinary text."""
    return 2 * num_pieces + 10


@pytest.mark.parametrize(
    ("tokens_per_batch", "beam_size", "num_workers", "sizes"),
    [
        (100, 1, 1, [10]),
        (100, 1, 2, [5, 5]),
        (40, 1, 2, [3, 3, 3, 1]),  # three would be enough
        (40, 1, 1, [4, 4, 2]),
        (80, 2, 1, [4, 4, 2]),
        (90, 1, 1, [5, 5]),
        (1, 2, 2, [1] * 10),
    ],
)
def test_all_workers_get_as_many_batches(
    tokens_per_batch: int, beam_size: int, num_workers: int, sizes: list[int]
) -> None:
    sources = dict(enumerate([[4] * 9] * 10))
    batches = pack(
        sources,
        longest,
        beam_size=beam_size,
        tokens_per_batch=tokens_per_batch,
        vocabulary_size=320,
        num_workers=num_workers,
    )
    assert [len(batch) for batch in batches] == sizes
    assert [i for batch in batches for i in batch] == list(sources)


def test_the_longest_sentences_come_first() -> None:
    sources = {7: [4], 3: [4] * 9, 5: [4] * 4}
    batches = pack(sources, longest, beam_size=1, tokens_per_batch=10, vocabulary_size=320)
    assert batches == [[3], [5, 7]]


@pytest.mark.parametrize(
    ("ratio", "extra", "sizes"),
    [(2, 10, [12]), (1, 0, [12]), (2, 100, [3] * 4), (11, 10, [3] * 4)],
)
def test_batches_are_smaller_where_translations_may_be_longer(
    ratio: int, extra: int, sizes: list[int]
) -> None:
    """Of sources of 9 pieces and their end: up to 30, 10 or 120 pieces."""
    batches = pack(
        dict(enumerate([[4] * 9] * 12)),
        lambda num_pieces: ratio * (num_pieces + 1) + extra,
        beam_size=1,
        tokens_per_batch=120,
        vocabulary_size=320,
    )
    assert [len(batch) for batch in batches] == sizes


def test_the_logits_of_a_batch_of_short_sentences_are_bounded() -> None:
    batches = pack(
        dict(enumerate([[4]] * 10)),
        longest,
        beam_size=2,
        tokens_per_batch=1000,
        vocabulary_size=LARGEST_LOGITS // 8,
    )
    assert [len(batch) for batch in batches] == [4, 4, 2]
