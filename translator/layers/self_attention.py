"""Self-attention: every position of a sequence looks at the positions that it may see.

It is a mixer (mixer.py). Its state is a cache of the keys and values of earlier positions.

B batch, R rows of a search, N heads, T length, H head width, D model width.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tensorflow as tf

from translator.layers import kernels
from translator.layers.attention import MultiHeadAttention
from translator.layers.dense import known_shape
from translator.layers.dropout import Seed
from translator.layers.heads import KeyValue, split_heads
from translator.layers.visible import EVERYTHING, Visible


class SelfAttention(MultiHeadAttention):
    """Queries, keys and values all come from the same sequence.

    With a `window`, a position sees only those that are at most this far away.
    """

    def __init__(self, *arguments: Any, window: int | None = None, **kwargs: Any) -> None:
        super().__init__(*arguments, **kwargs)
        self.window = window

    def call(  # type: ignore[override]  # its memory is x itself
        self, x: tf.Tensor, visible: Visible = EVERYTHING, seed: Seed = None
    ) -> tf.Tensor:
        """[B, T, D] → [B, T, D]"""
        query, key_value = self.queries_keys_values(x)
        visible = replace(visible, window=self.window)
        return self.output_projection(self.attend(query, key_value, visible, seed))

    def shown_weights(self, x: tf.Tensor, visible: Visible = EVERYTHING) -> tf.Tensor:
        """The weights in `call`, [B, T, D] → [B, N, T, T]."""
        return self.weights_of(*self.queries_keys_values(x), replace(visible, window=self.window))

    def start(self, num_rows: tf.Tensor, dtype: tf.DType) -> KeyValue:
        """The cache before the first position, [R, N, 0, H]."""
        shape = [num_rows, self.num_heads, 0, self.model_dim // self.num_heads]
        return KeyValue(tf.zeros(shape, dtype), tf.zeros(shape, dtype))

    def step(self, x: tf.Tensor, cache: KeyValue) -> tuple[tf.Tensor, KeyValue]:
        """One position, [R, 1, D] → [R, 1, D]; it sees itself and the cache, which it extends."""
        query, new = self.queries_keys_values(x)
        cache = followed_by(cache, new)
        if self.window is not None:
            cache = KeyValue(*(x[:, :, -1 - self.window :] for x in cache))
        output = self.attend(query, cache, matmul=kernels.small_batch_matmul)
        return self.output_projection(output), cache

    def queries_keys_values(self, x: tf.Tensor) -> tuple[tf.Tensor, KeyValue]:
        """[B, T, D] → queries, keys and values, each [B, N, T, H], as one product."""
        weights = self.query_projection.kernel, self.key_value_projection.kernel
        rows = kernels.joint_linear(tf.reshape(x, [-1, self.model_dim]), weights)
        rows = tf.reshape(rows, [*known_shape(x)[:2], 3 * self.model_dim])
        query, key, value = split_heads(rows, self.num_heads, 3)
        return query, KeyValue(key, value)


def followed_by(first: KeyValue, second: KeyValue) -> KeyValue:
    """The keys and values of some positions, then those of later ones."""
    return KeyValue(*(tf.concat(both, axis=2) for both in zip(first, second, strict=True)))
