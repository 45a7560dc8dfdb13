"""What a search is given and what it returns. It knows a step function, never a model.

B sentences, K beams (hypotheses a sentence), R = B·K rows, L longest output, V vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class Hypotheses(NamedTuple):
    """Finished translations of each sentence, best first."""

    ids: tf.Tensor
    """[B, K, L] int32: without begin, with end, padded."""
    scores: tf.Tensor
    """[B, K] float32: log-probability over length penalty; -inf where there are fewer than K."""


def length_penalty(length: tf.Tensor, alpha: float | tf.Tensor) -> tf.Tensor:
    """((5 + length) / 6)^α, the end counted (Wu et al. 2016, equation 14)."""
    return ((5.0 + tf.cast(length, tf.float32)) / 6.0) ** alpha
