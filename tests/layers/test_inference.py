"""The flags of inference, and tensors prepared from frozen weights."""

from __future__ import annotations

import pytest
import tensorflow as tf

from translator.layers.inference import inference, is_frozen, is_inference, prepared


def test_flags_are_set_inside_the_context_only() -> None:
    assert (is_inference(), is_frozen()) == (False, False)
    with inference():
        assert (is_inference(), is_frozen()) == (True, False)
        with inference(frozen=True):
            assert (is_inference(), is_frozen()) == (True, True)
        assert (is_inference(), is_frozen()) == (True, False)
    assert (is_inference(), is_frozen()) == (False, False)


@pytest.mark.parametrize(("frozen", "expected"), [(False, 63), (True, 56)])
def test_tensors_of_frozen_weights_are_computed_once(frozen: bool, expected: int) -> None:
    """Also inside a loop, whose body is a graph of its own."""
    weight = tf.Variable(2)

    @tf.function(autograph=False)
    def graph() -> tf.Tensor:
        def body(x: tf.Tensor) -> list[tf.Tensor]:
            return [x + prepared(lambda: 7 * weight)]

        with inference(frozen):
            return tf.while_loop(lambda x: x < 43, body, [tf.constant(0)])[0]

    assert graph() == 56
    weight.assign(3)
    assert graph() == expected
