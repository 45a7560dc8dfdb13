"""Layer normalization at values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from translator.layers.inference import inference
from translator.layers.kernels import layer_norm
from translator.layers.normalization import LayerNormalization


def normal(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).standard_normal(shape, "float32"))


def test_one_and_three_become_minus_one_and_one() -> None:
    result = layer_norm(tf.constant([1.0, 3.0]), tf.ones([2]), tf.zeros([2]), 0.0)
    np.testing.assert_array_equal(result, [-1.0, 1.0])


def test_the_scale_multiplies_and_the_offset_is_added() -> None:
    result = layer_norm(tf.constant([1.0, 3.0]), [2.0, 3.0], [10.0, 20.0], 0.0)
    np.testing.assert_array_equal(result, [8.0, 23.0])


def test_epsilon_is_added_to_the_variance() -> None:
    result = layer_norm(tf.constant([1.0, 3.0]), tf.ones([2]), tf.zeros([2]), 3.0)
    np.testing.assert_allclose(result, [-0.5, 0.5], rtol=1e-6)  # √(1 + 3) = 2


def test_bfloat16_is_normalized_in_float32() -> None:
    low = tf.cast(300 + 4 * normal(3, 8), tf.bfloat16)  # bfloat16 counts in twos here
    scale, offset = normal(8, seed=1), normal(8, seed=2)
    result = layer_norm(low, scale, offset, 1e-6)
    exact = layer_norm(tf.cast(low, tf.float32), scale, offset, 1e-6)
    assert result.dtype == tf.bfloat16
    np.testing.assert_array_equal(
        tf.cast(result, tf.float32), tf.cast(tf.cast(exact, tf.bfloat16), tf.float32)
    )


def test_a_new_layer_gives_mean_zero_and_variance_one_on_the_last_axis() -> None:
    y = LayerNormalization()(5 + 2 * normal(2, 3, 64))
    np.testing.assert_allclose(tf.reduce_mean(y, axis=-1), np.zeros((2, 3)), atol=1e-5)
    np.testing.assert_allclose(tf.math.reduce_variance(y, axis=-1), np.ones((2, 3)), rtol=1e-5)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_layer_gives_the_same_with_and_without_a_gradient(frozen: bool) -> None:
    layer, x = LayerNormalization(), normal(3, 8)
    layer.build((None, 8))
    layer.scale.assign(normal(8, seed=1))
    layer.offset.assign(normal(8, seed=2))
    expected = layer(x)
    with inference(frozen):
        np.testing.assert_allclose(layer(x), expected, atol=1e-5)
