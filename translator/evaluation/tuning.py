"""Which beam and which length penalty translate best, found without searching anew for each.

What ends up in a beam does not depend on the length penalty, only what is best in it does; so one
search for each beam size serves for all penalties.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from translator.decoding.engine import Translation
from translator.decoding.search import length_penalty

BEAM_SIZES = (1, 2, 3, 4, 5, 8, 12)
LENGTH_PENALTIES = tuple(i / 5 for i in range(11))


class Setting(NamedTuple):
    """How the translations that a beam and a penalty choose score."""

    beam_size: int
    length_penalty: float
    bleu: float


def settings(
    beams: Mapping[int, Sequence[Sequence[Translation]]],
    penalties: Sequence[float],
    bleu: Callable[[tuple[str, ...]], float],
    penalty: Callable[[tf.Tensor, float], tf.Tensor] = length_penalty,
) -> list[Setting]:
    """Every beam size with every α of a penalty; `beams` are those of `Translator.beams`."""
    score = lru_cache(bleu)
    lengths = [one.length for beam in beams.values() for found in beam for one in found]
    every_length = tf.maximum(tf.range(max(lengths) + 1), 1)  # 0 of an empty sentence
    by_length = {alpha: penalty(every_length, alpha).numpy() for alpha in penalties}
    return [
        Setting(beam_size, alpha, score(tuple(best(found, by_length[alpha]) for found in beam)))
        for beam_size, beam in beams.items()
        for alpha in penalties
    ]


def best(found: Sequence[Translation], penalties: np.ndarray) -> str:
    """The text with the highest log-probability over the penalty of its length; of equal ones the
    first."""
    return max(found, key=lambda one: np.float32(one.score) / penalties[one.length]).text


def winner(tried: Sequence[Setting]) -> Setting:
    """The highest BLEU, taken as the mean with that of the next penalties of the same beam, since
    what stands out alone is mostly chance; of equal ones the smallest beam, then the least penalty.
    """

    def mean(one: Setting) -> float:
        row = sorted(x for x in tried if x.beam_size == one.beam_size)
        place = row.index(one)
        near = row[max(0, place - 1) : place + 2]
        return sum(x.bleu for x in near) / len(near)

    return max(tried, key=lambda one: (round(mean(one), 6), -one.beam_size, -one.length_penalty))
