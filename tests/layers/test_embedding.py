"""Embeddings and positions at known values. V vocabulary, D model width."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from translator.layers.embedding import Embedding, PositionEmbedding, sinusoidal_positions


class TestEmbedding:
    def test_looks_up_rows_times_the_root_of_the_width(self) -> None:
        layer = Embedding(3, 4)  # √4 = 2
        layer.build()
        layer.table.assign(np.arange(12.0).reshape(3, 4))
        rows = layer(tf.constant([[2, 0]]))
        np.testing.assert_array_equal(rows, [[[16.0, 18.0, 20.0, 22.0], [0.0, 2.0, 4.0, 6.0]]])

    def test_of_bfloat16_keeps_its_table_in_float32(self) -> None:
        layer = Embedding(3, 4, dtype="bfloat16")
        layer.build()
        assert layer.table.dtype == "float32"
        assert layer(tf.constant([1])).dtype == tf.bfloat16


class TestSinusoids:
    def test_at_position_0_are_zeros_and_ones(self) -> None:
        np.testing.assert_array_equal(sinusoidal_positions(0, 6), [0, 0, 0, 1, 1, 1])

    def test_at_position_1_turn_by_one_to_a_ten_thousandth(self) -> None:
        angles = np.array([1.0, 0.01, 0.0001])
        expected = [*np.sin(angles), *np.cos(angles)]
        np.testing.assert_allclose(sinusoidal_positions(1, 6), expected, rtol=1e-5)

    def test_of_width_2_are_one_sine_and_one_cosine(self) -> None:
        np.testing.assert_allclose(
            sinusoidal_positions(2, 2), [math.sin(2), math.cos(2)], rtol=1e-6
        )

    def test_add_a_last_axis(self) -> None:
        positions = tf.constant([[0, 1], [2, 3], [4, 5]])
        table = sinusoidal_positions(tf.range(6), 4)
        np.testing.assert_array_equal(
            sinusoidal_positions(positions, 4), tf.reshape(table, [3, 2, 4])
        )


class TestPositionEmbedding:
    def test_can_be_the_sinusoids(self) -> None:
        layer = PositionEmbedding("sinusoidal", 6, 3)
        positions = tf.constant([0, 1, 100])
        np.testing.assert_array_equal(layer(positions), sinusoidal_positions(positions, 6))
        assert not layer.trainable_variables

    def test_can_be_a_learned_table_that_repeats_its_last_row(self) -> None:
        layer = PositionEmbedding("learned", 2, 3)
        layer.build()
        assert layer.table is not None
        layer.table.assign([[1, 2], [3, 4], [5, 6]])
        rows = layer(tf.constant([1, 2, 3, 100]))
        np.testing.assert_array_equal(rows, [[3, 4], [5, 6], [5, 6], [5, 6]])
