"""What the rules for `auto` depend on: statistics of the training text, and the machine."""

from __future__ import annotations

from typing import NamedTuple

ORDINARY_LENGTH = 66.0
"""Length of an ordinary sentence, in letters: a pair of such sentences counts as one."""


class LengthLimit(NamedTuple):
    """The longest translation of a source, in pieces: ratio · (source + 1) + extra."""

    ratio: float
    extra: int

    def of(self, num_pieces: int) -> int:
        """The limit for a source of `num_pieces` without its end; the translation's end counts."""
        return int(self.ratio * (num_pieces + 1)) + self.extra

    def __str__(self) -> str:
        return f"{self.ratio:g} times the pieces of their source, plus {self.extra}"


LEAST_LIMIT = LengthLimit(2.0, 10)
"""Limit for ordinary text, and lower bound of every limit that `auto` chooses."""


class CorpusStatistics(NamedTuple):
    """Statistics of the training text."""

    num_pairs: int
    length: float = ORDINARY_LENGTH
    """Mean length of a sentence of either side, in letters. An East Asian character, which carries
    more information, counts as two; any other character counts as one."""
    num_characters: int = 100
    """Number of different characters on both sides."""
    shared_letters: float = 1.0
    """Overlap of the letter frequencies of both sides, from 0 to 1."""
    longest: int | None = None
    """Length that neither side of 99.9 % of the pairs exceeds, in pieces. None until there is a
    vocabulary."""
    length_limit: LengthLimit | None = None
    """Length limit that covers the targets. None until the text has been cut into pieces."""

    @property
    def size(self) -> float:
        """Size in pairs of ordinary length; short sentences teach less, long ones more."""
        return self.num_pairs * min(4.0, max(0.25, self.length / ORDINARY_LENGTH))


class Machine(NamedTuple):
    """The machine that trains."""

    bfloat16_speedup: float | None
    """Speed of typical training work in bfloat16 relative to float32. None until it has been
    measured; 0 if the processor has no instructions for bfloat16."""
    has_gpu: bool = False
    num_processors: int = 1
