"""Cross-entropy and R-Drop by hand, then the chunked ones against the plain ones.

M tokens, D model width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import numpy as np
import pytest
import tensorflow as tf

from translator.training.loss import (
    CHUNK,
    chunked_cross_entropy,
    chunked_r_drop,
    cross_entropy,
    least_cross_entropy,
    r_drop,
)

Loss = Callable[..., tf.Tensor]
LOSSES = pytest.mark.parametrize("loss", [cross_entropy, chunked_cross_entropy])
R_DROPS = pytest.mark.parametrize("loss", [r_drop, chunked_r_drop])


def example(num_tokens: int, dtype: tf.DType = tf.float32) -> tuple[tf.Tensor, ...]:
    """states [M, 4], table [7, 4], labels [M]"""
    random = np.random.default_rng(num_tokens)
    return (
        tf.constant(random.standard_normal((num_tokens, 4), "float32"), dtype),
        tf.constant(random.standard_normal((7, 4), "float32")),
        tf.constant(random.integers(7, size=num_tokens), tf.int32),
    )


def value_and_gradients(
    loss: Loss, inputs: tuple[tf.Tensor, ...], smoothing: float
) -> list[np.ndarray]:
    """Value and gradients of three times the loss, as float32."""
    states, table, labels = inputs
    with tf.GradientTape() as tape:
        tape.watch([states, table])
        value = 3.0 * loss(states, table, labels, smoothing)
    results = [value, *tape.gradient(value, [states, table])]
    return [tf.cast(result, tf.float32).numpy() for result in results]


@LOSSES
class TestByHand:
    # V = 2, D = 1: the logits of a state of 1 are 0 and log 3, the probabilities ¼ and ¾.
    table = tf.constant([[0.0], [math.log(3)]])

    def of(self, loss: Loss, labels: list[int], smoothing: float = 0.0) -> list[np.ndarray]:
        """Value and gradients of the loss of states of 1."""
        inputs = tf.ones([len(labels), 1]), self.table, tf.constant(labels)
        return [result / 3 for result in value_and_gradients(loss, inputs, smoothing)]

    def test_it_is_the_negative_logarithm_of_the_label_s_probability(self, loss: Loss) -> None:
        assert self.of(loss, [0])[0] == pytest.approx(math.log(4))
        assert self.of(loss, [1])[0] == pytest.approx(math.log(4 / 3))

    def test_smoothing_mixes_in_the_mean_over_the_vocabulary(self, loss: Loss) -> None:
        # 0.8 of the label's and 0.2 of the mean: 0.9 of the label's and 0.1 of the other's.
        expected = 0.9 * math.log(4 / 3) + 0.1 * math.log(4)
        assert self.of(loss, [1], 0.2)[0] == pytest.approx(expected)

    def test_tokens_add_up(self, loss: Loss) -> None:
        assert self.of(loss, [0, 1, 1])[0] == pytest.approx(math.log(4) + 2 * math.log(4 / 3))

    def test_the_gradient_is_probability_less_target(self, loss: Loss) -> None:
        _, d_states, d_table = self.of(loss, [0], 0.2)
        # The target is 0.9 and 0.1, so the gradients of the logits are -0.65 and 0.65.
        np.testing.assert_allclose(d_table, [[-0.65], [0.65]], rtol=1e-5)
        np.testing.assert_allclose(d_states, [[0.65 * math.log(3)]], rtol=1e-5)


class TestChunked:
    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    @pytest.mark.parametrize("num_tokens", [1, 5, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
    def test_equals_the_plain_formula(self, num_tokens: int, smoothing: float) -> None:
        inputs = example(num_tokens)
        plain = value_and_gradients(cross_entropy, inputs, smoothing)
        for function in (chunked_cross_entropy, tf.function(chunked_cross_entropy)):
            chunked = value_and_gradients(function, inputs, smoothing)
            for ours, theirs, rtol in zip(chunked, plain, (1e-6, 1e-4, 1e-4), strict=True):
                np.testing.assert_allclose(
                    ours, theirs, rtol=rtol, atol=1e-6 * np.abs(theirs).max()
                )

    def test_adds_up_chunks_of_1024_tokens(self) -> None:
        """Bit for bit: other chunks would round differently, and change resumed old runs."""
        states, table, labels = example(2500)

        def gradient(start: int, stop: int) -> np.ndarray:
            """The gradient of some tokens towards the table."""
            with tf.GradientTape() as tape:
                tape.watch(table)
                loss = chunked_cross_entropy(states[start:stop], table, labels[start:stop], 0.0)
            return tape.gradient(loss, table).numpy()

        def added(size: int) -> np.ndarray:
            return reduce(np.add, [gradient(i, i + size) for i in range(0, 2500, size)])

        assert gradient(0, 2500).tobytes() == added(1024).tobytes()
        assert gradient(0, 2500).tobytes() != added(500).tobytes()

    def test_of_bfloat16_is_near_the_plain_formula(self) -> None:
        low = example(CHUNK + 1, tf.bfloat16)
        chunked = value_and_gradients(chunked_cross_entropy, low, 0.1)
        plain = value_and_gradients(cross_entropy, (tf.cast(low[0], tf.float32), *low[1:]), 0.1)
        assert chunked[0] == pytest.approx(plain[0], rel=2e-3)
        for ours, theirs in zip(chunked[1:], plain[1:], strict=True):
            assert np.abs(ours - theirs).max() < 0.02 * np.abs(theirs).max()

    def test_of_bfloat16_keeps_the_small_gradient_of_a_nearly_certain_label(self) -> None:
        states, table = tf.constant([[8.0, 0.0]], tf.bfloat16), tf.eye(2)  # exact in bfloat16
        _, d_states, d_table = value_and_gradients(
            chunked_cross_entropy, (states, table, tf.constant([0])), 0.0
        )
        missing = 3 / (1 + math.exp(8.0))  # three times what the label's probability lacks to 1
        np.testing.assert_allclose(d_states, [[-missing, missing]], rtol=4e-3)
        np.testing.assert_allclose(d_table, [[-8 * missing, 0], [8 * missing, 0]], rtol=4e-3)

    def test_of_bfloat16_takes_the_softmax_in_float32(self) -> None:
        states, table = tf.ones([1, 1], tf.bfloat16), tf.constant([[0.0], [1.0], [2.0]])
        value = chunked_cross_entropy(states, table, tf.constant([2]), 0.0)
        assert value.dtype == tf.float32
        assert float(value) == pytest.approx(math.log(1 + math.exp(-1) + math.exp(-2)))


def of_two_passes(num_tokens: int, dtype: tf.DType = tf.float32) -> tuple[tf.Tensor, ...]:
    """states [M, 2, 4], table [7, 4], labels [M]"""
    states, table, labels = example(2 * num_tokens, dtype)
    return tf.reshape(states, [num_tokens, 2, 4]), table, labels[::2]


def only_the_loss(loss: Loss, alpha: float) -> Loss:
    return lambda *arguments: loss(*arguments, alpha)[0]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_of_logits_far_apart_is_not_clipped(smoothing: float) -> None:
    """e⁻¹⁰⁰⁰ is not a float. If the smallest float replaced it, the loss would be negative."""
    table = tf.constant([[0.0], [-1000.0], [1000.0]])
    states, labels = tf.constant([[1.0], [1.0], [0.0]]), tf.constant([1, 2, 0])
    plain, chunked = (
        float(loss(states, table, labels, smoothing))
        for loss in (cross_entropy, chunked_cross_entropy)
    )
    # The first label is 2,000 below the highest logit, the mean of all 1,000.
    assert plain == pytest.approx((1 - smoothing) * 2000 + smoothing * 2000 + math.log(3), rel=1e-6)
    assert chunked == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize(
    ("smoothing", "size", "least"),
    [(0.0, 7, 0.0), (1.0, 8, math.log(8)), (0.5, 2, math.log(4) - 0.75 * math.log(3))],
)
def test_least_cross_entropy_is_the_entropy_of_a_smoothed_label(
    smoothing: float, size: int, least: float
) -> None:
    assert least_cross_entropy(smoothing, size) == pytest.approx(least)


@R_DROPS
class TestRDropByHand:
    # V = 2, D = 1: the probabilities of a state of 1 are ¼ and ¾, those of a state of 0 ½ and ½.
    table = tf.constant([[0.0], [math.log(3)]])
    states = tf.constant([[[1.0], [0.0]]])

    def test_is_the_mean_of_both_and_their_divergence(self, loss: Loss) -> None:
        # KL(p‖q) = ¼ log ½ + ¾ log 3/2 and KL(q‖p) = ½ log 2 + ½ log 2/3: together ¼ log 3.
        value, entropy = loss(self.states, self.table, tf.constant([0]), 0.0, 5.0)
        mean = (math.log(4) + math.log(2)) / 2
        assert float(entropy) == pytest.approx(mean)
        assert float(value) == pytest.approx(mean + 5 / 2 * 1 / 2 * math.log(3) / 4)

    def test_of_passes_that_agree_is_cross_entropy(self, loss: Loss) -> None:
        states, labels = tf.ones([3, 2, 1]), tf.constant([0, 1, 1])
        values = loss(states, self.table, labels, 0.1, 5.0)
        expected = cross_entropy(states[:, 0], self.table, labels, 0.1)
        np.testing.assert_allclose(values, [expected, expected], rtol=1e-6)

    def test_pulls_the_passes_together(self, loss: Loss) -> None:
        inputs = self.states, self.table, tf.constant([0])
        _, gradient, _ = value_and_gradients(only_the_loss(loss, 100.0), inputs, 0.0)
        assert gradient[0, 0, 0] > 10 > -10 > gradient[0, 1, 0]


BFLOAT16_STEP = 2**-7
"""Relative distance of neighbouring bfloat16 numbers. Some processors round every logit to one."""


class TestChunkedRDrop:
    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    @pytest.mark.parametrize("num_tokens", [1, 5, CHUNK // 2, CHUNK // 2 + 1, CHUNK + 3])
    def test_equals_the_plain_formula(self, num_tokens: int, smoothing: float) -> None:
        inputs = of_two_passes(num_tokens)
        plain = value_and_gradients(only_the_loss(r_drop, 5.0), inputs, smoothing)
        plain_entropy = cross_entropy(
            tf.reshape(inputs[0], [-1, 4]), inputs[1], tf.repeat(inputs[2], 2), smoothing
        )
        functions: list[Loss] = [chunked_r_drop, tf.function(chunked_r_drop)]
        for function in functions:
            chunked = value_and_gradients(only_the_loss(function, 5.0), inputs, smoothing)
            for ours, theirs, rtol in zip(chunked, plain, (1e-6, 1e-4, 1e-4), strict=True):
                np.testing.assert_allclose(
                    ours, theirs, rtol=rtol, atol=2e-6 * np.abs(theirs).max()
                )
            _, entropy = function(*inputs, smoothing, 5.0)
            np.testing.assert_allclose(2 * entropy, plain_entropy, rtol=1e-5)

    def test_of_bfloat16_is_near_the_plain_formula(self) -> None:
        low = of_two_passes(CHUNK + 1, tf.bfloat16)
        chunked = value_and_gradients(only_the_loss(chunked_r_drop, 5.0), low, 0.1)
        exact = tf.cast(low[0], tf.float32), *low[1:]
        plain = value_and_gradients(only_the_loss(r_drop, 5.0), exact, 0.1)
        assert chunked[0] == pytest.approx(plain[0], rel=BFLOAT16_STEP)
        for ours, theirs in zip(chunked[1:], plain[1:], strict=True):
            assert np.abs(ours - theirs).max() < 0.02 * np.abs(theirs).max()

    def test_stays_finite_where_a_probability_vanishes(self) -> None:
        states = tf.constant([[[300.0], [-300.0]]])
        inputs = states, tf.constant([[0.0], [1.0]]), tf.constant([1])
        for result in value_and_gradients(only_the_loss(chunked_r_drop, 5.0), inputs, 0.1):
            assert np.isfinite(result).all()
