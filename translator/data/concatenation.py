"""Pairs of a batch joined two by two into longer ones, to learn from (Nguyen et al. 2021).

The source of a joined pair is one source after the other, its target likewise. A batch of which all
can be joined keeps its number of pieces, and has half as many pairs of twice the length; in others
every pair stays as it is, so that padding does not grow.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

import numpy as np

Row = Sequence[int] | np.ndarray
Rows = Sequence[Row]


class Concatenation(NamedTuple):
    """Which batches are joined."""

    rate: float
    """Share of the batches."""
    seed: int
    max_length: int
    """A joined pair has no longer side, its end included."""

    def applies(self, step: int) -> bool:
        """Whether the pairs of the batch at `step` are to be joined."""
        draw = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, step, 1])))
        return bool(draw.random() < self.rate)


def joined(
    sources: Rows, targets: Rows, max_length: int, tags: Container[int] = ()
) -> tuple[Rows, Rows]:
    """Rows of ids → rows of which the first and second are one, the third and fourth, and so on.

    All rows stay as they are if the longest would not fit twice into max_length, its end included;
    two, if their sources do not begin with the same of the `tags`, or none. The tag of the second
    is left out, so that it stands in front as in any other source.
    """
    if 2 * max(map(len, [*sources, *targets])) >= max_length:
        return sources, targets

    def tag(source: Row) -> int | None:
        return int(source[0]) if len(source) and source[0] in tags else None

    found: list[tuple[Row, Row]] = []
    pairs = list(zip(sources, targets, strict=True))
    for i in range(0, len(pairs), 2):
        two = pairs[i : i + 2]
        if len({tag(source) for source, _ in two}) == 1:
            shown = [
                source[j > 0 and tag(source) is not None :] for j, (source, _) in enumerate(two)
            ]
            two = [(np.concatenate(shown), np.concatenate([target for _, target in two]))]
        found += two
    return [source for source, _ in found], [target for _, target in found]
