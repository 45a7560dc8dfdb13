"""A linear recurrence, computed for all positions in parallel.

c_t = f_t ∘ c_{t−1} + u_t applies a linear map, c ↦ f_t ∘ c + u_t, and the composition of two such
maps is another one. A scan composes them in log₂ T passes (Hillis & Steele 1986). After the pass
with offset s, every position has composed the maps of itself and of the 2s − 1 positions before it.

T length; the other axes are any.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def linear_scan(factors: tf.Tensor, inputs: tf.Tensor, reverse: bool = False) -> tf.Tensor:
    """c_t = f_t ∘ c_{t−1} + u_t for every t, from zero: both [T, …] float32 → [T, …].

    With `reverse`, the recurrence runs from the last position to the first. Factors lie in [0, 1],
    so that their products cannot overflow.

    The gradient is a scan in the opposite direction, and keeps only the factors and the result.
    With g_t the gradient that arrives at c_t, the whole gradient of c_t is
    d_t = g_t + f_{t+1} ∘ d_{t+1}. Then ∂u_t = d_t and ∂f_t = d_t ∘ c_{t−1}.
    """

    @tf.custom_gradient
    def scan(
        factors: tf.Tensor, inputs: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
        result = _scan(factors, inputs, reverse)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            whole = _scan(_previous(factors, not reverse), upstream, not reverse)
            return whole * _previous(result, reverse), whole

        return result, gradient

    return scan(factors, inputs)


def _scan(factors: tf.Tensor, inputs: tf.Tensor, reverse: bool) -> tf.Tensor:
    """`linear_scan` without its gradient."""

    def cut(x: tf.Tensor, offset: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """x at every position that has another one `offset` before it, x at that other one, and x
        at the first positions, which have none."""
        if reverse:
            return x[:-offset], x[offset:], x[-offset:]
        return x[offset:], x[:-offset], x[:offset]

    def joined(composed: tf.Tensor, remaining: tf.Tensor) -> tf.Tensor:
        return tf.concat([composed, remaining] if reverse else [remaining, composed], axis=0)

    def compose(
        offset: tf.Tensor, factors: tf.Tensor, inputs: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        f, f_before, f_remaining = cut(factors, offset)
        u, u_before, u_remaining = cut(inputs, offset)
        factors = joined(f * f_before, f_remaining)
        inputs = joined(u + f * u_before, u_remaining)
        return 2 * offset, factors, inputs

    length = tf.shape(inputs)[0]
    any_length = tf.TensorShape([None, *inputs.shape[1:]])
    *_, result = tf.while_loop(
        lambda offset, factors, inputs: offset < length,
        compose,
        (tf.constant(1), factors, inputs),
        shape_invariants=(tf.TensorShape([]), any_length, any_length),
        parallel_iterations=1,
    )
    return result


def _previous(x: tf.Tensor, reverse: bool) -> tf.Tensor:
    """The value at the position before each one; zero at the first."""
    zero = tf.zeros_like(x[:1])
    return tf.concat([x[1:], zero] if reverse else [zero, x[:-1]], axis=0)
