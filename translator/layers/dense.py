"""x W + b over the last axis, as one product of all rows.

M rows, D width, F width that comes out.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from translator.errors import ConfigError
from translator.layers.inference import is_inference, prepared


class Dense(keras.layers.Dense):
    """[..., D] → activation(x W + b), [..., F]; W x alone where there is no bias.

    To that is added what `plus` holds, [..., F]. TensorFlow lets oneDNN's product do it, as it does
    with the bias, and so the sum is rounded once.
    """

    def call(self, x: tf.Tensor, plus: tf.Tensor | None = None) -> tf.Tensor:
        relu = self.activation is keras.activations.relu
        rows = tf.reshape(x, [-1, x.shape[-1]])
        kernel = prepared(lambda: tf.convert_to_tensor(self.kernel))
        if self.bias is None:
            rows = linear(rows, kernel)
        else:
            rows = affine(rows, kernel, prepared(lambda: tf.convert_to_tensor(self.bias)), relu)
        if not relu:
            rows = self.activation(rows)
        if plus is not None:
            rows = tf.add_n([rows, tf.reshape(plus, [-1, self.units])])
        return tf.reshape(rows, [*known_shape(x)[:-1], self.units])


def linear(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """x W: [M, D], [D, F] → [M, F].

    Without a gradient there is a bias of zeros: only products with one add something more, and only
    for these does oneDNN, told that weights stay as they are (environment.freeze_weights), lay them
    out once, as it likes them best.
    """
    if not is_inference():
        return tf.matmul(x, kernel)
    with tf.init_scope():  # zeros in the graph itself TensorFlow would leave out
        zeros = tf.zeros(kernel.shape[1], kernel.dtype)
    return affine(x, kernel, zeros)


def affine(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, relu: bool = False) -> tf.Tensor:
    """x W + b, or max(0, x W + b): [M, D], [D, F], [F] → [M, F].

    Written as one function so that TensorFlow makes it one kernel. The gradient is the usual one,
    but for how it sums over the rows towards the bias: as a product with ones, which takes less
    than half the time of TensorFlow's BiasAddGrad in bfloat16.
    """

    @tf.custom_gradient
    def function(
        x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]]:
        y = tf.nn.bias_add(tf.matmul(x, kernel), bias)
        if relu:
            y = tf.nn.relu(y)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            if relu:
                upstream = tf.raw_ops.ReluGrad(gradients=upstream, features=y)
            ones = tf.ones([1, tf.shape(x)[0]], x.dtype)
            return (
                tf.matmul(upstream, kernel, transpose_b=True),
                tf.matmul(x, upstream, transpose_a=True),
                tf.matmul(ones, upstream)[0],
            )

        return y, gradient

    return function(x, kernel, bias)


def need_fresh_weights() -> None:
    """Raise ConfigError if this process would go on computing with weights that have changed since.

    TensorFlow reads TF_ONEDNN_ASSUME_FROZEN_WEIGHTS at its first product with a bias, and never
    again. So whether the variable acts can only be seen by a product.
    """
    with tf.device("CPU:0"):
        kernel, bias = tf.Variable(tf.ones([64, 64])), tf.zeros([64])
        rows = tf.ones([8, 64])
        product = tf.function(lambda: affine(rows, tf.convert_to_tensor(kernel), bias))
        before = product()
        kernel.assign(2 * kernel)
        is_stale = bool(tf.reduce_all(product() == before))
    if is_stale:
        raise ConfigError(
            "This process has translated with TF_ONEDNN_ASSUME_FROZEN_WEIGHTS=1, so it would not "
            "notice that weights change, and cannot train or tune. Do that in another process, or "
            "start this one without the variable."
        )


def known_shape(x: tf.Tensor) -> list[int | tf.Tensor]:
    """The shape of x: numbers where they are known already, -1 for one that is not, as
    `tf.reshape` takes it; tensors where several are not."""
    if list(x.shape).count(None) <= 1:
        return [-1 if size is None else size for size in x.shape]
    sizes = tf.unstack(tf.shape(x))
    return [sizes[i] if size is None else size for i, size in enumerate(x.shape)]
