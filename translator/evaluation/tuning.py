"""The beam size and length penalty with the highest BLEU, found with one search per beam size.

The length penalty does not change which translations are in a beam, only which of them is best. So
one search per beam size serves all penalties. Tuning always uses BLEU, even if training.best_by
names another metric: BLEU of a sample follows from counts per sentence, so the bootstrap is fast.
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
"""Bootstrap samples, to estimate how much of a gain is chance."""


@dataclass(frozen=True)
class Setting:
    """A beam size and length penalty, and the BLEU of the translations they choose."""

    beam_size: int
    length_penalty: float
    bleu: float
    counts: np.ndarray = field(repr=False, compare=False)
    """[sentences, 10], from `BleuCounts.count`."""


def settings(
    beams: Mapping[int, Sequence[Sequence[Translation]]],
    penalties: Sequence[float],
    bleu: BleuCounts,
    kind: LengthPenaltyKind,
) -> list[Setting]:
    """Score every beam size with every α of a kind of penalty.

    beams: the result of `Translator.beams`.
    """
    lengths = [one.length for beam in beams.values() for found in beam for one in found]
    every_length = tf.maximum(tf.range(max(lengths) + 1), 1)  # an empty sentence has length 0
    by_length = {alpha: length_penalty(every_length, alpha, kind).numpy() for alpha in penalties}

    def setting(beam_size: int, alpha: float) -> Setting:
        counts = bleu.count([best(found, by_length[alpha]) for found in beams[beam_size]])
        return Setting(beam_size, alpha, bleu.bleu(counts.sum(axis=0)), counts)

    return [setting(beam_size, alpha) for beam_size in beams for alpha in penalties]


def best(found: Sequence[Translation], penalties: np.ndarray) -> str:
    """The text with the highest log-probability divided by the penalty [length] of its length; the
    first if several are equal."""
    return max(found, key=lambda one: np.float32(one.score) / penalties[one.length]).text


class Gain(NamedTuple):
    """A difference in BLEU between two settings."""

    value: float
    error: float
    """Its standard error by paired bootstrap (Koehn 2004): the standard deviation of the gain over
    samples of the sentences, drawn with replacement and the same for both settings."""

    @property
    def lower_bound(self) -> float:
        """The gain minus its standard error."""
        return self.value - self.error

    def __str__(self) -> str:
        return f"{self.value:+.2f} ± {self.error:.2f}"


class Baseline:
    """The setting that others are compared with."""

    def __init__(self, setting: Setting, bleu: BleuCounts) -> None:
        self._setting, self._bleu = setting, bleu
        num_sentences = len(setting.counts)
        chances = np.full(num_sentences, 1 / num_sentences)
        self._samples = np.random.default_rng(0).multinomial(num_sentences, chances, NUM_SAMPLES)
        self._sampled_bleu = self._bleu_of_samples(setting)

    def _bleu_of_samples(self, setting: Setting) -> np.ndarray:
        return np.array([self._bleu.bleu(counts) for counts in self._samples @ setting.counts])

    def gain(self, setting: Setting) -> Gain:
        """The gain of another setting over this one."""
        error = np.std(self._bleu_of_samples(setting) - self._sampled_bleu)
        return Gain(setting.bleu - self._setting.bleu, float(error))

    def winner(self, tried: Sequence[Setting]) -> Setting:
        """The setting with the highest gain minus its standard error.

        Among equal settings the baseline wins, then the smallest beam, then the first. So if the
        baseline is tried, only a setting that is reliably better replaces it.
        """

        def key(setting: Setting) -> tuple[float, bool, int]:
            return self.gain(setting).lower_bound, setting == self._setting, -setting.beam_size

        return max(tried, key=key)
