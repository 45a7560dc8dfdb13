"""Layer normalization (Ba et al. 2016): every vector gets mean 0 and variance 1.

D width of a vector.
"""

import keras
import tensorflow as tf

from translator.layers import kernels
from translator.layers.inference import is_inference, prepared
from translator.processors import has_gpu

EPSILON = 1e-6


class LayerNormalization(keras.layers.Layer):
    """[..., D] → scale · (x − mean) / √(variance + ε) + offset, in the dtype of x."""

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
        in_one = is_inference() and not has_gpu()
        normalize = kernels.layer_norm_in_one if in_one else kernels.layer_norm
        dtype = x.dtype if in_one else tf.float32
        scale = prepared(lambda: tf.cast(self.scale, dtype))
        offset = prepared(lambda: tf.cast(self.offset, dtype))
        return normalize(x, scale, offset, self.epsilon)
