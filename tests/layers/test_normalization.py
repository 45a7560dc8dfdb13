"""Layer normalization by hand, and its written-out gradient against autodiff's."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from conftest import HAS_ONEDNN, ComputedBy

from translator.layers import normalization
from translator.layers.inference import inference
from translator.layers.normalization import LayerNormalization, layer_norm, layer_norm_in_one


def normal(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).standard_normal(shape, "float32"))


def plain_layer_norm(
    x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float
) -> tf.Tensor:
    mean = tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean((x - mean) ** 2, axis=-1, keepdims=True)
    return scale * (x - mean) / tf.sqrt(variance + epsilon) + offset


def test_one_and_three_become_minus_one_and_one() -> None:
    result = layer_norm(tf.constant([1.0, 3.0]), tf.ones([2]), tf.zeros([2]), 0.0)
    np.testing.assert_array_equal(result, [-1.0, 1.0])


def test_the_scale_multiplies_and_the_offset_is_added() -> None:
    result = layer_norm(tf.constant([1.0, 3.0]), [2.0, 3.0], [10.0, 20.0], 0.0)
    np.testing.assert_array_equal(result, [8.0, 23.0])


def test_epsilon_is_added_to_the_variance() -> None:
    result = layer_norm(tf.constant([1.0, 3.0]), tf.ones([2]), tf.zeros([2]), 3.0)
    np.testing.assert_allclose(result, [-0.5, 0.5], rtol=1e-6)  # √(1 + 3) = 2


def test_value_and_gradients_equal_those_of_the_plain_formula() -> None:
    inputs = x, scale, offset = 3 * normal(2, 3, 5) + 1, normal(5, seed=1), normal(5, seed=2)
    upstream = normal(2, 3, 5, seed=3)
    results = []
    for function in (layer_norm, plain_layer_norm):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = function(x, scale, offset, 0.1)
        results.append([y, *tape.gradient(y, inputs, output_gradients=upstream)])
    for ours, plain in zip(*results, strict=True):
        np.testing.assert_allclose(ours, plain, atol=1e-5)


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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(5, 16), (3, 7, 64)])
def test_in_one_kernel_is_the_same(
    shape: tuple[int, ...], dtype: str, computed_by: ComputedBy
) -> None:
    """Also of small variances, where ε counts."""
    x = normal(*shape) * tf.exp(4 * normal(*shape[:-1], 1, seed=4))
    scale, offset = normal(shape[-1], seed=1), normal(shape[-1], seed=2)
    expected = plain_layer_norm(x, scale, offset, 1e-6)
    x, scale, offset = (tf.cast(one, dtype) for one in (x, scale, offset))

    # TensorFlow recognizes it where only the width is known, as it is in a search.
    @tf.function(input_signature=[tf.TensorSpec([*(None,) * (len(shape) - 1), shape[-1]], dtype)])
    def in_graph(x: tf.Tensor) -> tf.Tensor:
        return layer_norm_in_one(x, scale, offset, 1e-6)

    operations = computed_by(partial(in_graph, x))
    if HAS_ONEDNN:
        assert "_MklLayerNorm" in operations
    for result in (layer_norm_in_one(x, scale, offset, 1e-6), in_graph(x)):
        assert result.dtype == dtype
        tolerance = 1e-5 if dtype == "float32" else 0.1
        np.testing.assert_allclose(tf.cast(result, tf.float32), expected, atol=tolerance)


def test_what_has_no_gradient_takes_one_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = LayerNormalization()
    layer.build((None, 4))
    monkeypatch.setattr(normalization, "layer_norm_in_one", lambda *_: "in one")
    assert layer.call(tf.ones([1, 4])).shape == [1, 4]
    with inference():
        assert layer.call(tf.ones([1, 4])) == "in one"
    assert layer.call(tf.ones([1, 4])).shape == [1, 4]
