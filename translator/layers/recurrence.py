"""Recurrence: a state runs along the sequence; each position keeps a part of it and adds its own.

This is the SSRU, the simpler simple recurrent unit (Kim et al. 2019, section 3.1):

    f_t = σ(W_f x_t + b)                        how much is kept
    c_t = f_t ∘ c_{t−1} + (1 − f_t) ∘ W x_t     the state
    y_t = max(0, c_t)

f_t depends on x_t alone, so c_t is a linear recurrence and all positions are computed in parallel
(linear_scan.py). A decoder keeps one state of fixed size, however long the sentence is.

B batch, R rows of a search, T length, D model width.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from translator.layers import kernels
from translator.layers.dense import Dense
from translator.layers.dropout import Seed
from translator.layers.linear_scan import linear_scan
from translator.layers.visible import EVERYTHING, Visible


class Recurrence(keras.layers.Layer):
    """A mixer. If positions depend on later ones too, half of the width runs backwards.

    Gates and states are float32; the products are in the layer's precision. There is no dropout.
    """

    def __init__(self, model_dim: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.model_dim = model_dim
        dtype = self.dtype_policy
        self.candidate = Dense(model_dim, use_bias=False, dtype=dtype, name="candidate")
        self.forget = Dense(model_dim, dtype=dtype, name="forget")

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.candidate.build(shape)
        self.forget.build(shape)

    def call(self, x: tf.Tensor, visible: Visible = EVERYTHING, seed: Seed = None) -> tf.Tensor:
        """[B, T, D] → [B, T, D]"""
        candidate, kept = self._gates(tf.transpose(x, [1, 0, 2]))
        if visible.not_padding is not None:  # Padding changes no state.
            kept = tf.where(tf.transpose(visible.not_padding)[:, :, tf.newaxis], kept, 1.0)
        new = (1 - kept) * candidate
        if visible.causal:
            state = linear_scan(kept, new)
        else:
            kept, kept_back = tf.split(kept, 2, axis=2)
            new, new_back = tf.split(new, 2, axis=2)
            backwards = linear_scan(kept_back, new_back, reverse=True)
            state = tf.concat([linear_scan(kept, new), backwards], axis=2)
        return tf.transpose(tf.cast(tf.nn.relu(state), x.dtype), [1, 0, 2])

    def shown_weights(self, x: tf.Tensor, visible: Visible = EVERYTHING) -> None:
        """`Mixer.shown_weights`: it has no attention."""

    def start(self, num_rows: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """The state before the first position, [R, D]; float32 whatever `dtype` is."""
        return tf.zeros([num_rows, self.model_dim])

    def step(self, x: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The next position, [R, 1, D] → [R, 1, D], and the state after it."""
        candidate, kept = self._gates(x)
        state = kept[:, 0] * state + (1 - kept[:, 0]) * candidate[:, 0]
        return tf.cast(tf.nn.relu(state), x.dtype)[:, tf.newaxis], state

    def _gates(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """W x and f, both in float32 and in the shape of x."""
        weights = self.candidate.kernel, self.forget.kernel
        rows = kernels.joint_linear(tf.reshape(x, [-1, self.model_dim]), weights)
        candidate, forget = tf.split(tf.cast(rows, tf.float32), 2, axis=1)
        kept = tf.sigmoid(forget + tf.cast(self.forget.bias, tf.float32))
        return tf.reshape(candidate, tf.shape(x)), tf.reshape(kept, tf.shape(x))
