"""The position-wise feed-forward block: two products with a non-linearity between them.

B batch, T length, D model width, F inner width.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from translator.layers.dense import Dense
from translator.layers.dropout import Seed, dropout


class FeedForward(keras.layers.Layer):
    """[B, T, D] → activation(x W₁ + b₁) W₂ + b₂, [B, T, D] (Vaswani et al. 2017, equation 2)."""

    def __init__(
        self,
        model_dim: int,
        inner_dim: int,
        activation: str = "relu",
        dropout_rate: float = 0.0,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.dropout_rate = dropout_rate
        self.inner = Dense(inner_dim, activation=activation, dtype=self.dtype_policy, name="inner")
        self.outer = Dense(model_dim, dtype=self.dtype_policy, name="outer")

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.inner.build(shape)
        self.outer.build((*shape[:-1], self.inner.units))

    def call(self, x: tf.Tensor, seed: Seed = None) -> tf.Tensor:
        return self.outer(dropout(self.inner(x), self.dropout_rate, seed))
