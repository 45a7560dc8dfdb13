"""What every mixer does: a step equals the whole, padding changes nothing, order matters.

B batch, T length, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from translator.config.schema import ModelConfig
from translator.layers.self_attention import SelfAttention
from translator.layers.visible import EVERYTHING, Visible
from translator.models.blocks import MIXERS

CONFIG = ModelConfig(model_dim=8, num_heads=2)
CAUSAL = Visible(causal=True)
NOT_PADDING = tf.sequence_mask([6, 4])


def normal(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).standard_normal(shape, "float32"))


@pytest.fixture(params=[(kind, depth) for kind in MIXERS for depth in (0, 3)], ids=str)
def make_mixer(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Every kind of mixer, in the first and in the fourth layer."""
    kind, depth = request.param

    def make(dtype: str = "float32") -> Any:
        layer: Any = MIXERS[kind].make(CONFIG, depth, keras.DTypePolicy(dtype))
        layer.build((None, None, 8))
        for i, weight in enumerate(layer.trainable_variables):
            weight.assign(normal(*weight.shape, seed=i))
        return layer

    return make


def in_steps(mixer: Any, x: tf.Tensor) -> tf.Tensor:
    """All positions [B, T, D], one after the other."""
    state, outputs = mixer.start(tf.shape(x)[0], x.dtype), []
    for t in range(x.shape[1]):
        y, state = mixer.step(x[:, t : t + 1], state)
        outputs.append(y)
    return tf.concat(outputs, axis=1)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.03)])
@pytest.mark.parametrize("length", [1, 6])
def test_step_by_step_equals_all_at_once(
    make_mixer: Callable[..., Any], length: int, dtype: str, tolerance: float
) -> None:
    mixer, x = make_mixer(dtype), tf.cast(0.5 * normal(2, length, 8), dtype)
    at_once, stepped = mixer(x, visible=CAUSAL), in_steps(mixer, x)
    assert at_once.dtype == stepped.dtype == x.dtype
    np.testing.assert_allclose(
        tf.cast(stepped, tf.float32), tf.cast(at_once, tf.float32), atol=tolerance, rtol=tolerance
    )


def test_positions_depend_on_later_ones_only_if_these_are_visible(
    make_mixer: Callable[..., Any],
) -> None:
    mixer, x = make_mixer(), normal(1, 6, 8)
    changed = tf.tensor_scatter_nd_add(x, [[0, 5]], normal(1, 8, seed=1))

    def differences(visible: Visible) -> np.ndarray:
        before, after = mixer(x, visible=visible), mixer(changed, visible=visible)
        return np.abs(after - before).max(axis=-1)[0]

    assert (differences(CAUSAL)[:5] < 1e-6).all()
    assert differences(CAUSAL)[5] > 1e-3
    assert differences(EVERYTHING)[4] > 1e-3


@pytest.mark.parametrize("causal", [False, True])
def test_padding_changes_nothing(make_mixer: Callable[..., Any], causal: bool) -> None:
    mixer, x = make_mixer(), normal(2, 6, 8)
    others = tf.where(NOT_PADDING[:, :, tf.newaxis], x, normal(2, 6, 8, seed=1))
    visible = Visible(NOT_PADDING, causal)
    found = mixer(x, visible=visible)
    np.testing.assert_allclose(found[1, :4], mixer(others, visible=visible)[1, :4], atol=1e-6)
    alone = mixer(x[1:, :4], visible=Visible(causal=causal))
    np.testing.assert_allclose(found[1:, :4], alone, atol=1e-5)


def test_the_order_of_positions_matters_unless_attention_sees_all(
    make_mixer: Callable[..., Any],
) -> None:
    mixer, x = make_mixer(), normal(1, 6, 8)
    swapped = tf.gather(x, [1, 0, 2, 3, 4, 5], axis=1)
    found = mixer(swapped)[:, 2:] - mixer(x)[:, 2:]
    is_blind = isinstance(mixer, SelfAttention)
    assert (np.abs(found).max() < 1e-5) == is_blind


@pytest.mark.parametrize("causal", [False, True])
def test_gradients_are_finite_at_extreme_inputs(
    make_mixer: Callable[..., Any], causal: bool
) -> None:
    mixer, x = make_mixer(), 1e4 * normal(2, 6, 8)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = mixer(x, visible=Visible(NOT_PADDING, causal))
    for gradient in tape.gradient(y, [x, *[v.value for v in mixer.trainable_variables]]):
        assert np.isfinite(gradient).all()
