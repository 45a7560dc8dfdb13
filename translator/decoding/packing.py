"""Which sentences are translated together."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence

from translator.config.statistics import LEAST_LIMIT

LARGEST_LOGITS = 2**24
"""Limit for the number of logits in one step of a search, which bounds batches of short
sentences."""

Longest = Callable[[int], int | None]
"""Source pieces → maximal pieces of the translation, end included; None if it is not known."""


def pack(
    sources: Mapping[int, Sequence[int]],
    longest: Longest,
    *,
    beam_size: int,
    tokens_per_batch: int,
    vocabulary_size: int,
    num_workers: int = 1,
) -> list[list[int]]:
    """Batches of sentences of similar length, longest first, as lists of keys of `sources`.

    Every worker gets the same number of batches, and all are about the same size: at most
    `tokens_per_batch` source pieces, padding included, times the beam size. A batch has at least
    one sentence.
    """
    order = sorted(sources, key=lambda i: -len(sources[i]))
    sizes = {i: beam_size * _size(len(sources[i]), longest) for i in order}
    most_sentences = max(1, LARGEST_LOGITS // (beam_size * vocabulary_size))

    def packed(capacity: int) -> list[list[int]]:
        """Batches that are filled up to a capacity, one after the other."""
        batches: list[list[int]] = []
        room = 0.0
        for i in order:
            if not batches or len(batches[-1]) >= room:
                batches.append([])
                room = min(capacity // sizes[i], most_sentences)
            batches[-1].append(i)
        return batches

    num_batches = len(packed(tokens_per_batch))
    num_batches = num_workers * math.ceil(num_batches / num_workers)
    # The smallest capacity that is enough for this number makes batches of about the same size.
    capacities = range(1, tokens_per_batch + 1)
    is_enough = lambda capacity: len(packed(capacity)) <= num_batches  # noqa: E731
    return packed(1 + bisect_left(capacities, True, key=is_enough))


def _size(num_pieces: int, longest: Longest) -> float:
    """A source's pieces with its end; more if its translation may be longer than that of ordinary
    text."""
    limit = longest(num_pieces) or 0
    return (num_pieces + 1) * max(1.0, limit / LEAST_LIMIT.of(num_pieces))
