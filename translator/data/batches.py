"""The batch of any step, as a function of store, seed and step alone.

Pairs of like length share a bucket, fixed for the whole run. Every epoch shuffles the pairs within
their buckets, cuts each bucket into the same number of batches, and shuffles the batches; so every
epoch has as many batches as any other, and the batch at step n is found without those before it.

B batch, S source length, T target length.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from translator.data.store import Store
from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID, Sampling, Tokenizer

BUCKET_GROWTH = 1.1
"""Width of a bucket relative to the one below: more mixes more, less pads less."""


Rows = Sequence[Sequence[int] | np.ndarray]


class Batch(NamedTuple):
    """Sentence pairs as padded int32 ids."""

    source: np.ndarray
    """[B, S], each row with its end."""
    target: np.ndarray
    """[B, T], each row from begin; what the decoder reads."""
    labels: np.ndarray
    """[B, T], each row with its end; what the decoder should say."""

    @property
    def num_target_tokens(self) -> int:
        return int(np.count_nonzero(self.labels))


class Plan:
    """Which pairs make up the batch of each step.

    `lengths` are those of the longer side of each pair (`Store.lengths`). A batch holds at most
    tokens_per_step // (longest length in its bucket) pairs, and at least one.
    """

    def __init__(self, lengths: np.ndarray, tokens_per_step: int, seed: int) -> None:
        self._seed = seed
        order = np.argsort(lengths, kind="stable")
        self._buckets: list[np.ndarray] = []
        self._owners: list[tuple[int, int]] = []
        for rows, width in _buckets(lengths[order], tokens_per_step):
            bucket = order[rows]
            for i in range(-(-len(bucket) // max(1, tokens_per_step // width))):
                self._owners.append((len(self._buckets), i))
            self._buckets.append(bucket)
        counts = np.bincount([bucket for bucket, _ in self._owners])
        self._batches_per_bucket = counts.tolist()
        self._permutation = lru_cache(maxsize=2 * len(self._buckets) + 2)(self._permute)

    @property
    def batches_per_epoch(self) -> int:
        return len(self._owners)

    def rows(self, step: int) -> np.ndarray:
        """The pairs of the batch that step `step` (from 0) learns from."""
        epoch, index = divmod(step, self.batches_per_epoch)
        batch = self._permutation(epoch, -1, self.batches_per_epoch)[index]
        bucket_index, part = self._owners[batch]
        bucket = self._buckets[bucket_index]
        num_parts = self._batches_per_bucket[bucket_index]
        start, end = (len(bucket) * p // num_parts for p in (part, part + 1))
        return bucket[self._permutation(epoch, bucket_index, len(bucket))[start:end]]

    def _permute(self, epoch: int, bucket: int, size: int) -> np.ndarray:
        key = np.random.SeedSequence([self._seed, epoch, bucket + 1])
        return np.random.Generator(np.random.Philox(key)).permutation(size)


def batch(
    store: Store,
    tokenizer: Tokenizer,
    plan: Plan,
    step: int,
    num_shards: int = 1,
    sampling: Sampling | None = None,
) -> list[Batch]:
    """The shards of the batch at `step` (from 0): its pairs in order, cut into parts of like size.

    With `sampling`, the pairs are segmented anew by its seed and the step; the store holds text.
    """
    rows = plan.rows(step)
    sides = store.source, store.target
    sources: Rows
    targets: Rows
    if sampling is None:
        sources, targets = ([side.ids(row) for row in rows] for side in sides)
    else:
        draws = np.random.SeedSequence([sampling.seed, step]).generate_state(2)
        sources, targets = (
            vocabulary.encode([side.text(row) for row in rows], sampling._replace(seed=int(draw)))
            for vocabulary, side, draw in zip(tokenizer, sides, draws, strict=True)
        )
    cuts = [len(rows) * i // num_shards for i in range(num_shards + 1)]
    return [
        pad(sources[start:end], targets[start:end]) for start, end in pairwise(cuts) if end > start
    ]


def pad(sources: Rows, targets: Rows) -> Batch:
    """Rows of ids, without begin or end, as one Batch."""
    return Batch(
        pad_rows([[*row, END_ID] for row in sources]),
        pad_rows([[BEGIN_ID, *row] for row in targets]),
        pad_rows([[*row, END_ID] for row in targets]),
    )


def pad_rows(rows: list[list[int]]) -> np.ndarray:
    """Rows of ids → [B, longest row] int32."""
    padded = np.full((len(rows), max(map(len, rows))), PAD_ID, np.int32)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded


def _buckets(ordered: np.ndarray, tokens_per_step: int) -> list[tuple[slice, int]]:
    """Cut ascending lengths into buckets, each a slice with its longest length.

    A bucket with less than one batch of pairs is joined with the next longer one.
    """
    buckets = []
    start = 0
    while start < len(ordered):
        longest = max(int(ordered[start]), int(ordered[start] * BUCKET_GROWTH))
        end = int(np.searchsorted(ordered, longest, side="right"))
        enough = start + max(1, tokens_per_step // longest)
        if end < enough < len(ordered):
            end = int(np.searchsorted(ordered, ordered[enough - 1], side="right"))
        buckets.append((slice(start, end), int(ordered[end - 1])))
        start = end
    return buckets
