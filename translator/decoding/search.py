"""What a search is given and what it returns. It knows a step function, never a model.

B sentences, K beams (hypotheses a sentence), L longest output.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from translator.config.schema import DecodingConfig


class Hypotheses(NamedTuple):
    """Finished translations of each sentence, best first."""

    ids: tf.Tensor
    """[B, K, L] int32: without begin, with end, padded."""
    scores: tf.Tensor
    """[B, K] float32: log-probability over length penalty; -inf where there are fewer than K."""


def length_penalty(length: tf.Tensor, alpha: float | tf.Tensor) -> tf.Tensor:
    """((5 + length) / 6)^α, the end counted (Wu et al. 2016, equation 14)."""
    return ((5.0 + tf.cast(length, tf.float32)) / 6.0) ** alpha


def power_penalty(length: tf.Tensor, alpha: float | tf.Tensor) -> tf.Tensor:
    """length^α, the end counted: that of CTranslate2 and most other programs."""
    return tf.cast(length, tf.float32) ** alpha


def longest_translation(config: DecodingConfig, num_pieces: int) -> int:
    """Pieces, its end included, that a translation of so many source pieces may have."""
    return int(config.max_length_ratio * (num_pieces + 1)) + config.max_length_extra
