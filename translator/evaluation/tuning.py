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

from translator.config.schema import LengthPenaltyKind
from translator.decoding.engine import Translation
from translator.decoding.search import length_penalty

BEAM_SIZES = (1, 2, 3, 4, 5, 8, 12)
LENGTH_PENALTIES = tuple(i / 5 for i in range(11))

CHANCE = 0.1
"""BLEU that a thousand sentences do not tell from none."""


class Setting(NamedTuple):
    """How the translations that a beam and a penalty choose score."""

    beam_size: int
    length_penalty: float
    bleu: float


def settings(
    beams: Mapping[int, Sequence[Sequence[Translation]]],
    penalties: Sequence[float],
    bleu: Callable[[tuple[str, ...]], float],
    kind: LengthPenaltyKind,
) -> list[Setting]:
    """Every beam size with every α of a kind of penalty; `beams` are those of
    `Translator.beams`."""
    score = lru_cache(bleu)
    lengths = [one.length for beam in beams.values() for found in beam for one in found]
    every_length = tf.maximum(tf.range(max(lengths) + 1), 1)  # 0 of an empty sentence
    by_length = {alpha: length_penalty(every_length, alpha, kind).numpy() for alpha in penalties}
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
    """Of all that come within CHANCE of the best, the smallest beam with the least penalty."""
    good = goodness(tried)
    enough = max(good.values()) - CHANCE
    return min(
        (one for one in tried if good[one] >= enough),
        key=lambda one: (one.beam_size, one.length_penalty),
    )


def goodness(tried: Sequence[Setting]) -> dict[Setting, float]:
    """Of each its BLEU or the mean with the next lower and the next higher penalty of the same
    beam, whichever is less, since what stands out alone is mostly chance.

    Beyond the first and the last, BLEU is taken to be what it is on their other side.
    """

    def of(one: Setting) -> float:
        row = sorted(x for x in tried if x.beam_size == one.beam_size)
        place = row.index(one)
        near = row[:place][-1:] + row[place + 1 :][:1] or [one]
        return min(one.bleu, (one.bleu + near[0].bleu + near[-1].bleu) / 3)

    return {one: of(one) for one in tried}


def is_better(tried: Sequence[Setting], others: Sequence[Setting]) -> bool:
    """Whether the best of some is better than the best of others by more than CHANCE."""
    return max(goodness(tried).values()) > max(goodness(others).values()) + CHANCE
