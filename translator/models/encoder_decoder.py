"""What training and search know of a model, whatever it is made of.

B batch, K hypotheses a sentence, R rows of the search (the hypotheses that it asks of), S source
length, T target length, D model width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from translator.layers.inference import prepared

Fixed = Any
"""Per sentence, leading axis B: what all its hypotheses look at. Never reordered or repeated."""
Cache = Any
"""Per hypothesis, leading axis R: what grows with every step. The search reorders it."""
StepFunction = Callable[
    [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, Fixed, Cache], tuple[tf.Tensor, Cache]
]
"""(last ids [R], their positions [R], places [R], rows [B, K], fixed, cache) → (logits [R, V] in
the model's precision, up to a constant, cache). A place, of B·K, says whose hypothesis a row is:
sentence · K + k; `rows`, the inverse, the row of each hypothesis, any where it is not asked of."""


class Memory(NamedTuple):
    """What the encoder hands over."""

    states: tf.Tensor
    """[B, S, D]"""
    mask: tf.Tensor
    """[B, 1, 1, S] boolean, True = may be attended to."""


class EncoderDecoder(keras.Model):
    """A model that reads a source and writes a target.

    Rows of source ids end with the end id, rows of target input begin with the begin id, both are
    padded with the pad id. `seed` (layers/dropout.py) turns dropout on; None is inference.
    """

    recompute_activations = False
    """Keep no activations inside the layers for the gradient, but compute them again."""

    output_table: keras.Variable
    """[V, D]: the logits of a decoder state are its products with these rows."""

    def encode(self, source: tf.Tensor, seed: tf.Tensor | None = None) -> Memory:
        """[B, S] source ids → memory."""
        raise NotImplementedError

    def decode(self, target: tf.Tensor, memory: Memory, seed: tf.Tensor | None = None) -> tf.Tensor:
        """[B, T] target input ids → decoder states [B, T, D], all positions at once (training)."""
        raise NotImplementedError

    def start(self, memory: Memory) -> tuple[StepFunction, Fixed, Cache]:
        """The step function of a search, and what it starts from: one row for each sentence."""
        raise NotImplementedError

    def logits(self, states: tf.Tensor) -> tf.Tensor:
        """[..., D] decoder states → [..., V] float32."""
        matrix = self.output_matrix(states.dtype)
        flat = tf.matmul(tf.reshape(states, [-1, matrix.shape[0]]), matrix)
        shape = tf.concat([tf.shape(states)[:-1], [matrix.shape[1]]], axis=0)
        return tf.cast(tf.reshape(flat, shape), tf.float32)

    def output_matrix(self, dtype: tf.DType) -> tf.Tensor:
        """The output table as [D, V], which makes products of few rows faster."""
        table = self.output_table
        return prepared(lambda: tf.transpose(tf.cast(tf.convert_to_tensor(table), dtype)))

    def search_output(self, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
        """`output_matrix` and a bias [V] of -log V, which changes no probability.

        A piece needs a logit of log V to be as likely as all others together if these are at 0. So
        the logits of likely pieces become small, and bfloat16 rounds them less, where a kernel adds
        the bias before it rounds, as oneDNN's does.
        """
        matrix = self.output_matrix(dtype)
        size = matrix.shape[1]
        return matrix, prepared(lambda: tf.fill([size], tf.cast(-math.log(size), dtype)))

    def call(
        self, source: tf.Tensor, target: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """[B, S], [B, T] → decoder states [B, T, D]."""
        return self.decode(target, self.encode(source, seed), seed)
