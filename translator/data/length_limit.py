"""The length limit of translations, from the lengths of the training text.

N: number of pairs. Lengths are in pieces, without the end.
"""

from __future__ import annotations

import math

import numpy as np

from translator.config.statistics import LEAST_LIMIT, LengthLimit

OUTLIER_ONE_IN = 1000
"""Limits ignore the longest of this many pairs: it may be misaligned."""

FEW_OUTLIERS, FEW_ONE_IN = 3, 100
"""Small texts may have FEW_OUTLIERS outliers, but no more than one in FEW_ONE_IN pairs."""

SLACK = 1.2
"""A target must fit even if it were this many times as long, because other text may be longer."""

RATIOS = (2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0, 100.0)
MOST_EXTRA = 10_000
MOST_PAIRS = 1_000_000
"""Of more pairs than this, an evenly spread sample is used."""


def num_outliers(num_pairs: int) -> int:
    """Number of pairs that a limit on lengths ignores."""
    return num_pairs // OUTLIER_ONE_IN


def needed_limit(
    sources: np.ndarray,
    targets: np.ndarray,
    ratio: float | None = None,
    extra: int | None = None,
) -> LengthLimit:
    """The limit that covers the target lengths [N] of source lengths [N].

    A given ratio or extra is kept. Otherwise, each of RATIOS is combined with the smallest extra
    that covers the targets, and the limit with the lowest mean is chosen. So long targets of long
    sources raise the ratio, and long targets of short sources raise the extra. The extra is at
    least that of LEAST_LIMIT, which ordinary text gets.
    """
    stride = max(1, math.ceil(len(sources) / MOST_PAIRS))
    read = sources[::stride].astype(np.float64) + 1
    num_beyond = max(num_outliers(len(read)), min(FEW_OUTLIERS, len(read) // FEW_ONE_IN))
    written = SLACK * (targets[::stride].astype(np.float64) + 1)

    def missing(ratio: float) -> int:
        return math.ceil(np.sort(written - np.floor(ratio * read))[-1 - num_beyond])

    def mean(limit: LengthLimit) -> float:
        return limit.ratio * float(read.mean()) + limit.extra

    ratios = RATIOS if ratio is None else (ratio,)
    if extra is not None:
        enough = (ratio for ratio in ratios if missing(ratio) <= extra)
        return LengthLimit(next(enough, ratios[-1]), extra)
    extras = [min(MOST_EXTRA, max(LEAST_LIMIT.extra, missing(ratio))) for ratio in ratios]
    return min(map(LengthLimit, ratios, extras), key=mean)


def share_beyond(limit: LengthLimit, sources: np.ndarray, targets: np.ndarray) -> float:
    """Share of the target lengths [N] that exceed the limit for their source lengths [N]."""
    longest = np.floor(limit.ratio * (sources.astype(np.float64) + 1)) + limit.extra
    return float(np.mean(targets + 1 > longest))
