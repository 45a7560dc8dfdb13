"""Several corpora as one: how often an epoch repeats each, and their stores one after another."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from translator.data.store import Store
from translator.data.store_side import Side
from translator.data.store_writer import StoreFacts, examples
from translator.data.vocabulary_coverage import VocabularyCoverage


class Part(NamedTuple):
    """Consecutive pairs that an epoch repeats equally often."""

    num_pairs: int
    repetition: Fraction = Fraction(1)


def mix(sizes: Sequence[int], weights: Sequence[float] | None, temperature: float) -> list[Part]:
    """How often an epoch repeats the pairs of corpora of these sizes.

    An epoch has as many pairs as all corpora together. The share of a corpus is proportional to its
    weight or, without weights, to size^(1/temperature) (Arivazhagan et al. 2019). Shares are exact
    fractions, so no error accumulates over epochs: 0.7 means seven tenths.
    """
    if weights is None:
        weights = [size ** (1 / temperature) for size in sizes]
    exact = [Fraction(repr(float(weight))) for weight in weights]
    pairs_for_a_weight = Fraction(sum(sizes)) / sum(exact, Fraction(0))
    return [
        Part(size, weight * pairs_for_a_weight / size)
        for size, weight in zip(sizes, exact, strict=True)
    ]


class Share(NamedTuple):
    """A corpus's part of an epoch, averaged over many epochs."""

    num_pairs: int
    tokens: float
    """Share of all target pieces, ends included."""
    repetition: float
    """Number of times that a pair occurs."""


class MixedSide:
    """One side of several stores; rows are numbered through all of them."""

    def __init__(self, sides: Sequence[Side], sizes: Sequence[int]) -> None:
        self._sides = sides
        self._starts = [0, *accumulate(sizes)][:-1]

    @property
    def lengths(self) -> np.ndarray:
        """Length of each row in pieces, without end: [rows] int32."""
        return np.concatenate([side.lengths for side in self._sides])

    def ids(self, row: int) -> np.ndarray:
        side, row = self._find(row)
        return side.ids(row)

    def text(self, row: int) -> str:
        side, row = self._find(row)
        return side.text(row)

    def _find(self, row: int) -> tuple[Side, int]:
        index = bisect_right(self._starts, row) - 1
        return self._sides[index], row - self._starts[index]


class Mixture:
    """Stores to train on together, with the interface of a single store."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self.stores = stores
        self.sizes = [len(store) for store in stores]
        self.source = MixedSide([store.source for store in stores], self.sizes)
        self.target = MixedSide([store.target for store in stores], self.sizes)

    @property
    def lengths(self) -> np.ndarray:
        """Length of the longer side of each pair in pieces, its end included: [pairs] int32."""
        return np.concatenate([store.lengths for store in self.stores])

    def shares(self, repetitions: np.ndarray) -> list[Share]:
        """Each store's part of an epoch, given the repetitions [pairs] of its schedule."""
        cuts = np.cumsum(self.sizes)[:-1]
        views = [part.astype(float) for part in np.split(repetitions, cuts)]
        tokens = [
            float(some @ (store.target.lengths + 1))
            for some, store in zip(views, self.stores, strict=True)
        ]
        return [
            Share(len(some), count / sum(tokens), float(some.mean()))
            for some, count in zip(views, tokens, strict=True)
        ]

    def _first_nul(self, facts: Sequence[StoreFacts]) -> int:
        """Number of the first pair with a NUL character (from 1) through all stores; 0 if none."""
        num_before = 0
        for one in facts:
            if one.num_nul:
                return num_before + one.first_nul
            num_before += one.num_pairs + one.num_empty + one.num_long
        return 0

    @property
    def facts(self) -> StoreFacts:
        """The facts of all stores together. The digest depends on their order."""
        facts = [store.facts for store in self.stores]
        digests = [one.digest for one in facts]
        together = hashlib.sha256("".join(digests).encode()).hexdigest()
        return StoreFacts(
            sum(one.num_pairs for one in facts),
            sum(one.num_empty for one in facts),
            sum(one.num_long for one in facts),
            digests[0] if len(digests) == 1 else together,
            VocabularyCoverage.sum(one.source for one in facts),
            VocabularyCoverage.sum(one.target for one in facts),
            sum(one.num_unreachable for one in facts),
            examples(mismatch for one in facts for mismatch in one.unreachable),
            sum(one.num_nul for one in facts),
            self._first_nul(facts),
            sum(one.num_truncated for one in facts),
        )
