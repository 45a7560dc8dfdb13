"""Cross-attention: positions of the target look at the encoder's memory.

B batch, K hypotheses a sentence, R rows of a search, N heads, T queries, S keys, H head width, D
model width.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from translator.layers import kernels
from translator.layers.attention import MultiHeadAttention
from translator.layers.heads import KeyValue, split_heads
from translator.layers.visible import EVERYTHING, Visible


class Rows(NamedTuple):
    """Which hypotheses a step of a search computes: R of the B · K, as the others have ended."""

    hypotheses: tf.Tensor
    """[R] sentence · K + beam of each row."""
    row_of: tf.Tensor
    """[B, K] row of each hypothesis (arbitrary if it has ended)."""

    @classmethod
    def one_each(cls, num_sentences: tf.Tensor) -> Rows:
        """One hypothesis for each sentence."""
        numbers = tf.range(num_sentences)
        return cls(numbers, numbers[:, tf.newaxis])

    @classmethod
    def of(cls, hypotheses: tf.Tensor, shape: tf.Tensor) -> Rows:
        """The rows of some hypotheses [R], given the shape [2] of all beams, (B, K)."""
        numbers = tf.range(tf.size(hypotheses))
        rows = tf.scatter_nd(hypotheses[:, tf.newaxis], numbers, [tf.reduce_prod(shape)])
        return cls(hypotheses, tf.reshape(rows, shape))

    def by_sentence(self, x: tf.Tensor) -> tf.Tensor:
        """[R, D] → [B, K, D], arbitrary where a hypothesis has ended."""
        return tf.gather(x, self.row_of)

    def by_row(self, x: tf.Tensor) -> tf.Tensor:
        """[B, K, D] → [R, D], the inverse of `by_sentence`."""
        return tf.gather(tf.reshape(x, [-1, x.shape[2]]), self.hypotheses)


class CrossAttention(MultiHeadAttention):
    """`MultiHeadAttention` that can also look at its memory from one position at a time."""

    def shown_weights(
        self, x: tf.Tensor, memory: tf.Tensor, visible: Visible = EVERYTHING
    ) -> tf.Tensor:
        """The weights in `call`, [B, T, D], [B, S, D] → [B, N, T, S]."""
        (query,) = split_heads(self.query_projection(x), self.num_heads)
        return self.weights_of(query, self.keys_values(memory), visible)

    def step(self, x: tf.Tensor, key_value: KeyValue, visible: Visible, rows: Rows) -> tf.Tensor:
        """One position of each row, [R, 1, D] → [R, 1, D].

        The K hypotheses of a sentence are K queries to its one memory, which is not repeated.
        """
        query = rows.by_sentence(self.query_projection(x)[:, 0])
        (query,) = split_heads(query, self.num_heads)
        output = self.attend(query, key_value, visible, matmul=kernels.few_queries_matmul)
        return self.output_projection(rows.by_row(output)[:, tf.newaxis])
