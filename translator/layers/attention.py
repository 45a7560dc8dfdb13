"""Attention: softmax(Q Kᵀ / √d) V, the operation that all models here share.

A query is compared with a row of keys. How well it fits each key becomes a weight, and the result
is the mean of the values under these weights. In self-attention all three come from one sequence.
In cross-attention queries come from the target, keys and values from the encoder's memory.

Three points are easily misread. The softmax is multiplied by V, the projected values, and not by
the matrix that projects them. The weights are the softmax of the scores alone; values enter only
with the sum. The residual connection around attention (layers/residual.py) is no part of it.

B batch, N heads, T queries, S keys, H head width, D = N·H model width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import keras
import tensorflow as tf

from translator.layers.attention_blocks import attention_in_blocks
from translator.layers.dense import Dense
from translator.layers.dropout import Seed, dropout
from translator.layers.heads import KeyValue, join_heads, split_heads
from translator.layers.visible import EVERYTHING, Visible

Matmul = Callable[..., tf.Tensor]  # tf.matmul, or a fast form of it (layers/kernels.py)


def attention_scores(
    query: tf.Tensor, key: tf.Tensor, mask: tf.Tensor | None = None, matmul: Matmul = tf.matmul
) -> tf.Tensor:
    """Q Kᵀ / √H: [..., T, H], [..., S, H] → [..., T, S] float32.

    `mask` (boolean, broadcast to the result) is True where a query may look.
    """
    scores = matmul(query, key, transpose_b=True)
    scores *= tf.constant(1 / math.sqrt(query.shape[-1]), scores.dtype)
    if mask is not None:
        # TensorFlow would fuse an addition with the product into a slower kernel.
        scores -= tf.where(mask, tf.zeros([], scores.dtype), scores.dtype.max)
    return tf.cast(scores, tf.float32)


def dot_product_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    mask: tf.Tensor | None = None,
    dropout_rate: float = 0.0,
    seed: Seed = None,
    matmul: Matmul = tf.matmul,
) -> tuple[tf.Tensor, tf.Tensor]:
    """softmax(Q Kᵀ / √H) V (Vaswani et al. 2017, equation 1).

    Shapes: query [..., T, H], key [..., S, H], value [..., S, H']. Returns the output
    [..., T, H'], in the values' dtype, and the weights [..., T, S] in float32, before dropout.
    A query that may look nowhere gets weights of zero, and its gradients are zero too.
    """
    weights = tf.nn.softmax(attention_scores(query, key, mask, matmul))
    if mask is not None:
        weights = tf.where(tf.reduce_any(mask, axis=-1, keepdims=True), weights, 0.0)
    kept = dropout(tf.cast(weights, value.dtype), dropout_rate, seed)
    return matmul(kept, value), weights


class MultiHeadAttention(keras.layers.Layer):
    """N attentions side by side, each on its own projection of width H = D / N."""

    def __init__(
        self,
        model_dim: int,
        num_heads: int,
        dropout_rate: float = 0.0,
        block_size: int | None = None,
        **kwargs: object,
    ) -> None:
        """block_size: number of queries at a time, as in `attention_in_blocks`; None is all."""
        super().__init__(**kwargs)
        self.model_dim, self.num_heads = model_dim, num_heads
        self.dropout_rate, self.block_size = dropout_rate, block_size
        no_bias = {"use_bias": False, "dtype": self.dtype_policy}
        self.query_projection = Dense(model_dim, name="query", **no_bias)
        self.key_value_projection = Dense(2 * model_dim, name="key_value", **no_bias)
        self.output_projection = Dense(model_dim, name="output", **no_bias)

    def build(self, shape: tuple[int | None, ...]) -> None:
        for layer in (self.query_projection, self.key_value_projection, self.output_projection):
            layer.build(shape)

    def call(
        self, x: tf.Tensor, memory: tf.Tensor, visible: Visible = EVERYTHING, seed: Seed = None
    ) -> tf.Tensor:
        """[B, T, D] looks at a memory [B, S, D] → [B, T, D]."""
        (query,) = split_heads(self.query_projection(x), self.num_heads)
        return self.output_projection(self.attend(query, self.keys_values(memory), visible, seed))

    def keys_values(self, memory: tf.Tensor) -> KeyValue:
        """[B, S, D] → keys and values, each [B, N, S, H]."""
        return KeyValue(*split_heads(self.key_value_projection(memory), self.num_heads, 2))

    def attend(
        self,
        query: tf.Tensor,
        key_value: KeyValue,
        visible: Visible = EVERYTHING,
        seed: Seed = None,
        matmul: Matmul = tf.matmul,
    ) -> tf.Tensor:
        """Attention before the output projection: queries [B, N, T, H] → [B, T, D]."""
        attention = partial(dot_product_attention, matmul=matmul)
        inputs = query, *key_value, visible, self.dropout_rate, seed
        return join_heads(attention_in_blocks(attention, *inputs, self.block_size))

    def weights_of(self, query: tf.Tensor, key_value: KeyValue, visible: Visible) -> tf.Tensor:
        """The weights in `attend`, to be looked at: [B, N, T, H] → [B, N, T, S] float32."""
        mask = visible.mask(tf.shape(query)[2], tf.shape(key_value.key)[2])
        return dot_product_attention(query, *key_value, mask)[1]
