"""The linear scan and the SSRU at values computed by hand, then against a loop over positions.

B batch, T length, D width.
"""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from translator.layers.linear_scan import linear_scan
from translator.layers.recurrence import Recurrence
from translator.layers.visible import Visible

CAUSAL = Visible(causal=True)


def normal(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).standard_normal(shape, "float32"))


def uniform(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).random(shape, "float32"))


def loop(factors: np.ndarray, inputs: np.ndarray, upstream: np.ndarray) -> list[np.ndarray]:
    """The recurrence as it is defined, with its gradients: back-propagation through time."""
    state, states = np.zeros_like(inputs[0]), []
    for factor, new in zip(factors, inputs, strict=True):
        state = factor * state + new
        states.append(state)
    before = [np.zeros_like(inputs[0]), *states[:-1]]
    whole, of_factors, of_inputs = np.zeros_like(inputs[0]), [], []
    for factor, previous, own in zip(factors[::-1], before[::-1], upstream[::-1], strict=True):
        whole = whole + own
        of_factors.append(whole * previous)
        of_inputs.append(whole)
        whole = whole * factor
    return [np.stack(each) for each in (states, of_factors[::-1], of_inputs[::-1])]


class TestLinearScan:
    def test_keeps_a_share_of_the_state_and_adds_the_input(self) -> None:
        # 1; 1/2 · 1 + 2 = 2.5; 0 · 2.5 + 3 = 3; 1 · 3 + 4 = 7
        found = linear_scan(tf.constant([0.0, 0.5, 0.0, 1.0]), tf.constant([1.0, 2.0, 3.0, 4.0]))
        np.testing.assert_array_equal(found, [1.0, 2.5, 3.0, 7.0])

    def test_in_reverse_starts_at_the_last_position(self) -> None:
        # 4; 0 · 4 + 3 = 3; 1/2 · 3 + 2 = 3.5; 1 · 3.5 + 1 = 4.5
        factors, inputs = tf.constant([1.0, 0.5, 0.0, 9.0]), tf.constant([1.0, 2.0, 3.0, 4.0])
        found = linear_scan(factors, inputs, reverse=True)
        np.testing.assert_array_equal(found, [4.5, 3.5, 3.0, 4.0])

    def test_has_a_gradient_that_flows_back_through_the_factors(self) -> None:
        factors, inputs = tf.constant([0.5, 0.5, 0.25]), tf.constant([2.0, 1.0, 1.0])
        with tf.GradientTape() as tape:
            tape.watch([factors, inputs])
            last = linear_scan(factors, inputs)[-1]  # f₂ (f₁ u₀ + u₁) + u₂
        of_factors, of_inputs = tape.gradient(last, [factors, inputs])
        np.testing.assert_array_equal(of_inputs, [0.125, 0.25, 1.0])  # f₂ f₁, f₂, 1
        np.testing.assert_array_equal(of_factors, [0.0, 0.5, 2.0])  # c₋₁ = 0, f₂ u₀, c₁

    @pytest.mark.parametrize("reverse", [False, True])
    @pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 100, 1023, 1024])
    def test_equals_the_loop_in_value_and_gradient(self, length: int, reverse: bool) -> None:
        arrays = (
            uniform(length, 2, 3).numpy(),
            normal(length, 2, 3, seed=1).numpy(),
            normal(length, 2, 3, seed=2).numpy(),
        )

        def scan(factors: tf.Tensor, inputs: tf.Tensor, upstream: tf.Tensor) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch([factors, inputs])
                result = linear_scan(factors, inputs, reverse)
            return [result, *tape.gradient(result, [factors, inputs], upstream)]

        order = slice(None, None, -1 if reverse else 1)
        expected = [each[order] for each in loop(*(array[order] for array in arrays))]
        spec = tf.TensorSpec([None, 2, 3])
        for function in (scan, tf.function(scan, [spec] * 3, autograph=False)):
            for found, one in zip(function(*map(tf.constant, arrays)), expected, strict=True):
                np.testing.assert_allclose(found, one, atol=1e-5)


def recurrence(model_dim: int = 4, dtype: str = "float32") -> Recurrence:
    layer = Recurrence(model_dim, dtype=dtype)
    layer.build((None, None, model_dim))
    for i, weight in enumerate(layer.trainable_variables):
        weight.assign(normal(*weight.shape, seed=i))
    return layer


class TestRecurrence:
    def test_is_the_formula_of_the_paper(self) -> None:
        layer = recurrence(1)
        layer.candidate.kernel.assign([[2.0]])
        layer.forget.kernel.assign([[0.0]])
        layer.forget.bias.assign([np.log(3.0)])  # f = 3/4
        # c = 1/4 · 2 · 4 = 2; 3/4 · 2 + 1/4 · 2 · 6 = 4.5; 3/4 · 4.5 − 1/4 · 2 · 8 = −0.625 → 0
        found = layer(tf.constant([[[4.0], [6.0], [-8.0]]]), visible=CAUSAL)
        np.testing.assert_allclose(found, [[[2.0], [4.5], [0.0]]], rtol=1e-6)

    def test_reads_one_half_of_its_width_backwards(self) -> None:
        layer, x = recurrence(), normal(2, 5, 4)
        both, forwards = layer(x), layer(x, visible=CAUSAL)
        np.testing.assert_allclose(both[..., :2], forwards[..., :2], atol=1e-6)
        backwards = layer(x[:, ::-1], visible=CAUSAL)[:, ::-1]
        np.testing.assert_allclose(both[..., 2:], backwards[..., 2:], atol=1e-6)

    def test_keeps_its_state_in_float32(self) -> None:
        """A state of bfloat16 would stop growing at about a hundred, where 0.5 is lost in it."""
        layer = recurrence(2, dtype="bfloat16")
        layer.candidate.kernel.assign([[256.0, 0.0], [0.0, 256.0]])
        layer.forget.kernel.assign(tf.zeros([2, 2]))
        layer.forget.bias.assign([6.25, 6.25])  # exact in bfloat16
        kept = 1 / (1 + np.exp(-6.25))
        expected = 256 * (1 - kept**512)
        x = tf.ones([1, 512, 2], tf.bfloat16)
        np.testing.assert_allclose(layer(x, visible=CAUSAL)[0, -1], [expected] * 2, rtol=0.01)
        state = layer.start(tf.constant(1), tf.bfloat16)
        for _ in range(512):
            y, state = layer.step(x[:, :1], state)
        np.testing.assert_allclose(y[0, 0], [expected] * 2, rtol=0.01)
        assert y.dtype == tf.bfloat16
