"""Self-attention over a target that continues its source, as in large language models.

Source positions look at the whole source; a target position looks at the source, at itself and at
earlier target positions. So no source position depends on the target, and the keys and values of
the source are computed once. The result is that of one sequence under a prefix mask.

B batch, R rows of a search, S source length, T target length, D model width.
"""

from __future__ import annotations

import tensorflow as tf

from translator.layers import kernels
from translator.layers.attention import KeyValue
from translator.layers.cross_attention import Rows
from translator.layers.dropout import Seed
from translator.layers.self_attention import SelfAttention, followed_by
from translator.layers.visible import EVERYTHING, Visible


class PrefixAttention(SelfAttention):
    """`SelfAttention` that gives its keys and values away and takes those of a prefix.

    `visible` speaks of all keys: of the prefix, if there is one, and then of the own ones.
    """

    def call(  # type: ignore[override]  # it returns more
        self,
        x: tf.Tensor,
        prefix: KeyValue | None = None,
        visible: Visible = EVERYTHING,
        seed: Seed = None,
    ) -> tuple[tf.Tensor, KeyValue]:
        """[B, T, D] → [B, T, D], and the own keys and values."""
        query, own = self.queries_keys_values(x)
        key_value = own if prefix is None else followed_by(prefix, own)
        return self.output_projection(self.attend(query, key_value, visible, seed)), own

    def step(  # type: ignore[override]  # it needs more
        self,
        x: tf.Tensor,
        cache: KeyValue,
        prefix: KeyValue,
        not_padding: tf.Tensor,
        rows: Rows,
    ) -> tuple[tf.Tensor, KeyValue]:
        """One target position of each row, [R, 1, D] → [R, 1, D]; it extends the cache.

        prefix: keys and values of the sources, whose `not_padding` is [B, S].
        """
        query, new = self.queries_keys_values(x)
        cache = followed_by(cache, new)
        key_value = followed_by(KeyValue(*map(rows.of_sentence, prefix)), cache)
        of_target = tf.ones([tf.shape(x)[0], tf.shape(cache.key)[2]], tf.bool)
        visible = Visible(tf.concat([rows.of_sentence(not_padding), of_target], axis=1))
        output = self.attend(query, key_value, visible, matmul=kernels.small_batch_matmul)
        return self.output_projection(output), cache
