"""x W + b at numbers one can compute in the head."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from conftest import HAS_ONEDNN, ComputedBy

from translator.environment import has_bfloat16
from translator.layers.dense import Dense, affine, known_shape, linear
from translator.layers.inference import inference


class TestAffine:
    @pytest.mark.skipif(not (HAS_ONEDNN and has_bfloat16()), reason="not in one kernel")
    def test_the_bias_is_added_before_bfloat16_rounds(self) -> None:
        """9 + 1/64 takes more digits than it has, 1/64 does not."""

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, 2], tf.bfloat16)])
        def graph(x: tf.Tensor) -> tf.Tensor:
            return affine(x, *(tf.constant(c, tf.bfloat16) for c in ([[9.0], [1 / 64]], [-9.0])))

        assert graph(tf.ones([1, 2], tf.bfloat16)) == 1 / 64

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    @pytest.mark.parametrize("relu", [False, True])
    def test_values_and_gradients_are_those_of_the_plain_formula(
        self, relu: bool, dtype: str
    ) -> None:
        random = np.random.default_rng(5)
        arguments = [
            tf.cast(random.integers(-4, 5, shape), dtype) for shape in ([50, 3], [3, 7], [7])
        ]  # whole numbers: exact in bfloat16
        upstream = tf.cast(random.integers(0, 3, [50, 7]), dtype)

        def plain(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
            y = tf.matmul(x, kernel) + bias
            return tf.nn.relu(y) if relu else y

        results = []
        for function in (plain, partial(affine, relu=relu)):
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                y = function(*arguments)
            gradients = tape.gradient(y, arguments, upstream)
            results.append([tf.cast(t, tf.float32) for t in (y, *gradients)])
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_array_equal(ours, theirs)


class TestLinear:
    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_is_a_product_frozen_or_not(self, dtype: str, computed_by: ComputedBy) -> None:
        random = np.random.default_rng(6)
        x, kernel = (tf.cast(random.standard_normal(n), dtype) for n in ([5, 64], [64, 32]))

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, 64], dtype)])
        def frozen(x: tf.Tensor) -> tf.Tensor:
            with inference(frozen=True):
                return linear(x, kernel)

        operations = computed_by(partial(frozen, x))
        if HAS_ONEDNN and (dtype == "float32" or has_bfloat16()):
            assert "_MklNativeFusedMatMul" in operations
        for found in (frozen(x), linear(x, kernel)):
            np.testing.assert_array_equal(found, tf.matmul(x, kernel))


class TestDense:
    def test_multiplies_the_last_axis_whatever_comes_before(self) -> None:
        layer = Dense(2, use_bias=False)
        layer.build((None, 3))
        layer.kernel.assign([[1.0, 0.0], [0.0, 1.0], [10.0, 100.0]])
        x = tf.constant([[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]])
        np.testing.assert_array_equal(layer(x), [[[31.0, 302.0]], [[64.0, 605.0]]])
        np.testing.assert_array_equal(layer(x[0]), [[31.0, 302.0]])

    def test_adds_a_bias_and_applies_any_activation(self) -> None:
        for activation, expected in ((None, [-3.0, 4.0]), ("relu", [0.0, 4.0])):
            layer = Dense(2, activation=activation)
            layer.build((None, 1))
            layer.kernel.assign([[-4.0, 4.0]])
            layer.bias.assign([1.0, 0.0])
            np.testing.assert_array_equal(layer(tf.constant([[[1.0]]])), [[expected]])

    @pytest.mark.parametrize("use_bias", [True, False])
    def test_adds_what_it_is_told_in_the_same_kernel(
        self, use_bias: bool, computed_by: ComputedBy
    ) -> None:
        layer = Dense(2, activation="relu" if use_bias else None, use_bias=use_bias)
        layer.build((None, 1))
        layer.kernel.assign([[-4.0, 4.0]])
        x, plus = tf.constant([[[1.0]]]), tf.constant([[[10.0, 20.0]]])
        expected = [[[10.0, 24.0]]] if use_bias else [[[6.0, 24.0]]]
        np.testing.assert_array_equal(layer(x, plus), expected)

        shapes = [tf.TensorSpec([None, None, size]) for size in (1, 2)]

        @tf.function(autograph=False, input_signature=shapes)
        def frozen(x: tf.Tensor, plus: tf.Tensor) -> tf.Tensor:
            with inference(frozen=True):
                return layer(x, plus)

        operations = computed_by(partial(frozen, x, plus))
        np.testing.assert_array_equal(frozen(x, plus), expected)
        if HAS_ONEDNN and not use_bias:  # a ReLU in between keeps them apart
            assert "_MklNativeFusedMatMul" in operations
            assert "AddN" not in operations


class TestKnownShape:
    @pytest.mark.parametrize("known", [[2, 3, 4], [None, 3, 4], [2, None, None], [None] * 3])
    def test_is_one_that_reshape_takes(self, known: list[int | None]) -> None:
        @tf.function(input_signature=[tf.TensorSpec(known)])
        def back(x: tf.Tensor) -> tf.Tensor:
            shape = known_shape(x)
            assert all(size in (-1, a) for a, size in zip(known, shape, strict=True) if a)
            return tf.reshape(tf.reshape(x, [-1]), shape)

        x = tf.reshape(tf.range(24.0), [2, 3, 4])
        np.testing.assert_array_equal(back(x), x)
