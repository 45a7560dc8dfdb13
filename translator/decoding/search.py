"""What a search returns, and how it scores.

B sentences, K beams (hypotheses a sentence), L longest output.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from translator.config.schema import DecodingConfig, LengthPenaltyKind


class Hypotheses(NamedTuple):
    """Finished translations of each sentence, best first."""

    ids: tf.Tensor
    """[B, K, L] int32: without begin, with end, padded."""
    scores: tf.Tensor
    """[B, K] float32: log-probability over length penalty; -inf where there are fewer than K."""
    piece_log_probs: tf.Tensor | tuple[()] = ()
    """[B, K, L] float32: log-probability of each piece, 0 on padding; empty if not asked for."""


def length_penalty(
    length: tf.Tensor, alpha: float | tf.Tensor, kind: LengthPenaltyKind = "gnmt"
) -> tf.Tensor:
    """What a log-probability is divided by; the length includes the end.

    gnmt: ((5 + length) / 6)^α (Wu et al. 2016, equation 14); power: length^α.
    """
    length = tf.cast(length, tf.float32)
    return (length if kind == "power" else (5.0 + length) / 6.0) ** alpha


def longest_translation(config: DecodingConfig, num_pieces: int) -> int:
    """Maximal pieces, end included, of the translation of so many source pieces."""
    return config.length_limit.of(num_pieces)
