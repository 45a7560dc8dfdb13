"""Attention at values computed by hand, then against Keras, then step by step.

B batch, N heads, T queries, S keys, H head width.
"""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from translator.layers.attention import (
    MultiHeadAttention,
    dot_product_attention,
)
from translator.layers.cross_attention import CrossAttention, Rows
from translator.layers.self_attention import SelfAttention
from translator.layers.visible import Visible

SEED = tf.constant([1, 2], tf.int64)
# With H = 4 a score is half the product: a query of 2·log 3 and keys of 1 and 0 score log 3 and 0.
QUERY = tf.constant([[2 * math.log(3.0), 0.0, 0.0, 0.0]])
KEYS = tf.constant([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
VALUES = tf.constant([[4.0, 0.0], [0.0, 8.0]])


def normal(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).standard_normal(shape, "float32"))


def random_mask(*shape: int) -> tf.Tensor:
    mask = np.random.default_rng(5).random(shape) < 0.6
    mask[..., 0] = True
    return tf.constant(mask)


def multi_head(
    model_dim: int = 8,
    num_heads: int = 2,
    rate: float = 0.0,
    kind: type[MultiHeadAttention] = MultiHeadAttention,
) -> MultiHeadAttention:
    layer = kind(model_dim, num_heads, rate)
    layer.build((None, None, model_dim))
    for i, weight in enumerate(layer.trainable_variables):
        weight.assign(normal(*weight.shape, seed=i))
    return layer


def attention_weights(query: tf.Tensor, key: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
    return dot_product_attention(query, key, key, mask)[1]


class TestAttentionWeights:
    def test_are_the_softmax_of_products_over_the_root_of_the_width(self) -> None:
        np.testing.assert_allclose(attention_weights(QUERY, KEYS), [[0.75, 0.25]], rtol=1e-6)

    def test_are_even_if_all_keys_fit_equally(self) -> None:
        weights = attention_weights(tf.zeros([1, 4]), normal(5, 4))
        np.testing.assert_allclose(weights, np.full((1, 5), 0.2), rtol=1e-6)

    def test_sum_to_one_under_any_mask(self) -> None:
        query, key = normal(2, 3, 5, 4), normal(2, 3, 6, 4, seed=1)
        for mask in (None, random_mask(2, 1, 5, 6)):
            weights = attention_weights(query, key, mask)
            np.testing.assert_allclose(tf.reduce_sum(weights, axis=-1), 1.0, rtol=1e-6)

    def test_are_zero_where_the_mask_is_false(self) -> None:
        weights = attention_weights(QUERY, KEYS, tf.constant([[False, True]]))
        np.testing.assert_array_equal(weights, [[0.0, 1.0]])

    def test_ignore_masked_keys_however_large(self) -> None:
        mask = tf.constant([[True, True, False]])
        large = tf.concat([KEYS, [[1e9, 1e9, 1e9, 1e9]]], axis=0)
        weights = attention_weights(QUERY, large, mask)
        np.testing.assert_allclose(weights, [[0.75, 0.25, 0.0]], rtol=1e-6)

    def test_of_bfloat16_come_from_a_softmax_in_float32(self) -> None:
        scores = np.array([[0.0, 1.0, 2.0, 3.0]], "float32")  # exact in bfloat16, as is H = 1
        query, key = tf.ones([1, 1], tf.bfloat16), tf.cast(scores.T, tf.bfloat16)
        for mask in (None, tf.ones([1, 4], tf.bool)):
            weights = attention_weights(query, key, mask)
            assert weights.dtype == tf.float32
            np.testing.assert_allclose(weights, tf.nn.softmax(scores), rtol=1e-6)


class TestDotProductAttention:
    def test_is_the_weighted_mean_of_the_values(self) -> None:
        output, weights = dot_product_attention(QUERY, KEYS, VALUES)
        np.testing.assert_allclose(output, [[3.0, 2.0]], rtol=1e-6)
        np.testing.assert_allclose(weights, [[0.75, 0.25]], rtol=1e-6)

    def test_of_a_query_that_may_look_nowhere_is_zero_and_so_are_its_gradients(self) -> None:
        query, key, value = normal(3, 4), normal(5, 4, seed=1), normal(5, 2, seed=2)
        mask = tf.constant([[True] * 5, [False] * 5, [True] * 5])
        with tf.GradientTape() as tape:
            tape.watch(query)
            output, _ = dot_product_attention(query, key, value, mask)
            total = tf.reduce_sum(output**2 + output)
        gradient = tape.gradient(total, query).numpy()
        np.testing.assert_array_equal(output[1], [0.0, 0.0])
        np.testing.assert_array_equal(gradient[1], np.zeros(4))
        assert np.isfinite(gradient).all() and gradient[0].any() and gradient[2].any()

    def test_gives_no_gradient_if_all_keys_are_masked(self) -> None:
        inputs = [normal(3, 4), normal(5, 4, seed=1), normal(5, 2, seed=2)]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            query, key, value = inputs
            output, _ = dot_product_attention(query, key, value, tf.zeros([3, 5], tf.bool))
            total = tf.reduce_sum(output**2 + output)
        for gradient in tape.gradient(total, inputs):
            np.testing.assert_array_equal(gradient, tf.zeros_like(gradient))

    def test_drops_weights_by_the_seed_and_returns_them_undropped(self) -> None:
        query, key, value = normal(64, 4), normal(9, 4, seed=1), normal(9, 4, seed=2)
        plain, weights = dot_product_attention(query, key, value)
        one, kept = dot_product_attention(query, key, value, dropout_rate=0.5, seed=SEED)
        again, _ = dot_product_attention(query, key, value, dropout_rate=0.5, seed=SEED)
        other, _ = dot_product_attention(query, key, value, dropout_rate=0.5, seed=SEED + 1)
        np.testing.assert_array_equal(one, again)
        np.testing.assert_array_equal(kept, weights)
        assert not np.allclose(one, other) and not np.allclose(one, plain)

    def test_of_bfloat16_values_is_bfloat16(self) -> None:
        low = [tf.cast(x, tf.bfloat16) for x in (QUERY, KEYS, VALUES)]
        output, weights = dot_product_attention(*low)
        assert (output.dtype, weights.dtype) == (tf.bfloat16, tf.float32)
        np.testing.assert_allclose(tf.cast(output, tf.float32), [[3.0, 2.0]], rtol=0.02)


class TestMultiHeadAttention:
    def test_with_identity_weights_and_one_head_is_the_formula(self) -> None:
        layer = multi_head(2, num_heads=1)
        layer.query_projection.kernel.assign(np.eye(2))
        layer.key_value_projection.kernel.assign(np.hstack([np.eye(2), np.eye(2)]))
        layer.output_projection.kernel.assign(np.eye(2))
        root = math.sqrt(2.0) * math.log(3.0)
        memory = tf.constant([[[1.0, 0.0], [0.0, 1.0]]])
        output = layer(tf.constant([[[root, 0.0], [0.0, root]]]), memory)
        np.testing.assert_allclose(output, [[[0.75, 0.25], [0.25, 0.75]]], rtol=1e-6)

    def test_gives_each_head_its_own_part_of_the_width(self) -> None:
        layer = multi_head(4, num_heads=2)
        layer.query_projection.kernel.assign(np.eye(4))
        layer.key_value_projection.kernel.assign(np.hstack([np.eye(4), np.eye(4)]))
        layer.output_projection.kernel.assign(np.eye(4))
        much = 1000.0
        query = tf.constant(
            [[[much, 0.0, 0.0, much]]]
        )  # head 0 fits the first key, head 1 the second
        memory = tf.constant([[[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]]])
        np.testing.assert_allclose(layer(query, memory), [[[1.0, 0.0, 0.0, 1.0]]], atol=1e-6)

    @pytest.mark.parametrize("masked", [False, True])
    def test_equals_keras_multi_head_attention_of_the_same_weights(self, masked: bool) -> None:
        ours, (query, memory) = multi_head(), (normal(2, 5, 8), normal(2, 7, 8, seed=1))
        theirs = keras.layers.MultiHeadAttention(num_heads=2, key_dim=4, use_bias=False)
        theirs.build(query.shape, memory.shape)
        into, out = (8, 2, 4), (2, 4, 8)
        key, value = np.split(ours.key_value_projection.kernel.numpy(), 2, axis=1)
        theirs.query_dense.kernel.assign(ours.query_projection.kernel.numpy().reshape(into))
        theirs.key_dense.kernel.assign(key.reshape(into))
        theirs.value_dense.kernel.assign(value.reshape(into))
        theirs.output_dense.kernel.assign(ours.output_projection.kernel.numpy().reshape(out))
        mask = random_mask(2, 7) if masked else None
        np.testing.assert_allclose(
            ours(query, memory, visible=Visible(mask)),
            theirs(query, memory, attention_mask=None if mask is None else mask[:, tf.newaxis]),
            atol=2e-5,
        )

    def test_result_of_a_query_does_not_depend_on_other_queries(self) -> None:
        layer, query, memory = multi_head(), normal(2, 5, 8), normal(2, 7, 8, seed=1)
        one_by_one = [layer(query[:, t : t + 1], memory) for t in range(5)]
        np.testing.assert_allclose(tf.concat(one_by_one, 1), layer(query, memory), atol=1e-5)

    def test_ignores_the_order_of_the_memory(self) -> None:
        layer, query, memory = multi_head(), normal(2, 5, 8), normal(2, 7, 8, seed=1)
        np.testing.assert_allclose(layer(query, memory[:, ::-1]), layer(query, memory), atol=1e-5)

    def test_drops_only_when_given_a_seed(self) -> None:
        layer, without = multi_head(rate=0.5), multi_head()
        query, memory = normal(2, 5, 8), normal(2, 7, 8, seed=1)
        np.testing.assert_array_equal(layer(query, memory), without(query, memory))
        dropped = layer(query, memory, seed=SEED)
        np.testing.assert_array_equal(dropped, layer(query, memory, seed=SEED))
        assert not np.allclose(dropped, without(query, memory))


class TestSelfAttention:
    def test_is_multi_head_attention_of_x_to_itself(self) -> None:
        general, x, visible = multi_head(rate=0.5), normal(2, 5, 8), Visible(random_mask(2, 5))
        layer = multi_head(rate=0.5, kind=SelfAttention)
        results = []
        for attention, arguments in ((general, (x, x)), (layer, (x,))):
            with tf.GradientTape() as tape:
                tape.watch(x)
                output = attention(*arguments, visible=visible, seed=SEED)
                loss = tf.reduce_sum(output * normal(2, 5, 8, seed=1))
            kernels = [variable.value for variable in attention.trainable_variables]
            results.append([output, *tape.gradient(loss, [x, *kernels])])
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)

    def test_step_by_step_equals_all_positions_at_once(self) -> None:
        layer, x = multi_head(kind=SelfAttention), normal(2, 5, 8)
        cache, steps = layer.start(2, tf.float32), []
        for t in range(5):
            y, cache = layer.step(x[:, t : t + 1], cache)
            steps.append(y)
        at_once = layer(x, visible=Visible(causal=True))
        np.testing.assert_allclose(tf.concat(steps, axis=1), at_once, atol=1e-5)


class TestCrossAttention:
    def test_a_step_of_some_hypotheses_equals_all_queries_at_once(self) -> None:
        """Three hypotheses per sentence; two of the second sentence have ended."""
        layer = multi_head(kind=CrossAttention)
        queries, memory, visible = (
            normal(2, 3, 8),
            normal(2, 7, 8, seed=1),
            Visible(random_mask(2, 7)),
        )
        at_once = tf.reshape(layer(queries, memory, visible=visible), [6, 8])
        alive = tf.constant([0, 1, 2, 5])
        x = tf.gather(tf.reshape(queries, [6, 1, 8]), alive)
        rows = Rows.of(alive, tf.constant([2, 3]))
        output = layer.step(x, layer.keys_values(memory), visible, rows)
        np.testing.assert_allclose(output[:, 0], tf.gather(at_once, alive), atol=1e-5)


class TestRows:
    # Two hypotheses of each of two sentences; the first of the second sentence has ended.
    rows = Rows.of(tf.constant([0, 1, 3]), tf.constant([2, 2]))
    x = tf.constant([[1.0], [2.0], [3.0]])

    def test_by_sentence_puts_each_hypothesis_into_its_beam(self) -> None:
        found = self.rows.by_sentence(self.x).numpy()
        np.testing.assert_array_equal(found[0], [[1.0], [2.0]])
        np.testing.assert_array_equal(found[1, 1], [3.0])

    def test_by_row_is_the_inverse(self) -> None:
        np.testing.assert_array_equal(self.rows.by_row(self.rows.by_sentence(self.x)), self.x)

    def test_one_each_has_one_row_per_sentence(self) -> None:
        rows = Rows.one_each(3)
        np.testing.assert_array_equal(rows.by_sentence(self.x), self.x[:, tf.newaxis])
        np.testing.assert_array_equal(rows.by_row(self.x[:, tf.newaxis]), self.x)
