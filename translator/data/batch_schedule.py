"""Which pairs make up the batch of any step, as a function of their lengths, seed and step alone.

Pairs of like length share a bucket, fixed for the whole run. Every epoch shuffles the pairs within
their buckets, cuts each bucket into the same number of batches, and shuffles the batches; so every
epoch has as many batches as any other, and the batch at step n is found without those before it.

Several corpora share the buckets. Those that an epoch repeats equally often (mixture.py) form a
group, and in each bucket a group has an endless sequence: all its pairs shuffled, then all of them
shuffled anew, and so on. An epoch takes from it what lies between two products, rounded down; so
shares are exact over the epochs, and after each of them every pair of a corpus has been seen
equally often, or once more.
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
"""Width of a bucket relative to the one below: more mixes more, less pads less."""


class _Group(NamedTuple):
    """Pairs of one bucket that an epoch repeats equally often."""

    number: int
    rows: np.ndarray
    """int32"""
    places: Fraction
    """Views of an epoch, in the long run: pairs times their repetition."""
    begun: Fraction
    """Share of a view, below 1, that the first epoch finds done: not all buckets round alike."""

    def views_before(self, epoch: int) -> int:
        return floor(self.begun + epoch * self.places)


class _Bucket(NamedTuple):
    """Pairs of like length."""

    groups: list[_Group]
    num_batches: int
    shape: tuple[int, int]
    """Most pairs of a batch, and their longest length."""


class BatchSchedule:
    """Which pairs make up the batch of each step.

    `lengths` are those of the longer side of each pair (`Mixture.lengths`). `parts` say how often
    an epoch repeats consecutive pairs; without them, each comes once. A batch holds at most
    tokens_per_step // (longest length in its bucket) pairs, and at least one. Where an epoch could
    have less than one pair a batch (there are such only among the longest), it takes a whole number
    of them, a few more than its share.
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
        begun = [Fraction(0)] * len(repetitions)
        self._buckets: list[_Bucket] = []
        for bucket_rows, width in _buckets(lengths[order], views, tokens_per_step):
            rows = order[bucket_rows]
            groups = []
            for number in np.unique(group_of[rows]).tolist():
                own = rows[group_of[rows] == number]
                places = len(own) * repetitions[number]
                groups.append(_Group(number, own, places, begun[number]))
                begun[number] = (begun[number] + places) % 1
            most = sum(ceil(group.places) for group in groups)
            num_batches = ceil(Fraction(most, max(1, tokens_per_step // width)))
            if sum(floor(group.places) for group in groups) < num_batches:
                groups = [group._replace(places=Fraction(ceil(group.places))) for group in groups]
            shape = ceil(Fraction(most, num_batches)), width
            self._buckets.append(_Bucket(groups, num_batches, shape))
        self._ends = list(accumulate(bucket.num_batches for bucket in self._buckets))
        self._drawn = lru_cache(maxsize=2 * len(self._buckets) + 2)(self._draw)
        self._order = lru_cache(maxsize=2)(self._shuffle)

    @property
    def batches_per_epoch(self) -> int:
        return self._ends[-1]

    def rows(self, step: int) -> np.ndarray:
        """The pairs of the batch that step `step` (from 0) learns from."""
        epoch, index = divmod(step, self.batches_per_epoch)
        batch = int(self._order(epoch, -1, self.batches_per_epoch)[index])
        bucket = bisect_right(self._ends, batch)
        num_batches = self._buckets[bucket].num_batches
        part = batch - self._ends[bucket] + num_batches
        drawn = self._drawn(epoch, bucket)
        start, end = (len(drawn) * p // num_batches for p in (part, part + 1))
        return drawn[start:end]

    def largest(self, model_dim: int, longest_joined: int = 0) -> int:
        """A step of the first epoch (from 0) whose batch takes as much memory as any, if pairs may
        be joined two by two to no longer ones than `longest_joined`.

        Memory is mostly in proportion to the pieces, and for long sentences also to their squares.
        """

        def size(bucket: _Bucket) -> int:
            num_pairs, length = bucket.shape
            longest = max(length, min(2 * length, longest_joined))
            return num_pairs * length * (model_dim + longest)

        number = max(range(len(self._buckets)), key=lambda i: size(self._buckets[i]))
        order = self._order(0, -1, self.batches_per_epoch)
        return int(np.argmax(order == self._ends[number] - 1))

    def repetitions(self) -> np.ndarray:
        """How often an epoch repeats each pair, in the long run: [pairs] float32."""
        groups = [group for bucket in self._buckets for group in bucket.groups]
        found = np.zeros(sum(len(group.rows) for group in groups), np.float32)
        for group in groups:
            found[group.rows] = float(group.places / len(group.rows))
        return found

    def _draw(self, epoch: int, bucket: int) -> np.ndarray:
        """The pairs of a bucket in the order in which an epoch sees them."""
        drawn = [
            np.concatenate(list(self._views(group, epoch, bucket)))
            for group in self._buckets[bucket].groups
        ]
        if len(drawn) == 1:
            return drawn[0]
        together = np.concatenate(drawn)
        return together[self._shuffle(epoch, bucket, len(together), 0)]

    def _views(self, group: _Group, epoch: int, bucket: int) -> Iterator[np.ndarray]:
        """What an epoch sees of a group's endless sequence."""
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
    """Cut ascending lengths into buckets, each a slice with its longest length.

    `views` sums up how often an epoch repeats the pairs. A bucket that has less than one batch for
    an epoch is joined with the next longer one.
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
