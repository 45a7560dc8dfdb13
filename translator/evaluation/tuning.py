"""Which beam and which length penalty translate best, found without searching anew for each.

What ends up in a beam does not depend on the length penalty, only what is best in it does; so one
search for each beam size serves for all penalties.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Setting:
    """How the translations that a beam and a penalty choose score."""

    beam_size: int
    length_penalty: float
    bleu: float
    counts: np.ndarray = field(repr=False, compare=False)
    """Of `BleuCounts`, by sentence."""


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


class Baseline:
    """A setting that others are compared with."""

    def __init__(self, now: Setting, bleu: BleuCounts) -> None:
        self._now, self._bleu = now, bleu
        num_sentences = len(now.counts)
        chances = np.full(num_sentences, 1 / num_sentences)
        self._samples = np.random.default_rng(0).multinomial(num_sentences, chances, NUM_SAMPLES)
        self._sampled_now = self._sampled(now)

    def _sampled(self, setting: Setting) -> np.ndarray:
        return np.array([self._bleu.bleu(counts) for counts in self._samples @ setting.counts])

    def gain(self, one: Setting) -> Gain:
        """What another gains on it."""
        error = np.std(self._sampled(one) - self._sampled_now)
        return Gain(one.bleu - self._now.bleu, float(error))

    def winner(self, tried: Sequence[Setting]) -> Setting:
        """The one that surely gains most; of equal ones that of now, then the smallest beam, then
        the first. So now stays, if it is tried, unless something is surely better."""

        def worth(one: Setting) -> tuple[float, bool, int]:
            return self.gain(one).sure, one == self._now, -one.beam_size

        return max(tried, key=worth)
