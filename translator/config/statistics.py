"""What the rules for `auto` know of the training text and of the machine."""

from __future__ import annotations

from typing import NamedTuple

ORDINARY_LENGTH = 66.0
"""Letters of a sentence that make a pair count as one."""


class LengthLimit(NamedTuple):
    """How long a translation may be, in pieces."""

    ratio: float
    extra: int

    def of(self, num_pieces: int) -> int:
        """For a source of so many pieces; the end of the translation counts."""
        return int(self.ratio * (num_pieces + 1)) + self.extra

    def __str__(self) -> str:
        return f"{self.ratio:g} times the pieces of their source, plus {self.extra}"


LEAST_LIMIT = LengthLimit(2.0, 10)
"""Enough for ordinary text."""


class CorpusStatistics(NamedTuple):
    """Of the training text."""

    num_pairs: int
    length: float = ORDINARY_LENGTH
    """Mean letters of a sentence, of either side: all its characters, where an East Asian one,
    which says more, counts as two."""
    num_characters: int = 100
    """Different ones, on both sides."""
    shared_letters: float = 1.0
    """How far both sides use the same letters equally often, 0 to 1."""
    longest: int | None = None
    """Pieces that neither side of 999 in 1,000 pairs exceeds; None until there is a vocabulary."""
    length_limit: LengthLimit | None = None
    """That covers its targets; None until the text has been cut into pieces."""

    @property
    def size(self) -> float:
        """In pairs of ordinary length: short sentences teach less, long ones more."""
        return self.num_pairs * min(4.0, max(0.25, self.length / ORDINARY_LENGTH))


class Machine(NamedTuple):
    """Of the machine."""

    bfloat16_speedup: float | None
    """How many times faster a training step's typical work is in bfloat16 than in float32; None
    until it has been measured, 0 where there are no instructions for it."""
    has_gpu: bool = False
    num_processors: int = 1
