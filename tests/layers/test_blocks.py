"""Masks, the feed-forward block and the residual connection, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from translator.data.tokenizer import END_ID, PAD_ID
from translator.layers.feed_forward import FeedForward
from translator.layers.masks import causal_mask, padding_mask
from translator.layers.residual import Residual

SEED = tf.constant([1, 2], tf.int64)


class TestMasks:
    def test_all_but_padding_may_be_attended_to(self) -> None:
        mask = padding_mask(tf.constant([[5, 6, END_ID], [5, END_ID, PAD_ID]]))
        np.testing.assert_array_equal(mask, [[[[True, True, True]]], [[[True, True, False]]]])

    def test_a_position_sees_itself_and_what_came_before(self) -> None:
        seen = [[True, False, False], [True, True, False], [True, True, True]]
        np.testing.assert_array_equal(causal_mask(3), [[seen]])


class TestFeedForward:
    def block(self, rate: float = 0.0, activation: str = "relu") -> FeedForward:
        layer = FeedForward(2, 2, activation, rate)
        layer.build((None, None, 2))
        layer.inner.kernel.assign(np.eye(2))
        layer.inner.bias.assign([-1.0, 1.0])
        layer.outer.kernel.assign([[2.0, 0.0], [1.0, 3.0]])
        layer.outer.bias.assign([10.0, 20.0])
        return layer

    def test_is_two_products_with_a_relu_between(self) -> None:
        x = tf.constant([[[0.0, 1.0], [3.0, -5.0]]])  # inner: [0, 2] and [2, 0]
        np.testing.assert_array_equal(self.block()(x), [[[12.0, 26.0], [14.0, 20.0]]])

    def test_adds_to_what_it_is_told(self) -> None:
        x, plus = tf.constant([[[0.0, 1.0]]]), tf.constant([[[100.0, 200.0]]])
        np.testing.assert_array_equal(self.block()(x, plus=plus), [[[112.0, 226.0]]])

    def test_may_have_another_activation(self) -> None:
        x = tf.constant([[[-100.0, 100.0]]])  # inner: [-101, 101]; sigmoid of these: 0 and 1
        np.testing.assert_allclose(self.block(activation="silu")(x), [[[111.0, 323.0]]])
        x = tf.constant([[[0.0, -1.0]]])  # inner: [-1, 0]
        below_zero = self.block(activation="silu")(x)
        np.testing.assert_allclose(below_zero, [[[10 - 2 / (1 + np.e), 20.0]]], rtol=1e-6)

    def test_drops_activations_and_never_outputs(self) -> None:
        x = tf.tile(tf.constant([[[3.0, -9.0]]]), [1, 200, 1])  # inner: [2, 0], dropped: 0 or 4
        outputs = np.unique(self.block(rate=0.5)(x, SEED)[0], axis=0)
        np.testing.assert_array_equal(outputs, [[10.0, 20.0], [18.0, 20.0]])
        np.testing.assert_array_equal(self.block(rate=0.5)(x), self.block()(x))


class TestResidual:
    x = tf.constant([[[1.0, 3.0]]])

    def test_pre_adds_what_the_block_makes_of_the_normalized(self) -> None:
        result = Residual("pre", 0.0)(self.x, block=lambda q, plus: plus + 10.0 * q)
        np.testing.assert_allclose(result, [[[-9.0, 13.0]]], atol=1e-4)

    def test_post_normalizes_the_sum(self) -> None:
        result = Residual("post", 0.0)(self.x, block=lambda q, plus: plus + q * q)  # [1+1, 3+9]
        np.testing.assert_allclose(result, [[[-1.0, 1.0]]], atol=1e-4)

    def test_post_gives_the_block_what_is_not_normalized(self) -> None:
        def block(q: tf.Tensor, plus: tf.Tensor) -> tf.Tensor:
            np.testing.assert_array_equal(q, self.x)
            return (
                plus - 0.5 * q
            )  # of [1, 3], leaving [0.5, 1.5]; of [-1, 1] it would leave [1.5, 2.5]

        result = Residual("post", 0.0)(self.x, block=block)
        np.testing.assert_allclose(result, [[[-1.0, 1.0]]], atol=1e-4)

    def test_drops_of_the_block_and_never_of_x(self) -> None:
        x = tf.tile(self.x, [1, 100, 1])
        result = Residual("pre", 0.5)(x, block=lambda q, plus: 10.0 * q, seed=SEED).numpy()[0]
        np.testing.assert_allclose(np.unique(result[:, 0].round(3)), [-19.0, 1.0])
        np.testing.assert_allclose(np.unique(result[:, 1].round(3)), [3.0, 23.0])

    @pytest.mark.parametrize("normalization", ["pre", "post"])
    def test_drops_only_when_given_a_seed(self, normalization: str) -> None:
        plain, dropping = Residual(normalization, 0.0), Residual(normalization, 0.5)
        x = tf.constant(np.random.default_rng(0).standard_normal((1, 50, 2), "float32"))

        def block(q: tf.Tensor, plus: tf.Tensor | None) -> tf.Tensor:
            return 10.0 * q * q + (0.0 if plus is None else plus)

        np.testing.assert_array_equal(dropping(x, block=block), plain(x, block=block))
        assert not np.allclose(dropping(x, block=block, seed=SEED), plain(x, block=block))
