"""Masks, the feed-forward block and the residual connection, at values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from translator.layers.feed_forward import FeedForward
from translator.layers.residual import Residual
from translator.layers.visible import EVERYTHING, Visible

SEED = tf.constant([1, 2], tf.int64)


class TestVisible:
    not_padding = tf.constant([[True, True, True], [True, True, False]])
    earlier = ((True, False, False), (True, True, False), (True, True, True))

    def test_everything_needs_no_mask(self) -> None:
        assert EVERYTHING.mask(3, 3) is None

    def test_padding_is_hidden_from_all_heads_and_queries(self) -> None:
        mask = Visible(self.not_padding).mask(5, 3)
        np.testing.assert_array_equal(mask, [[[[True, True, True]]], [[[True, True, False]]]])

    def test_causal_positions_see_themselves_and_earlier_ones(self) -> None:
        np.testing.assert_array_equal(Visible(causal=True).mask(3, 3), [[self.earlier]])

    def test_causal_queries_are_the_last_of_the_keys(self) -> None:
        mask = Visible(causal=True).mask(2, 4)
        expected = [[True, True, True, False], [True, True, True, True]]
        np.testing.assert_array_equal(mask, [[expected]])

    def test_padding_and_causality_combine(self) -> None:
        mask = Visible(self.not_padding, causal=True).mask(3, 3)
        assert mask is not None
        np.testing.assert_array_equal(mask[0, 0], self.earlier)
        np.testing.assert_array_equal(mask[1, 0], self.earlier & np.array([True, True, False]))


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


def built(normalization: str, dropout_rate: float = 0.0) -> Residual:
    layer = Residual(normalization, dropout_rate)
    layer.build((None, None, 2))
    return layer


class TestResidual:
    x = tf.constant([[[1.0, 3.0]]])

    def test_pre_normalizes_the_input_of_the_block(self) -> None:
        residual = built("pre")
        np.testing.assert_allclose(residual.before(self.x), [[[-1.0, 1.0]]], atol=1e-4)
        np.testing.assert_array_equal(residual(self.x, 10.0 * self.x), [[[11.0, 33.0]]])

    def test_post_normalizes_the_sum(self) -> None:
        residual = built("post")
        np.testing.assert_array_equal(residual.before(self.x), self.x)
        result = residual(self.x, self.x * self.x)  # [1 + 1, 3 + 9]
        np.testing.assert_allclose(result, [[[-1.0, 1.0]]], atol=1e-4)

    def test_drops_only_the_output_of_the_block(self) -> None:
        x = tf.tile(self.x, [1, 100, 1])
        y = tf.tile([[[-10.0, 10.0]]], [1, 100, 1])
        result = built("pre", 0.5)(x, y, seed=SEED).numpy()[0]
        np.testing.assert_array_equal(np.unique(result[:, 0]), [-19.0, 1.0])
        np.testing.assert_array_equal(np.unique(result[:, 1]), [3.0, 23.0])

    @pytest.mark.parametrize("normalization", ["pre", "post"])
    def test_drops_only_when_given_a_seed(self, normalization: str) -> None:
        plain, dropping = built(normalization), built(normalization, 0.5)
        x = tf.constant(np.random.default_rng(0).standard_normal((1, 50, 2), "float32"))
        y = 10.0 * x * x
        np.testing.assert_array_equal(dropping(x, y), plain(x, y))
        assert not np.allclose(dropping(x, y, seed=SEED), plain(x, y))
