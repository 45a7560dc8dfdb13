"""The seed of every dropout in a model, derived from the seed of the step.

Old runs depend on these seeds to resume. A plain forward pass over the named weights, with every
`fold_in` written out, must agree with the model.

B batch, S source length, T target length, N heads, H head width, D model width.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from conftest import MakeModel

from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID
from translator.layers.dropout import dropout, fold_in
from translator.layers.embedding import sinusoidal_positions
from translator.layers.visible import Visible
from translator.models.weights import Arrays, model_weights

SEED = tf.constant([1, 3 * 2**20], tf.int64)
HEADS = 2
RATES = {
    "dropout_rate": 0.25,
    "attention_dropout_rate": 0.5,
    "activation_dropout_rate": 0.375,
    "embedding_dropout_rate": 0.125,
}
SOURCE = tf.constant([[4, 5, 6, 7, END_ID], [8, 9, END_ID, PAD_ID, PAD_ID]])
TARGET = tf.constant([[BEGIN_ID, 4, 5, 6], [BEGIN_ID, 9, 7, 8]])


def padding_mask(ids: tf.Tensor) -> tf.Tensor:
    return Visible(tf.not_equal(ids, PAD_ID)).mask(ids.shape[1], ids.shape[1])


class Plain:
    """The formulas of a pre-norm Transformer, without any layer."""

    def __init__(self, weights: Arrays) -> None:
        self.weights = weights

    def embed(self, ids: tf.Tensor, side: str, seed: tf.Tensor) -> tf.Tensor:
        table = self.weights[f"{side}_embedding/table"]
        width = table.shape[1]
        x = tf.gather(table, ids) * math.sqrt(width)
        x += sinusoidal_positions(tf.range(ids.shape[1]), width)
        return dropout(x, RATES["embedding_dropout_rate"], seed)

    def norm(self, x: tf.Tensor, name: str) -> tf.Tensor:
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        deviation = tf.sqrt(tf.reduce_mean(centred**2, axis=-1, keepdims=True) + 1e-6)
        return centred / deviation * self.weights[f"{name}/scale"] + self.weights[f"{name}/offset"]

    def attention(
        self, x: tf.Tensor, memory: tf.Tensor, mask: tf.Tensor, name: str, seed: tf.Tensor
    ) -> tf.Tensor:
        def heads(rows: tf.Tensor) -> tf.Tensor:
            rows = tf.reshape(rows, [*rows.shape[:2], HEADS, -1])
            return tf.transpose(rows, [0, 2, 1, 3])

        query = heads(x @ self.weights[f"{name}/query/kernel"])
        key, value = map(heads, tf.split(memory @ self.weights[f"{name}/key_value/kernel"], 2, -1))
        scores = tf.matmul(query, key, transpose_b=True) / math.sqrt(query.shape[-1])
        weights = tf.nn.softmax(tf.where(mask, scores, -1e9))
        output = dropout(weights, RATES["attention_dropout_rate"], seed) @ value
        output = tf.reshape(tf.transpose(output, [0, 2, 1, 3]), x.shape)
        return output @ self.weights[f"{name}/output/kernel"]

    def feed_forward(self, x: tf.Tensor, name: str, seed: tf.Tensor) -> tf.Tensor:
        inner, outer = (
            (self.weights[f"{name}/{part}/kernel"], self.weights[f"{name}/{part}/bias"])
            for part in ("inner", "outer")
        )
        x = dropout(tf.nn.relu(x @ inner[0] + inner[1]), RATES["activation_dropout_rate"], seed)
        return x @ outer[0] + outer[1]

    def encode(self, ids: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        rate, mask = RATES["dropout_rate"], padding_mask(ids)
        x = self.embed(ids, "source", fold_in(seed, 0))
        for i in range(2):
            name, below = f"encoder_{i}", fold_in(seed, i + 1)
            y = self.norm(x, f"{name}/attention_residual/norm")
            y = self.attention(y, y, mask, f"{name}/attention", fold_in(below, 0))
            x += dropout(y, rate, fold_in(below, 1))
            y = self.norm(x, f"{name}/feed_forward_residual/norm")
            y = self.feed_forward(y, f"{name}/feed_forward", fold_in(below, 2))
            x += dropout(y, rate, fold_in(below, 3))
        return self.norm(x, "encoder_norm")

    def decode(
        self, ids: tf.Tensor, memory: tf.Tensor, memory_mask: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        rate, mask = RATES["dropout_rate"], Visible(causal=True).mask(ids.shape[1], ids.shape[1])
        x = self.embed(ids, "target", fold_in(seed, 0))
        for i in range(2):
            name, below = f"decoder_{i}", fold_in(seed, i + 1)
            y = self.norm(x, f"{name}/attention_residual/norm")
            y = self.attention(y, y, mask, f"{name}/attention", fold_in(below, 0))
            x += dropout(y, rate, fold_in(below, 1))
            y = self.norm(x, f"{name}/cross_attention_residual/norm")
            y = self.attention(y, memory, memory_mask, f"{name}/cross_attention", fold_in(below, 2))
            x += dropout(y, rate, fold_in(below, 3))
            y = self.norm(x, f"{name}/feed_forward_residual/norm")
            y = self.feed_forward(y, f"{name}/feed_forward", fold_in(below, 4))
            x += dropout(y, rate, fold_in(below, 5))
        return self.norm(x, "decoder_norm")


@pytest.mark.parametrize("recompute", [False, True])
def test_the_encoder_folds_in_0_the_decoder_1_and_layers_count_from_1(
    make_model: MakeModel, recompute: bool
) -> None:
    model = make_model(**RATES)
    model.recompute_activations = recompute
    plain = Plain(model_weights(model))
    memory = plain.encode(SOURCE, fold_in(SEED, 0))
    expected = plain.decode(TARGET, memory, padding_mask(SOURCE), fold_in(SEED, 1))
    np.testing.assert_allclose(model.encode(SOURCE, SEED).states, memory, atol=1e-5)
    np.testing.assert_allclose(model(SOURCE, TARGET, seed=SEED), expected, atol=1e-5)
