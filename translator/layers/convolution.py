"""Convolution: each position takes a weighted sum of nearby positions.

This is the lightweight convolution (Wu et al. 2019): attention whose weights depend only on the
distance. N heads have k weights (taps) each, which a softmax makes positive and of sum 1. Beyond
the ends of a sentence there are zeros.

B batch, R rows of a search, N heads, T length, k kernel size, D model width.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from translator.layers import kernels
from translator.layers.dense import Dense
from translator.layers.dropout import Seed, dropout
from translator.layers.inference import prepared
from translator.layers.visible import EVERYTHING, Visible


class Convolution(keras.layers.Layer):
    """A mixer: a gated linear unit, then the convolution, then a projection.

    The kernel ends at its position if nothing may depend on later ones. Otherwise it is centred,
    which needs an odd size.
    Dropout drops taps, the same ones for all sentences and positions.
    """

    def __init__(
        self,
        model_dim: int,
        num_heads: int,
        kernel_size: int,
        dropout_rate: float = 0.0,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.model_dim, self.num_heads, self.kernel_size = model_dim, num_heads, kernel_size
        self.dropout_rate = dropout_rate
        dtype = self.dtype_policy
        self.input_projection = Dense(2 * model_dim, dtype=dtype, name="input")
        self.output_projection = Dense(model_dim, dtype=dtype, name="output")

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.input_projection.build(shape)
        self.taps = self.add_weight(
            (self.num_heads, self.kernel_size), dtype="float32", name="taps", autocast=False
        )
        self.output_projection.build(shape)

    def call(self, x: tf.Tensor, visible: Visible = EVERYTHING, seed: Seed = None) -> tf.Tensor:
        """[B, T, D] → [B, T, D]"""
        x = self._gated(x)
        if visible.not_padding is not None:
            x = tf.where(visible.not_padding[:, :, tf.newaxis], x, tf.zeros([], x.dtype))
        num_before = self.kernel_size - 1 if visible.causal else self.kernel_size // 2
        taps = dropout(tf.nn.softmax(self.taps), self.dropout_rate, seed)
        return self.output_projection(kernels.lightweight_convolution(x, taps, num_before))

    def shown_weights(self, x: tf.Tensor, visible: Visible = EVERYTHING) -> None:
        """`Mixer.shown_weights`: it has no attention."""

    def start(self, num_rows: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """What the kernel sees before the first position, [R, k − 1, D]."""
        return tf.zeros([num_rows, self.kernel_size - 1, self.model_dim], dtype)

    def step(self, x: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The next position, [R, 1, D] → [R, 1, D], and the last k − 1 gated inputs."""
        seen = tf.concat([state, self._gated(x)], axis=1)
        taps = prepared(lambda: self._channel_taps(x.dtype))
        mean = tf.reduce_sum(seen * taps, axis=1, keepdims=True)
        return self.output_projection(mean), seen[:, 1:]

    def _channel_taps(self, dtype: tf.DType) -> tf.Tensor:
        """The taps of every channel, [k, D]."""
        taps = tf.repeat(tf.nn.softmax(self.taps), self.model_dim // self.num_heads, axis=0)
        return tf.cast(tf.transpose(taps), dtype)

    def _gated(self, x: tf.Tensor) -> tf.Tensor:
        """The gated linear unit (Dauphin et al. 2017): a ∘ σ(b)."""
        values, gates = tf.split(self.input_projection(x), 2, axis=2)
        return values * tf.sigmoid(gates)
