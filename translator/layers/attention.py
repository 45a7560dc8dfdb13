"""Attention: softmax(Q Kᵀ / √d) V, the one operation that every model here is made of.

A query looks at a row of keys; how well it fits each of them becomes a weight; the answer is the
mean of the values under these weights. Recurrent, convolutional and self-attentive models differ
only in where queries, keys and values come from:

- encoder self-attention: all three from the source sentence;
- decoder self-attention: all three from the target so far (a causal mask while training, a cache of
  earlier keys and values while decoding);
- cross-attention: queries from the decoder, keys and values from the encoder's memory.

Three readings that are easily got wrong. The softmax is multiplied by V, the projected values, and
not by the matrix W^V that projects them. The weights are the softmax of the scores alone; elements
come in only when the values are summed. And the formula ends with that sum: adding the query back
is the residual connection of the block around it (layers/residual.py), not part of attention; the
projection after it is told to do so (`plus`) where that takes no time.

B batch, N heads, T queries, S keys, H head width, D = N·H model width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from translator.layers.dense import Dense, known_shape, linear
from translator.layers.dropout import dropout
from translator.layers.inference import prepared


class KeyValue(NamedTuple):
    """Keys and values of a memory, projected once; also a decoder's cache. Each [B, N, S, H]."""

    key: tf.Tensor
    value: tf.Tensor


Product = Callable[..., tf.Tensor]
"""Multiplies the last two axes like `tf.matmul`: (x, y, transpose_b=False) → x y or x yᵀ."""


def small_batch_matmul(x: tf.Tensor, y: tf.Tensor, transpose_b: bool = False) -> tf.Tensor:
    """`tf.matmul` for many small matrices with a handful of rows each, whose number changes with
    every step of a search.

    On a processor TensorFlow leaves batches of products to oneDNN, whose preparation then takes
    longer than the product. This operation, the same on other devices, it leaves to Eigen.
    """
    return tf.raw_ops.BatchMatMulV3(x=x, y=y, Tout=x.dtype, adj_y=transpose_b)


def attention_weights(
    query: tf.Tensor,
    key: tf.Tensor,
    mask: tf.Tensor | None = None,
    product: Product = tf.matmul,
) -> tf.Tensor:
    """softmax(Q Kᵀ / √H) over the keys: [..., T, H], [..., S, H] → [..., T, S] float32.

    `mask` (boolean, broadcast to the result) is True where a query may look. A query that may look
    nowhere gets weights of zero, and its gradients are zero too.
    """
    scores = product(query, key, transpose_b=True)
    scores *= tf.constant(1 / math.sqrt(query.shape[-1]), scores.dtype)
    if mask is None:
        return tf.nn.softmax(tf.cast(scores, tf.float32))
    # Subtracted: an addition TensorFlow would fuse with the product into a far slower kernel.
    scores -= tf.where(mask, tf.zeros([], scores.dtype), scores.dtype.max)
    weights = tf.nn.softmax(tf.cast(scores, tf.float32))
    return tf.where(tf.reduce_any(mask, axis=-1, keepdims=True), weights, 0.0)


def dot_product_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    mask: tf.Tensor | None = None,
    dropout_rate: float = 0.0,
    seed: tf.Tensor | None = None,
    product: Product = tf.matmul,
) -> tuple[tf.Tensor, tf.Tensor]:
    """softmax(Q Kᵀ / √H) V (Vaswani et al. 2017, equation 1).

    Shapes: query [..., T, H], key [..., S, H], value [..., S, H']. Returns the output
    [..., T, H'], in the values' dtype, and the weights [..., T, S] in float32, before dropout.
    """
    weights = attention_weights(query, key, mask, product)
    kept = dropout(tf.cast(weights, value.dtype), dropout_rate, seed)
    return product(kept, value), weights


class MultiHeadAttention(keras.layers.Layer):
    """N attentions side by side, each on its own projection of width H = model_dim / num_heads.

    `call(query, memory, mask)` is `attend(query, keys_values(memory), mask)`; a decoder that looks
    at the same memory again and again keeps `keys_values(memory)`.
    """

    def __init__(
        self, model_dim: int, num_heads: int, dropout_rate: float = 0.0, **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        self.model_dim = model_dim
        self.num_heads = num_heads
        self.dropout_rate = dropout_rate
        self.query_projection = self._projection(model_dim, "query")
        self.key_value_projection = self._projection(2 * model_dim, "key_value")
        self.output_projection = self._projection(model_dim, "output")

    def build(self, query_shape: tuple[int | None, ...]) -> None:
        for projection in (
            self.query_projection,
            self.key_value_projection,
            self.output_projection,
        ):
            projection.build((None, None, self.model_dim))

    def keys_values(self, memory: tf.Tensor) -> KeyValue:
        """[B, S, D] → keys and values, each [B, N, S, H]."""
        return KeyValue(*self.heads(self.key_value_projection(memory), 2))

    def attend(
        self,
        query: tf.Tensor,
        key_value: KeyValue,
        mask: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        plus: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """[B, T, D] queries look once at keys and values: → [B, T, D], to which `plus` is added."""
        (query,) = self.heads(self.query_projection(query), 1)
        return self.output_projection(self.find(query, key_value, mask, seed), plus)

    def attend_to_itself(
        self,
        x: tf.Tensor,
        mask: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        plus: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """call(x, x, mask, seed), to which `plus` is added."""
        found = self.find(*self.queries_keys_values(x), mask, seed)
        return self.output_projection(found, plus)

    def queries_keys_values(self, x: tf.Tensor) -> tuple[tf.Tensor, KeyValue]:
        """[B, T, D] → queries [B, N, T, H], keys and values, by one product for all."""
        kernels = self.query_projection.kernel, self.key_value_projection.kernel
        kernel = prepared(lambda: tf.cast(tf.concat([k.value for k in kernels], axis=1), x.dtype))
        rows = linear(tf.reshape(x, [-1, self.model_dim]), kernel)
        rows = tf.reshape(rows, [*known_shape(x)[:2], 3 * self.model_dim])
        query, key, value = self.heads(rows, 3)
        return query, KeyValue(key, value)

    def call(
        self,
        query: tf.Tensor,
        memory: tf.Tensor,
        mask: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        plus: tf.Tensor | None = None,
    ) -> tf.Tensor:
        return self.attend(query, self.keys_values(memory), mask, seed, plus)

    def find(
        self,
        query: tf.Tensor,
        key_value: KeyValue,
        mask: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        product: Product = tf.matmul,
    ) -> tf.Tensor:
        """What projected queries [B, N, T, H] find, before it is projected itself: → [B, T, D]."""
        heads, _ = dot_product_attention(query, *key_value, mask, self.dropout_rate, seed, product)
        return self._join_heads(heads)

    def heads(self, x: tf.Tensor, count: int) -> list[tf.Tensor]:
        """[B, T, count · D], side by side, → `count` times [B, N, T, H]."""
        batch_and_length = known_shape(x)[:2]
        head_dim = self.model_dim // self.num_heads
        if x.shape[1] == 1:
            parts = tf.split(x, count, axis=2)
            return [tf.reshape(part, [-1, self.num_heads, 1, head_dim]) for part in parts]
        heads = tf.reshape(x, [*batch_and_length, count, self.num_heads, head_dim])
        return tf.unstack(tf.transpose(heads, [2, 0, 3, 1, 4]), count)

    def _projection(self, width: int, name: str) -> Dense:
        return Dense(width, use_bias=False, dtype=self.dtype_policy, name=name)

    def _join_heads(self, x: tf.Tensor) -> tf.Tensor:
        """[B, N, T, H] → [B, T, D]"""
        batch, _, length, _ = known_shape(x)
        if x.shape[2] != 1:
            x = tf.transpose(x, [0, 2, 1, 3])
        return tf.reshape(x, [batch, length, self.model_dim])
