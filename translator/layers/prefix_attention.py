"""Self-attention over a target that continues its source.

Source positions look at the whole source; a target position looks at the source, at itself and at
earlier target positions. So no source position depends on the target, and the keys and values of
the source are computed once. The result is that of one sequence under a prefix mask.

B batch, K hypotheses a sentence, R rows of a search, N heads, S source length, T target length, H
head width, D model width.
"""

from __future__ import annotations

import tensorflow as tf

from translator.layers import kernels
from translator.layers.attention import attention_scores
from translator.layers.cross_attention import Rows
from translator.layers.dropout import Seed
from translator.layers.heads import KeyValue
from translator.layers.self_attention import SelfAttention, followed_by
from translator.layers.visible import EVERYTHING, Visible


class PrefixAttention(SelfAttention):
    """`SelfAttention` that also returns its keys and values, and can look at those of a prefix."""

    def attend_after(
        self,
        x: tf.Tensor,
        prefix: KeyValue | None = None,
        visible: Visible = EVERYTHING,
        seed: Seed = None,
    ) -> tuple[tf.Tensor, KeyValue]:
        """[B, T, D] → [B, T, D], and its keys and values.

        `visible` covers the keys of the prefix, if there is one, and then its own.
        """
        query, own = self.queries_keys_values(x)
        key_value = own if prefix is None else followed_by(prefix, own)
        return self.output_projection(self.attend(query, key_value, visible, seed)), own

    def shown_weights_after(
        self, x: tf.Tensor, prefix: KeyValue, visible: Visible = EVERYTHING
    ) -> tf.Tensor:
        """The weights in `attend_after`, [B, T, D] → [B, N, T, S + T]."""
        query, own = self.queries_keys_values(x)
        return self.weights_of(query, followed_by(prefix, own), visible)

    def step_after(
        self, x: tf.Tensor, cache: KeyValue, prefix: KeyValue, visible: Visible, rows: Rows
    ) -> tuple[tf.Tensor, KeyValue]:
        """One target position of each row, [R, 1, D] → [R, 1, D]; it extends the cache.

        `visible` covers the prefix. The K hypotheses of a sentence are K queries to its one prefix,
        which is not repeated; its scores and those of the cache share one softmax.
        """
        query, new = self.queries_keys_values(x)
        cache = followed_by(cache, new)
        queries, length = _by_sentence(query, rows), tf.shape(prefix.key)[2]
        mask = visible.mask(tf.shape(queries)[2], length)
        of_prefix = attention_scores(queries, prefix.key, mask, kernels.few_queries_matmul)
        of_cache = attention_scores(query, cache.key, matmul=kernels.small_batch_matmul)
        scores = tf.concat([_by_row(of_prefix, rows), of_cache], axis=3)
        weights = tf.cast(tf.nn.softmax(scores), x.dtype)

        heads = kernels.small_batch_matmul(weights[..., length:], cache.value)
        of_prefix = kernels.few_queries_matmul(
            _by_sentence(weights[..., :length], rows), prefix.value
        )
        heads += _by_row(of_prefix, rows)
        output = tf.reshape(heads, [-1, 1, self.model_dim])
        return self.output_projection(output), cache


def _by_sentence(x: tf.Tensor, rows: Rows) -> tf.Tensor:
    """[R, N, 1, W] → [B, N, K, W], for any width W; arbitrary where a hypothesis has ended."""
    return tf.transpose(tf.gather(x[:, :, 0], rows.row_of), [0, 2, 1, 3])


def _by_row(x: tf.Tensor, rows: Rows) -> tf.Tensor:
    """[B, N, K, W] → [R, N, 1, W], the inverse of `_by_sentence`."""
    flat = tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [-1, x.shape[1], tf.shape(x)[3]])
    return tf.gather(flat, rows.hypotheses)[:, :, tf.newaxis]
