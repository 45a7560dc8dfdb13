"""Attention in blocks equals attention at once, in value and gradient.

B batch, N heads, T queries, S keys, H head width.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from translator.layers.attention import MultiHeadAttention, dot_product_attention
from translator.layers.attention_blocks import AT_ONCE, attention_in_blocks
from translator.layers.self_attention import SelfAttention
from translator.layers.visible import Visible

SEED = tf.constant([1, 2], tf.int64)


def normal(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).standard_normal(shape, "float32"))


Inputs = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def with_gradients(
    attend: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor], inputs: Inputs
) -> tuple[np.ndarray, np.ndarray, Inputs]:
    """The output, an arbitrary gradient of it, and those of the inputs."""

    @tf.function(autograph=False)
    def compute(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> object:
        with tf.GradientTape() as tape:
            tape.watch((query, key, value))
            output = attend(query, key, value)
        upstream = tf.cos(tf.range(tf.cast(tf.size(output), tf.float32)))
        upstream = tf.reshape(upstream, tf.shape(output))
        return output, upstream, tape.gradient(output, (query, key, value), upstream)

    output, upstream, gradients = compute(*inputs)
    return output.numpy(), upstream.numpy(), gradients


@pytest.mark.parametrize("window", [None, 1, 20, 500])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("num_queries", "num_keys"), [(17, 17), (48, 48), (33, 50)])
def test_value_and_gradients_are_those_of_attention_at_once(
    num_queries: int, num_keys: int, causal: bool, window: int | None
) -> None:
    inputs = (
        normal(2, 3, num_queries, 4),
        normal(2, 3, num_keys, 4, seed=1),
        normal(2, 3, num_keys, 5, seed=2),
    )

    def visible() -> Visible:
        return Visible(tf.sequence_mask([num_keys, num_keys - 7]), causal, window)

    def at_once(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        mask = visible().mask(tf.constant(num_queries), tf.constant(num_keys))
        return dot_product_attention(query, key, value, mask)[0]

    def in_blocks(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        return attention_in_blocks(
            dot_product_attention, query, key, value, visible(), block_size=2
        )

    expected, _, gradients = with_gradients(at_once, inputs)
    found, _, found_gradients = with_gradients(in_blocks, inputs)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for one, other in zip(found_gradients, gradients, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_without_any_mask_it_is_the_same() -> None:
    query, key, value = (normal(1, 1, 40, 4, seed=seed) for seed in range(3))
    np.testing.assert_allclose(
        attention_in_blocks(dot_product_attention, query, key, value, block_size=3),
        dot_product_attention(query, key, value)[0],
        atol=1e-5,
    )


def test_dropout_is_decided_by_the_seed_and_differs_between_blocks() -> None:
    query, key, value = tf.zeros([1, 1, 32, 4]), tf.zeros([1, 1, 64, 4]), normal(1, 1, 64, 4)

    def dropped(seed: tf.Tensor) -> np.ndarray:
        output, upstream, gradients = with_gradients(
            lambda query, key, value: attention_in_blocks(
                *(dot_product_attention, query, key, value),
                dropout_rate=0.5,
                seed=tf.identity(seed),
                block_size=2,
            ),
            (query, key, value),
        )
        # The output is linear in the value, so the gradient shows that the same weights were kept.
        total = np.sum(gradients[2] * value)
        np.testing.assert_allclose(total, np.sum(output * upstream), rtol=1e-4)
        return output

    one = dropped(SEED)
    np.testing.assert_array_equal(dropped(SEED), one)
    assert not np.allclose(dropped(SEED + 1), one, atol=1e-2)
    of_blocks = np.reshape(one, (16, -1))
    assert len(np.unique(of_blocks, axis=0)) == 16


@pytest.mark.parametrize("kind", [MultiHeadAttention, SelfAttention])
def test_a_layer_computes_long_text_in_blocks_and_short_text_at_once(
    kind: type[MultiHeadAttention],
) -> None:
    layers = [kind(8, 2, dropout_rate=0.5, block_size=size) for size in (None, 4)]
    for layer in layers:
        layer.build((None, None, 8))
        for i, weight in enumerate(layer.trainable_variables):
            weight.assign(normal(*weight.shape, seed=i))
    for length in (AT_ONCE * 4, AT_ONCE * 4 + 1):
        x = normal(2, length, 8)
        inputs = [x, x] if kind is MultiHeadAttention else [x]
        visible = Visible(tf.sequence_mask([length, length - 5]))
        at_once, in_blocks = (layer(*inputs, visible=visible) for layer in layers)
        np.testing.assert_allclose(in_blocks, at_once, atol=1e-5)
        # In blocks, dropout drops other weights.
        at_once, in_blocks = (layer(*inputs, visible=visible, seed=SEED) for layer in layers)
        assert np.array_equal(in_blocks, at_once) == (length == AT_ONCE * 4)


class TestWindow:
    def test_hides_what_is_farther_away(self) -> None:
        near = [[True, True, False], [True, True, True], [False, True, True]]
        np.testing.assert_array_equal(Visible(window=1).mask(3, 3), [[near]])
        earlier = [[True, False, False], [True, True, False], [False, True, True]]
        np.testing.assert_array_equal(Visible(causal=True, window=1).mask(3, 3), [[earlier]])

    def test_step_by_step_equals_all_at_once_in_a_cache_of_its_size(self) -> None:
        layer = SelfAttention(8, 2, window=2)
        layer.build((None, None, 8))
        for i, weight in enumerate(layer.trainable_variables):
            weight.assign(normal(*weight.shape, seed=i))
        x = normal(2, 7, 8)
        at_once = layer(x, visible=Visible(causal=True))
        cache = layer.start(tf.constant(2), x.dtype)
        for t in range(7):
            y, cache = layer.step(x[:, t : t + 1], cache)
            np.testing.assert_allclose(y[:, 0], at_once[:, t], atol=1e-5)
            assert cache.key.shape[2] == min(t + 1, 3)
