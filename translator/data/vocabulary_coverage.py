"""How well a vocabulary covers a text: how many pieces it takes, and how many are unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from translator.data.corpus import Pair
from translator.data.corpus_statistics import letters
from translator.data.length_limit import num_outliers
from translator.data.tokenizer import Tokenizer, Vocabulary

PAIRS_AT_ONCE = 20_000
"""Pairs that are segmented in one call."""


class VocabularyCoverage(NamedTuple):
    """Counts of the pieces of a text, without tags."""

    num_pieces: int
    num_unknown: int
    """Pieces that stand for characters without a piece: the unknown piece, or bytes."""
    num_characters: int
    """Letters in the other pieces, spaces included (an East Asian character counts as two)."""

    @property
    def unknown_share(self) -> float:
        """Share of the pieces that are unknown."""
        return self.num_unknown / max(1, self.num_pieces)

    @property
    def characters_per_piece(self) -> float:
        """Mean number of letters per piece.

        It is about 3 to 5 with a few thousand pieces learnt from the same text, 1 if every letter
        is a piece, and 2 if every East Asian character is one, which may be intended.
        """
        return self.num_characters / max(1, self.num_pieces)

    @classmethod
    def sum(cls, parts: Iterable[VocabularyCoverage]) -> VocabularyCoverage:
        """The counts of several texts together."""
        return cls(*map(sum, zip(*parts, strict=True)))


def vocabulary_coverage(counts: np.ndarray, vocabulary: Vocabulary) -> VocabularyCoverage:
    """The coverage of a text, given how often it has each piece: counts [vocabulary size]."""
    is_text = np.array([not vocabulary.is_control(i) for i in range(len(vocabulary))])
    is_unknown = np.array([vocabulary.is_unknown(i) for i in range(len(vocabulary))])
    widths = np.array([sum(map(letters, vocabulary.piece(i))) for i in range(len(vocabulary))])
    return VocabularyCoverage(
        int(counts[is_text].sum()),
        int(counts[is_unknown].sum()),
        int((counts * widths)[is_text & ~is_unknown].sum()),
    )


def longest_side(pairs: Sequence[Pair], tokenizer: Tokenizer) -> int:
    """The length in pieces that neither side of 99.9 % of the pairs exceeds.

    Pairs with a side without pieces do not count; 0 if there are no others.
    """
    longer: list[int] = []
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        sides = zip(*pairs[start : start + PAIRS_AT_ONCE], strict=True)
        rows = [v.encode(side) for v, side in zip(tokenizer, sides, strict=True)]
        longer += [max(map(len, pair)) for pair in zip(*rows, strict=True) if all(pair)]
    return sorted(longer)[-1 - num_outliers(len(longer))] if longer else 0
