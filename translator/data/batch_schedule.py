"""The pairs of any batch, as a pure function of lengths, seed and step.

Pairs of similar length share a bucket, fixed for the whole run. Every epoch shuffles the pairs
within their buckets, cuts each bucket into the same number of batches, and shuffles the batches. So
all epochs have equally many batches, and the batch of step n is found without the earlier ones.

Several corpora share the buckets. Corpora that an epoch repeats equally often (mixture.py) form a
group. In each bucket, a group has an endless sequence: all its pairs shuffled, then all of them
shuffled again, and so on. An epoch takes the next part of the sequence; its ends are exact
fractions, rounded down. So shares are exact over the epochs, and after each of them any two pairs
of a corpus have been seen equally often, or one of them once more.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from math import ceil, floor
from typing import NamedTuple

import numpy as np

from translator.data.mixture import Part

BUCKET_GROWTH = 1.1
"""Longest over shortest length of a bucket. A larger value mixes more, a smaller one pads less."""


class _Group(NamedTuple):
    """Pairs of one bucket that an epoch repeats equally often."""

    number: int
    rows: np.ndarray
    """int32"""
    views_per_epoch: Fraction
    """Mean number of views per epoch: pairs times their repetition."""
    offset: Fraction
    """Fraction of a view at which the first epoch starts. It differs between buckets, so that not
    all of them round in the same epoch."""

    def views_before(self, epoch: int) -> int:
        """Number of views in all earlier epochs."""
        return floor(self.offset + epoch * self.views_per_epoch)

    def with_whole_views(self) -> _Group:
        """The group with its views per epoch rounded up."""
        return self._replace(views_per_epoch=Fraction(ceil(self.views_per_epoch)))


class _Bucket(NamedTuple):
    """Pairs of similar length."""

    groups: list[_Group]
    num_batches: int
    shape: tuple[int, int]
    """Largest number of pairs in a batch, and their largest length."""


class BatchSchedule:
    """The pairs of the batch of each step.

    `lengths` [pairs] are the lengths of the longer side of each pair (`Mixture.lengths`). `parts`
    give the repetitions of consecutive pairs; without them, each pair occurs once per epoch.

    A batch has at most tokens_per_step // (longest length in its bucket) pairs, and at least one.
    If a bucket would give an epoch less than one pair per batch, which only happens among the
    longest, the epoch takes a whole number of pairs, slightly more than its share.
    """

    def __init__(
        self, lengths: np.ndarray, tokens_per_step: int, seed: int, parts: Sequence[Part] = ()
    ) -> None:
        self._seed = seed
        parts = parts or [Part(len(lengths))]
        repetitions = list(dict.fromkeys(part.repetition for part in parts))
        numbers = np.array([repetitions.index(part.repetition) for part in parts], np.int32)
        group_of = np.repeat(numbers, [part.num_pairs for part in parts])
        order = np.argsort(lengths, kind="stable").astype(np.int32)
        views = np.cumsum(np.array(repetitions, float)[group_of[order]])
        offsets = [Fraction(0)] * len(repetitions)
        self._buckets: list[_Bucket] = []
        for bucket_rows, width in _buckets(lengths[order], views, tokens_per_step):
            rows = order[bucket_rows]
            groups = []
            for number in np.unique(group_of[rows]).tolist():
                own = rows[group_of[rows] == number]
                views_per_epoch = len(own) * repetitions[number]
                groups.append(_Group(number, own, views_per_epoch, offsets[number]))
                offsets[number] = (offsets[number] + views_per_epoch) % 1
            most = sum(ceil(group.views_per_epoch) for group in groups)
            num_batches = ceil(Fraction(most, max(1, tokens_per_step // width)))
            if sum(floor(group.views_per_epoch) for group in groups) < num_batches:
                groups = [group.with_whole_views() for group in groups]
            shape = ceil(Fraction(most, num_batches)), width
            self._buckets.append(_Bucket(groups, num_batches, shape))
        self._ends = list(accumulate(bucket.num_batches for bucket in self._buckets))
        self._drawn = lru_cache(maxsize=2 * len(self._buckets) + 2)(self._draw)
        self._order = lru_cache(maxsize=2)(self._shuffle)

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches of every epoch."""
        return self._ends[-1]

    def rows(self, step: int) -> np.ndarray:
        """The indices of the pairs in the batch of a step (from 0): [pairs of the batch] int32."""
        epoch, index = divmod(step, self.batches_per_epoch)
        batch = int(self._order(epoch, -1, self.batches_per_epoch)[index])
        bucket = bisect_right(self._ends, batch)
        num_batches = self._buckets[bucket].num_batches
        part = batch - self._ends[bucket] + num_batches
        drawn = self._drawn(epoch, bucket)
        start, end = (len(drawn) * p // num_batches for p in (part, part + 1))
        return drawn[start:end]

    def largest(self, model_dim: int, longest_joined: int = 0) -> int:
        """The step of the first epoch (from 0) whose batch takes the most memory.

        Pairs may be joined two by two up to `longest_joined` pieces. Memory is mostly proportional
        to the number of pieces, and for long sentences to the square of the length.
        """

        def size(bucket: _Bucket) -> int:
            num_pairs, length = bucket.shape
            longest = max(length, min(2 * length, longest_joined))
            return num_pairs * length * (model_dim + longest)

        number = max(range(len(self._buckets)), key=lambda i: size(self._buckets[i]))
        order = self._order(0, -1, self.batches_per_epoch)
        return int(np.argmax(order == self._ends[number] - 1))

    def repetitions(self) -> np.ndarray:
        """Mean number of times that an epoch repeats each pair: [pairs] float32."""
        groups = [group for bucket in self._buckets for group in bucket.groups]
        found = np.zeros(sum(len(group.rows) for group in groups), np.float32)
        for group in groups:
            found[group.rows] = float(group.views_per_epoch / len(group.rows))
        return found

    def _draw(self, epoch: int, bucket: int) -> np.ndarray:
        """The pairs of a bucket in their order in an epoch."""
        drawn = [
            np.concatenate(list(self._views(group, epoch, bucket)))
            for group in self._buckets[bucket].groups
        ]
        if len(drawn) == 1:
            return drawn[0]
        together = np.concatenate(drawn)
        return together[self._shuffle(epoch, bucket, len(together), 0)]

    def _views(self, group: _Group, epoch: int, bucket: int) -> Iterator[np.ndarray]:
        """Yield an epoch's part of the endless sequence of a group."""
        start, end = group.views_before(epoch), group.views_before(epoch + 1)
        size = len(group.rows)
        stream = (group.number,) if group.number else ()
        yield group.rows[:0]
        for turn in range(start // size, ceil(Fraction(end, size))):
            shuffled = self._shuffle(turn, bucket, size, *stream)
            yield group.rows[shuffled[max(start - turn * size, 0) : end - turn * size]]

    def _shuffle(self, turn: int, bucket: int, size: int, *stream: int) -> np.ndarray:
        key = np.random.SeedSequence([self._seed, turn, bucket + 1], spawn_key=stream)
        rows = np.arange(size, dtype=np.int32)
        return np.random.Generator(np.random.Philox(key)).permutation(rows)


def _buckets(
    ordered: np.ndarray, views: np.ndarray, tokens_per_step: int
) -> Iterator[tuple[slice, int]]:
    """Cut ascending lengths [pairs] into buckets; yield each as a slice and its longest length.

    `views` [pairs] is the cumulative sum of repetitions. A bucket with less than one full batch per
    epoch is merged with the next longer one.
    """
    start = 0
    while start < len(ordered):
        longest = max(int(ordered[start]), int(ordered[start] * BUCKET_GROWTH))
        end = int(np.searchsorted(ordered, longest, side="right"))
        before = views[start - 1] if start else 0.0
        full = before + max(1, tokens_per_step // longest)
        enough = int(np.searchsorted(views, full)) + 1
        if end < enough < len(ordered):
            end = int(np.searchsorted(ordered, ordered[enough - 1], side="right"))
        yield slice(start, end), int(ordered[end - 1])
        start = end
