"""Layer normalization (Ba et al. 2016), its statistics in float32 whatever the precision of x."""

import keras
import tensorflow as tf

from translator.layers.inference import is_inference, prepared

EPSILON = 1e-6


@tf.custom_gradient
def layer_norm(x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float) -> tf.Tensor:
    """scale · (x − mean) / √(variance + ε) + offset over the last axis; same dtype as x.

    The gradient is written out: with n = (x − mean) / √(variance + ε) and g = scale · ∂y, it is
    ∂x = (g − mean(g) − n · mean(g · n)) / √(variance + ε), three reductions instead of autodiff's
    dozen passes over the activations.
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
    replaces it by a single kernel of oneDNN. (On a GPU it would be cuDNN's, which has a least ε.)
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


class LayerNormalization(keras.layers.Layer):
    """`layer_norm` with a learned scale and offset."""

    def __init__(self, epsilon: float = EPSILON, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, shape: tuple[int | None, ...]) -> None:
        def weight(name: str, initializer: str) -> keras.Variable:
            width = (shape[-1],)
            return self.add_weight(width, initializer, "float32", name=name, autocast=False)

        self.scale = weight("scale", "ones")
        self.offset = weight("offset", "zeros")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        in_one = is_inference() and not tf.config.list_physical_devices("GPU")
        normalize = layer_norm_in_one if in_one else layer_norm
        dtype = x.dtype if in_one else tf.float32
        scale = prepared(lambda: tf.cast(self.scale, dtype))
        offset = prepared(lambda: tf.cast(self.offset, dtype))
        return normalize(x, scale, offset, self.epsilon)
