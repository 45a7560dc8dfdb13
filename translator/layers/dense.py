"""x W + b over the last axis, as one product of all rows.

D width, F width that comes out.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from translator.errors import ConfigError
from translator.layers import kernels
from translator.layers.inference import prepared


class Dense(keras.layers.Dense):
    """[..., D] → activation(x W + b), [..., F]; activation(x W) without a bias."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        rows = tf.reshape(x, [-1, x.shape[-1]])
        kernel = prepared(lambda: tf.convert_to_tensor(self.kernel))
        relu = self.activation is keras.activations.relu
        if self.bias is None:
            rows = self.activation(kernels.linear(rows, kernel))
        else:
            bias = prepared(lambda: tf.convert_to_tensor(self.bias))
            rows = kernels.affine(rows, kernel, bias, relu)
            if not relu:
                rows = self.activation(rows)
        return tf.reshape(rows, [*known_shape(x)[:-1], self.units])


def need_fresh_weights() -> None:
    """Raise ConfigError if this process would ignore changes of weights.

    TensorFlow reads TF_ONEDNN_ASSUME_FROZEN_WEIGHTS at its first product with a bias, and never
    again. So only a product shows whether the variable acts.
    """
    with tf.device("CPU:0"):
        kernel, bias = tf.Variable(tf.ones([64, 64])), tf.zeros([64])
        rows = tf.ones([8, 64])
        product = tf.function(lambda: kernels.affine(rows, tf.convert_to_tensor(kernel), bias))
        before = product()
        kernel.assign(2 * kernel)
        is_stale = bool(tf.reduce_all(product() == before))
    if is_stale:
        raise ConfigError(
            "This process has translated with TF_ONEDNN_ASSUME_FROZEN_WEIGHTS=1. It would not "
            "notice that weights change, so it cannot train or tune. Use another process, or "
            "start this one without the variable."
        )


def known_shape(x: tf.Tensor) -> list[int | tf.Tensor]:
    """The shape of x for `tf.reshape`: known sizes as numbers, a single unknown size as -1, several
    unknown sizes as tensors."""
    if list(x.shape).count(None) <= 1:
        return [-1 if size is None else size for size in x.shape]
    sizes = tf.unstack(tf.shape(x))
    return [sizes[i] if size is None else size for i, size in enumerate(x.shape)]
