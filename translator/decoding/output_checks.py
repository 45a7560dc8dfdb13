"""What is odd about translations, and would otherwise go unsaid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from translator.decoding.engine import Translation


class OutputChecks:
    """Counts the lines whose best translation ends at the length limit, or held stray bytes."""

    def __init__(self, lines_before: int = 0) -> None:
        """lines_before: how many lines come before the first one that is seen."""
        self._line = lines_before
        self._num_at_limit = self._first_at_limit = 0
        self._num_stray = self._first_stray = 0

    def watch(self, results: Iterable[list[Translation]]) -> Iterator[list[Translation]]:
        """Pass the translations of each line on, having seen the best one."""
        for found in results:
            self._see(found[0])
            yield found

    def warnings(self) -> list[str]:
        """A sentence on each kind of what was seen so far."""
        found = []
        if self._num_at_limit:
            found.append(
                f"Translations that end at the length limit: {self._num_at_limit:,}, the first of "
                f"them in line {self._first_at_limit:,}. They may be cut. A higher "
                "decoding.max_length_ratio or max_length_extra allows longer ones; an export keeps "
                "those of its run."
            )
        if self._num_stray:
            found.append(
                f"Translations with bytes that spell no character: {self._num_stray:,}, the first "
                f"of them in line {self._first_stray:,}. These bytes were left out; a model that "
                "has learnt more writes fewer."
            )
        return found

    def _see(self, best: Translation) -> None:
        self._line += 1
        if best.at_limit:
            self._num_at_limit += 1
            self._first_at_limit = self._first_at_limit or self._line
        if best.num_stray_bytes:
            self._num_stray += 1
            self._first_stray = self._first_stray or self._line
