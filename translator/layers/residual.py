"""The residual connection around every block, with its normalization and dropout."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from translator.layers.dropout import dropout
from translator.layers.normalization import LayerNormalization


class Residual(keras.layers.Layer):
    """Adds what a block makes of x to x itself.

    pre: x + dropout(block(norm(x))). post: norm(x + dropout(block(x))), as in the original paper.
    Pre trains without much warm-up (Xiong et al. 2020) and needs one more normalization at the
    top.
    """

    def __init__(self, normalization: str, dropout_rate: float, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.pre = normalization == "pre"
        self.dropout_rate = dropout_rate
        self.norm = LayerNormalization(dtype=self.dtype_policy, name="norm")

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.norm.build(shape)

    def call(
        self,
        x: tf.Tensor,
        block: Callable[[tf.Tensor], tf.Tensor],
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        if self.pre:
            return x + dropout(block(self.norm(x)), self.dropout_rate, seed)
        return self.norm(x + dropout(block(x), self.dropout_rate, seed))
