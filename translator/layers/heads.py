"""The heads of an attention: the width of a model in N equal parts.

B batch, N heads, T length, H head width, D = N·H model width.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from translator.layers.dense import known_shape


class KeyValue(NamedTuple):
    """Projected keys and values, each [B, N, S, H]: of a memory, or a decoder's cache."""

    key: tf.Tensor
    value: tf.Tensor


def split_heads(x: tf.Tensor, num_heads: int, count: int = 1) -> list[tf.Tensor]:
    """`count` vectors of width D side by side, [B, T, count · D] → `count` × [B, N, T, H]."""
    head_dim = x.shape[2] // (count * num_heads)
    heads = tf.reshape(x, [*known_shape(x)[:2], count, num_heads, head_dim])
    return tf.unstack(tf.transpose(heads, [2, 0, 3, 1, 4]), count)


def join_heads(heads: tf.Tensor) -> tf.Tensor:
    """[B, N, T, H] → [B, T, D]"""
    batch, num_heads, length, head_dim = known_shape(heads)
    return tf.reshape(tf.transpose(heads, [0, 2, 1, 3]), [batch, length, num_heads * head_dim])
