"""Gradient checkpointing: the same values and gradients, from a second run of the function."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from translator.layers.gradient_checkpointing import checkpointed


def test_values_and_gradients_are_those_of_the_function_itself() -> None:
    weight = tf.Variable(3.0)
    runs = []

    def function(x: tf.Tensor, rest: tuple[tf.Tensor, tf.Tensor, None]) -> tf.Tensor:
        y, keep, nothing = rest
        assert nothing is None
        runs.append(1)
        return tf.where(keep, weight * x * y, 0.0)

    x, y = tf.constant([1.0, 2.0, 5.0]), tf.constant([10.0, 20.0, 30.0])
    keep = tf.constant([True, True, False])
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        result = checkpointed(function, x, (y, keep, None))
    assert len(runs) == 1
    np.testing.assert_array_equal(result, [30.0, 120.0, 0.0])
    d_x, d_y, d_weight = tape.gradient(result, [x, y, weight])
    np.testing.assert_array_equal(d_x, [30.0, 60.0, 0.0])
    np.testing.assert_array_equal(d_y, [3.0, 6.0, 0.0])
    assert float(d_weight) == 50.0
    assert len(runs) == 2


def test_a_part_of_the_result_may_be_unused() -> None:
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        squares, (cubes, _) = checkpointed(lambda x: (x**2, (x**3, tf.exp(x))), x)
        total = tf.reduce_sum(squares) + tf.reduce_sum(cubes)
    np.testing.assert_array_equal(tape.gradient(total, x), [2.0 + 3.0, 4.0 + 12.0])
