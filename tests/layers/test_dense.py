"""x W + b at numbers one can compute in the head."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from translator.layers.dense import Dense, known_shape


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

    def test_applies_an_activation_without_a_bias(self) -> None:
        layer = Dense(2, activation="relu", use_bias=False)
        layer.build((None, 1))
        layer.kernel.assign([[-4.0, 4.0]])
        np.testing.assert_array_equal(layer(tf.constant([[[1.0]]])), [[[0.0, 4.0]]])


class TestKnownShape:
    @pytest.mark.parametrize("known", [[2, 3, 4], [None, 3, 4], [2, None, None], [None] * 3])
    def test_is_accepted_by_reshape(self, known: list[int | None]) -> None:
        @tf.function(input_signature=[tf.TensorSpec(known)])
        def back(x: tf.Tensor) -> tf.Tensor:
            shape = known_shape(x)
            assert all(size in (-1, a) for a, size in zip(known, shape, strict=True) if a)
            return tf.reshape(tf.reshape(x, [-1]), shape)

        x = tf.reshape(tf.range(24.0), [2, 3, 4])
        np.testing.assert_array_equal(back(x), x)
