"""How well a vocabulary spells a text: in how many pieces, and with how many that say nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from translator.data.corpus import Pair
from translator.data.corpus_statistics import letters
from translator.data.tokenizer import Tokenizer, Vocabulary

PAIRS_AT_ONCE = 20_000


class VocabularyCoverage(NamedTuple):
    """What is known of the pieces of a text; its tags are not among them."""

    num_pieces: int
    num_unknown: int
    """Pieces that stand for characters that the vocabulary lacks: unknown ones, or bytes."""
    num_characters: int
    """In the other pieces, spaces included, an East Asian one counting as two."""

    @property
    def unknown_share(self) -> float:
        return self.num_unknown / max(1, self.num_pieces)

    @property
    def characters_per_piece(self) -> float:
        """About 3 to 5 with a vocabulary of some thousands that was learnt from the text; 1 where
        every letter is a piece, 2 where every East Asian character is one, as it well may be."""
        return self.num_characters / max(1, self.num_pieces)

    @classmethod
    def sum(cls, parts: Iterable[VocabularyCoverage]) -> VocabularyCoverage:
        return cls(*map(sum, zip(*parts, strict=True)))


def vocabulary_coverage(counts: np.ndarray, vocabulary: Vocabulary) -> VocabularyCoverage:
    """Of a text that has each piece of the vocabulary so often; counts is [V]."""
    is_text = np.array([not vocabulary.is_control(i) for i in range(len(vocabulary))])
    is_unknown = np.array([vocabulary.is_unknown(i) for i in range(len(vocabulary))])
    widths = np.array([sum(map(letters, vocabulary.piece(i))) for i in range(len(vocabulary))])
    return VocabularyCoverage(
        int(counts[is_text].sum()),
        int(counts[is_unknown].sum()),
        int((counts * widths)[is_text & ~is_unknown].sum()),
    )


def longest_side(pairs: Sequence[Pair], tokenizer: Tokenizer) -> int:
    """Pieces that neither side of 999 in 1,000 pairs exceeds; pairs with an empty side are none."""
    longer: list[int] = []
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        sides = zip(*pairs[start : start + PAIRS_AT_ONCE], strict=True)
        rows = [v.encode(side) for v, side in zip(tokenizer, sides, strict=True)]
        longer += [max(map(len, pair)) for pair in zip(*rows, strict=True) if all(pair)]
    return sorted(longer)[math.ceil(0.999 * len(longer)) - 1] if longer else 0
