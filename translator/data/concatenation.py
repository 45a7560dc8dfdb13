"""Data augmentation by concatenation: pairs joined two by two (Nguyen et al. 2021).

The sources of two pairs are concatenated, and so are their targets. A batch in which all pairs can
be joined keeps its number of pieces and has half as many pairs, twice as long. In any other batch
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
    """Share of the batches that are joined."""
    seed: int
    max_length: int
    """Longest side of a joined pair in pieces, its end included."""

    def applies(self, step: int) -> bool:
        """Whether the pairs of the batch at `step` (from 0) are joined, if they fit."""
        draw = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, step, 1])))
        return bool(draw.random() < self.rate)


def joined(
    sources: Rows, targets: Rows, max_length: int, tags: Container[int] = ()
) -> tuple[Rows, Rows]:
    """Join the first and second row of ids, the third and fourth, and so on.

    No row is joined if the longest does not fit into max_length twice, with an end. Two rows are
    not joined if their sources begin with different `tags`. The tag of the second source is left
    out, so that the joined source has its tag in front like any other.
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
