"""Who may look at what: booleans, True = may be attended to, one meaning everywhere.

B batch, S source length, T target length.
"""

import tensorflow as tf

from translator.data.tokenizer import PAD_ID


def padding_mask(ids: tf.Tensor) -> tf.Tensor:
    """[B, S] ids → [B, 1, 1, S]: every position that is not padding, for all heads and queries."""
    return tf.not_equal(ids, PAD_ID)[:, tf.newaxis, tf.newaxis, :]


def causal_mask(length: tf.Tensor) -> tf.Tensor:
    """→ [1, 1, T, T]: each position sees itself and what came before."""
    positions = tf.range(length)
    return (positions[:, tf.newaxis] >= positions)[tf.newaxis, tf.newaxis]
