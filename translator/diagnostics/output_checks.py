"""What looks wrong with translations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar


class Checked(Protocol):
    """The facts about a translation that are checked."""

    @property
    def at_limit(self) -> bool:
        """Whether it is as long as the length limit allows."""

    @property
    def num_stray_bytes(self) -> int:
        """Byte pieces that spell no character."""


Found = TypeVar("Found", bound=Sequence[Checked])
"""The translations of a line, best first."""


class OutputChecks:
    """Counts lines whose best translation ends at the length limit or has stray bytes."""

    def __init__(self, lines_before: int = 0) -> None:
        """lines_before: number of lines before the first one that is checked."""
        self._line = lines_before
        self._num_at_limit = self._first_at_limit = 0
        self._num_stray = self._first_stray = 0

    def watch(self, results: Iterable[Found]) -> Iterator[Found]:
        """Yield the results unchanged, and check each."""
        for found in results:
            self._check(found[0])
            yield found

    def warnings(self) -> list[str]:
        """A sentence for each kind of finding so far."""
        found = []
        if self._num_at_limit:
            found.append(
                f"Translations that end at the length limit: {self._num_at_limit:,}, the first in "
                f"line {self._first_at_limit:,}. They may be cut. A higher "
                "decoding.max_length_ratio or decoding.max_length_extra allows longer ones. (An "
                "export keeps the limit of its run.)"
            )
        if self._num_stray:
            found.append(
                f"Translations with bytes that spell no character: {self._num_stray:,}, the first "
                f"in line {self._first_stray:,}. These bytes were left out. A model that is "
                "trained longer writes fewer."
            )
        return found

    def _check(self, best: Checked) -> None:
        self._line += 1
        if best.at_limit:
            self._num_at_limit += 1
            self._first_at_limit = self._first_at_limit or self._line
        if best.num_stray_bytes:
            self._num_stray += 1
            self._first_stray = self._first_stray or self._line
