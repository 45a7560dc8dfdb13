"""The residual connection around every block, with its normalization and dropout."""

from __future__ import annotations

import keras
import tensorflow as tf

from translator.layers.dropout import Seed, dropout
from translator.layers.normalization import LayerNormalization


class Residual(keras.layers.Layer):
    """Adds the output of a block to its input.

    pre: x + dropout(block(norm(x))). post: norm(x + dropout(block(x))), as in the original paper.
    Pre trains without much warm-up (Xiong et al. 2020), and needs one more normalization at the
    top. A block stands between the two methods:

        x = residual(x, block(residual.before(x)), seed)
    """

    def __init__(self, normalization: str, dropout_rate: float, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.pre = normalization == "pre"
        self.dropout_rate = dropout_rate
        self.norm = LayerNormalization(dtype=self.dtype_policy, name="norm")

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.norm.build(shape)

    def before(self, x: tf.Tensor) -> tf.Tensor:
        """The input of the block, for x: [..., D] → [..., D]."""
        return self.norm(x) if self.pre else x

    def call(self, x: tf.Tensor, y: tf.Tensor, seed: Seed = None) -> tf.Tensor:
        """x combined with the output y of the block: both [..., D] → [..., D]."""
        x += dropout(y, self.dropout_rate, seed)
        return x if self.pre else self.norm(x)
