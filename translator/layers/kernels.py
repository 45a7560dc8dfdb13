"""Fast forms of plain formulas.

Each fast form has a plain formula under the same name in PLAIN, its oracle. Tests compare the two,
and scripts/bench_kernels.py measures the gain by putting the plain one in its place. Call them as
`kernels.linear(…)`, so that they can be replaced.

M rows, D input width, F output width, V vocabulary, B batch, T length, N heads, k kernel size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from translator.layers.inference import is_inference, prepared


def small_batch_matmul(x: tf.Tensor, y: tf.Tensor, transpose_b: bool = False) -> tf.Tensor:
    """`tf.matmul` for many small matrices, whose shape changes at every step.

    TensorFlow computes batches of products with oneDNN, which prepares for every new shape. That
    takes longer than the product. Eigen computes this operation, and needs no preparation.
    """
    return tf.raw_ops.BatchMatMulV3(x=x, y=y, Tout=x.dtype, adj_y=transpose_b)


def few_queries_matmul(x: tf.Tensor, y: tf.Tensor, transpose_b: bool = False) -> tf.Tensor:
    """`tf.matmul` for small matrices with a few rows, whose shape stays the same for many steps.

    oneDNN can then use its preparation again, which makes it the faster one in bfloat16.
    """
    matmul = tf.matmul if x.dtype == tf.bfloat16 else small_batch_matmul
    return matmul(x, y, transpose_b=transpose_b)


def linear(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """x W: [M, D], [D, F] → [M, F].

    Without a gradient it adds a bias of zeros, since oneDNN rearranges constant weights once
    (environment.freeze_weights) only for products with a bias.
    """
    if not is_inference():
        return tf.matmul(x, kernel)
    with tf.init_scope():  # TensorFlow would remove zeros that are part of the graph
        zeros = tf.zeros(kernel.shape[1], kernel.dtype)
    return affine(x, kernel, zeros)


def joint_linear(x: tf.Tensor, kernels: Sequence[keras.Variable]) -> tf.Tensor:
    """[x W₁, x W₂, …] side by side as one product: [M, D], each W [D, F] → [M, sum of all F]."""
    kernel = prepared(lambda: tf.cast(tf.concat([k.value for k in kernels], axis=1), x.dtype))
    return linear(x, kernel)


def affine(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, relu: bool = False) -> tf.Tensor:
    """x W + b, or max(0, x W + b): [M, D], [D, F], [F] → [M, F].

    TensorFlow fuses the forward formula into one operation. The gradient of the bias is a product
    with ones, which takes less than half the time of BiasAddGrad in bfloat16.
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


def search_output(matrix: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
    """The product of decoder states [M, D] with an output matrix [D, V], minus log V.

    Subtracting log V changes no probability. It moves the logits of likely pieces towards 0, where
    bfloat16 is finer. oneDNN adds it as a bias, before it rounds.
    """
    size = matrix.shape[1]
    bias = prepared(lambda: tf.fill([size], tf.cast(-math.log(size), matrix.dtype)))
    return lambda states: affine(states, matrix, bias)


@tf.custom_gradient
def layer_norm(x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float) -> tf.Tensor:
    """scale · (x − mean) / √(variance + ε) + offset over the last axis; same dtype as x.

    The gradient is written out: with n = (x − mean) / √(variance + ε) and g = scale · ∂y, it is
    ∂x = (g − mean(g) − n · mean(g · n)) / √(variance + ε). These are three reductions, where
    automatic differentiation passes over the activations a dozen times.
    """
    x32 = tf.cast(x, tf.float32)
    centred = x32 - tf.reduce_mean(x32, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    inverse = tf.math.rsqrt(variance + epsilon)
    normalized = centred * inverse

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, None]:
        upstream = tf.cast(upstream, tf.float32)
        product = upstream * normalized
        batch_axes = list(range(x.shape.rank - 1))
        g = upstream * scale
        mean_g = tf.reduce_mean(g, axis=-1, keepdims=True)
        mean_gn = tf.reduce_mean(product * scale, axis=-1, keepdims=True)
        dx = (g - mean_g - normalized * mean_gn) * inverse
        return (
            tf.cast(dx, x.dtype),
            tf.reduce_sum(product, axis=batch_axes),
            tf.reduce_sum(upstream, axis=batch_axes),
            None,
        )

    return tf.cast(normalized * scale + offset, x.dtype), gradient


def layer_norm_in_one(
    x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float
) -> tf.Tensor:
    """`layer_norm` without a gradient; scale and offset have the dtype of x.

    TensorFlow recognizes this formula, in which every row is a channel of a batch to normalize, and
    replaces it by a single operation of oneDNN. On a GPU it would be cuDNN's, whose ε has a lower
    bound.
    """
    width = x.shape[-1]
    num_rows = tf.size(x) // width
    normalized, *_ = tf.raw_ops.FusedBatchNormV3(
        x=tf.reshape(x, [1, num_rows, width, 1]),
        scale=tf.fill([num_rows], 1.0),
        offset=tf.fill([num_rows], 0.0),
        mean=[],
        variance=[],
        epsilon=epsilon,
        data_format="NCHW",
    )
    return tf.reshape(normalized, tf.shape(x)) * scale + offset


def block_maxima(blocks: tf.Tensor) -> tf.Tensor:
    """The maximum of every block: [M, block size, number of blocks] → [M, number of blocks].

    Max pooling is made for images, and is the fastest operation for this.
    """
    size = blocks.shape[1]
    if size == 1:
        return blocks[:, 0]
    return tf.nn.max_pool2d(blocks[:, :, tf.newaxis], [size, 1], [size, 1], "VALID")[:, 0, 0]


def lightweight_convolution(x: tf.Tensor, taps: tf.Tensor, num_before: int) -> tf.Tensor:
    """y_t = Σ_j taps_j x_{t + j − num_before}, zeros outside: [B, T, D], [N, k] → [B, T, D].

    Each head's taps serve D / N neighbouring channels. The sum is a product with a matrix [T, T]
    whose diagonals hold the taps. Like attention, this takes time with the square of the length.
    The gradient of k shifted slices, which do not, takes far longer on sentences.
    """
    (num_heads, size), model_dim = taps.shape, x.shape[2]
    batch, length = tf.unstack(tf.shape(x)[:2])
    positions = tf.range(length)
    index = positions - positions[:, tf.newaxis] + num_before
    is_tap = (index >= 0) & (index < size)
    matrix = tf.gather(taps, tf.clip_by_value(index, 0, size - 1), axis=1)
    matrix = tf.cast(tf.where(is_tap, matrix, 0.0), x.dtype)
    heads = tf.reshape(x, [batch, length, num_heads, model_dim // num_heads])
    columns = tf.reshape(tf.transpose(heads, [2, 1, 0, 3]), [num_heads, length, -1])
    mixed = tf.reshape(
        tf.matmul(matrix, columns), [num_heads, length, batch, model_dim // num_heads]
    )
    return tf.reshape(tf.transpose(mixed, [2, 1, 0, 3]), [batch, length, model_dim])


def _plain_joint_linear(x: tf.Tensor, kernels: Sequence[keras.Variable]) -> tf.Tensor:
    return tf.concat([tf.matmul(x, tf.cast(kernel.value, x.dtype)) for kernel in kernels], axis=1)


def _plain_affine(
    x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, relu: bool = False
) -> tf.Tensor:
    y = tf.matmul(x, kernel) + bias
    return tf.nn.relu(y) if relu else y


def _plain_search_output(matrix: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
    return lambda states: (
        tf.matmul(states, matrix) - tf.cast(math.log(matrix.shape[1]), matrix.dtype)
    )


def _plain_layer_norm(
    x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float
) -> tf.Tensor:
    x32 = tf.cast(x, tf.float32)
    mean, variance = tf.nn.moments(x32, axes=[-1], keepdims=True)
    normalized = (x32 - mean) / tf.sqrt(variance + epsilon)
    return tf.cast(tf.cast(scale, tf.float32) * normalized + tf.cast(offset, tf.float32), x.dtype)


def _plain_block_maxima(blocks: tf.Tensor) -> tf.Tensor:
    return tf.reduce_max(blocks, axis=1)


def _plain_lightweight_convolution(x: tf.Tensor, taps: tf.Tensor, num_before: int) -> tf.Tensor:
    (num_heads, size), model_dim, length = taps.shape, x.shape[2], tf.shape(x)[1]
    channels = tf.cast(tf.repeat(taps, model_dim // num_heads, axis=0), x.dtype)
    x = tf.pad(x, [[0, 0], [num_before, size - 1 - num_before], [0, 0]])
    return tf.add_n([x[:, j : j + length] * channels[:, j] for j in range(size)])


PLAIN: dict[str, Callable[..., Any]] = {
    "small_batch_matmul": tf.matmul,
    "few_queries_matmul": tf.matmul,
    "linear": tf.matmul,
    "joint_linear": _plain_joint_linear,
    "affine": _plain_affine,
    "search_output": _plain_search_output,
    "layer_norm": _plain_layer_norm,
    "layer_norm_in_one": _plain_layer_norm,
    "block_maxima": _plain_block_maxima,
    "lightweight_convolution": _plain_lightweight_convolution,
}
"""The oracle of each fast form, by its name."""
