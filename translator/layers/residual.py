"""The residual connection around every block, with its normalization and dropout."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from translator.layers.dropout import dropout
from translator.layers.normalization import LayerNormalization

Block = Callable[[tf.Tensor, tf.Tensor | None], tf.Tensor]
"""(x, plus) → what it makes of x, to which it has added `plus`, if that is given: its last product
does so at no cost."""


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
        block: Block,
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        y = self.norm(x) if self.pre else x
        if seed is None:
            x = block(y, x)
        else:
            x += dropout(block(y, None), self.dropout_rate, seed)
        return x if self.pre else self.norm(x)
