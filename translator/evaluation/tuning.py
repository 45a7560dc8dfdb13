"""Which beam and which length penalty translate best, found without searching anew for each.

What ends up in a beam does not depend on the length penalty, only what is best in it does; so one
search for each beam size serves for all penalties.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from translator.config.schema import LengthPenaltyKind
from translator.decoding.engine import Translation
from translator.decoding.search import length_penalty
from translator.evaluation.score import BleuCounts

BEAM_SIZES = (1, 2, 3, 4, 5, 8, 12)
LENGTH_PENALTIES = tuple(i / 5 for i in range(11))

NUM_SAMPLES = 200
"""Of sentences, to see how much of a gain is chance."""


class Setting(NamedTuple):
    """How the translations that a beam and a penalty choose score."""

    beam_size: int
    length_penalty: float
    bleu: float
    counts: np.ndarray
    """Of `BleuCounts`."""


def settings(
    beams: Mapping[int, Sequence[Sequence[Translation]]],
    penalties: Sequence[float],
    bleu: BleuCounts,
    kind: LengthPenaltyKind,
) -> list[Setting]:
    """Every beam size with every α of a kind of penalty; `beams` are those of
    `Translator.beams`."""
    lengths = [one.length for beam in beams.values() for found in beam for one in found]
    every_length = tf.maximum(tf.range(max(lengths) + 1), 1)  # 0 of an empty sentence
    by_length = {alpha: length_penalty(every_length, alpha, kind).numpy() for alpha in penalties}

    def setting(beam_size: int, alpha: float) -> Setting:
        counts = bleu.count([best(found, by_length[alpha]) for found in beams[beam_size]])
        return Setting(beam_size, alpha, bleu.bleu(counts.sum(axis=0)), counts)

    return [setting(beam_size, alpha) for beam_size in beams for alpha in penalties]


def best(found: Sequence[Translation], penalties: np.ndarray) -> str:
    """The text with the highest log-probability over the penalty of its length; of equal ones the
    first."""
    return max(found, key=lambda one: np.float32(one.score) / penalties[one.length]).text


class Gain(NamedTuple):
    """In BLEU, of one setting on another."""

    value: float
    error: float
    """Its standard error: the standard deviation of the gain over samples of the sentences, drawn
    with replacement and the same for both (paired bootstrap, Koehn 2004)."""

    @property
    def sure(self) -> float:
        return self.value - self.error

    def __str__(self) -> str:
        return f"{self.value:+.2f} ± {self.error:.2f}"


def gain(one: Setting, now: Setting, bleu: BleuCounts) -> Gain:
    """What a setting gains on that of now."""
    num_sentences = len(now.counts)
    samples = np.random.default_rng(0).multinomial(
        num_sentences, np.full(num_sentences, 1 / num_sentences), NUM_SAMPLES
    )

    def sampled(setting: Setting) -> np.ndarray:
        return np.array([bleu.bleu(counts) for counts in samples @ setting.counts])

    return Gain(one.bleu - now.bleu, float(np.std(sampled(one) - sampled(now))))


def winner(tried: Sequence[Setting], now: Setting, bleu: BleuCounts) -> Setting:
    """The one that gains most on that of now, the standard error of the gain taken off it; of equal
    ones the first.

    So what stands out by a few sentences does not win, and now stays if nothing is surely better.
    """
    return max(tried, key=lambda one: gain(one, now, bleu).sure)
