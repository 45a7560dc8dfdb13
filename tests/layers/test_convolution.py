"""The lightweight convolution at values computed by hand.

T length, D width.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from translator.layers import kernels
from translator.layers.convolution import Convolution
from translator.layers.dropout import dropout
from translator.layers.kernels import PLAIN
from translator.layers.visible import Visible

LIGHTWEIGHT = pytest.mark.parametrize(
    "convolve", [kernels.lightweight_convolution, PLAIN["lightweight_convolution"]]
)
X = tf.constant([[[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]])
TAPS = tf.constant([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])  # one head for each of two channels


@LIGHTWEIGHT
def test_a_position_is_the_weighted_mean_of_itself_and_its_neighbours(
    convolve: Callable[..., tf.Tensor],
) -> None:
    # 0 + 1/4 + 2/4; 1/2 + 2/4 + 4/4; 2/2 + 4/4 + 0; the other head shifts by one position
    expected = [[[0.75, 20.0], [2.0, 40.0], [2.0, 0.0]]]
    np.testing.assert_array_equal(convolve(X, TAPS, 1), expected)


@LIGHTWEIGHT
def test_a_causal_kernel_ends_at_its_position(
    convolve: Callable[..., tf.Tensor],
) -> None:
    # 1/4; 1/4 + 2/4; 1/2 + 2/4 + 4/4
    expected = [[[0.25, 10.0], [0.75, 20.0], [2.0, 40.0]]]
    np.testing.assert_array_equal(convolve(X, TAPS, 2), expected)


def test_the_layer_gates_its_input_and_shares_taps_within_heads() -> None:
    layer = Convolution(4, 2, 2)
    layer.build((None, None, 4))
    for weight in layer.trainable_variables:
        weight.assign(tf.zeros_like(weight))
    layer.input_projection.kernel.assign(np.hstack([np.eye(4), np.zeros((4, 4))]))  # σ(0) = 1/2
    layer.output_projection.kernel.assign(np.eye(4))
    layer.taps.assign([[math.log(3.0), 0.0], [0.0, 0.0]])  # softmax: 3/4 and 1/4; 1/2 and 1/2
    x = tf.constant([[[8.0, 16.0, 8.0, 16.0], [0.0, 0.0, 0.0, 0.0]]])
    found = layer(x, visible=Visible(causal=True))
    np.testing.assert_allclose(found, [[[1, 2, 2, 4], [3, 6, 2, 4]]], rtol=1e-6)


def test_dropout_drops_taps() -> None:
    layer = Convolution(4, 2, 7, dropout_rate=0.5)
    layer.build((None, None, 4))
    layer.input_projection.kernel.assign(np.hstack([2 * np.eye(4), np.zeros((4, 4))]))  # σ(0) = 1/2
    layer.output_projection.kernel.assign(np.eye(4))
    x, seed = tf.reshape(tf.range(20.0), [1, 5, 4]), tf.constant([1, 2], tf.int64)
    dropped = dropout(tf.nn.softmax(layer.taps), 0.5, seed)
    assert 0 < np.count_nonzero(dropped) < 14
    expected = PLAIN["lightweight_convolution"](x, dropped, 3)
    np.testing.assert_allclose(layer(x, seed=seed), expected, rtol=1e-5)
