"""Attention for long text: one block of queries after another.

A block computes the plain formula over all of its keys, so the result is the same. Only the scores
of a few blocks exist at a time, also for the gradient, which computes each block again. Memory thus
grows linearly with the length instead of with its square. With a window, a block has only the keys
near it, and time grows linearly, too.

B batch, N heads, T queries, S keys, H head width; M blocks of W queries and F keys each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import tensorflow as tf

from translator.layers.dropout import Seed, fold_in
from translator.layers.gradient_checkpointing import checkpointed
from translator.layers.visible import EVERYTHING, Visible

AT_ONCE = 8
"""Number of blocks up to which all queries are computed at once: it is faster, and takes little
memory for texts of this length."""

PARALLEL_BLOCKS = 2
"""Number of blocks that may be computed at the same time, each on a processor."""

Attention = Callable[..., tuple[tf.Tensor, tf.Tensor]]
"""`dot_product_attention`, or another function with its arguments and results."""


def attention_in_blocks(
    attention: Attention,
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    visible: Visible = EVERYTHING,
    dropout_rate: float = 0.0,
    seed: Seed = None,
    block_size: int | None = None,
) -> tf.Tensor:
    """The output of `attention`: [B, N, T, H], [B, N, S, H], [B, N, S, H'] → [B, N, T, H'].

    It is the same with any block size, except for rounding and for which weights dropout drops.
    block_size: largest number of queries in a block. All queries are computed at once if it is
    None, or if there are at most AT_ONCE blocks.
    """

    def at_once() -> tf.Tensor:
        mask = visible.mask(tf.shape(query)[2], tf.shape(key)[2])
        return attention(query, key, value, mask, dropout_rate, seed)[0]

    if block_size is None or query.shape[2] == 1:
        return at_once()
    longest_at_once = AT_ONCE * block_size
    inputs = query, key, value, visible, dropout_rate, seed, block_size
    in_blocks = partial(_in_blocks, attention, *inputs)
    if query.shape[2] is not None:  # TensorFlow would compute masks beforehand, also unused ones
        return at_once() if query.shape[2] <= longest_at_once else in_blocks()
    return tf.cond(tf.shape(query)[2] <= longest_at_once, at_once, in_blocks)


def _in_blocks(
    attention: Attention,
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    visible: Visible,
    dropout_rate: float,
    seed: Seed,
    block_size: int,
) -> tf.Tensor:
    """`attention_in_blocks` of at least one block."""
    num_queries, num_keys = tf.shape(query)[2], tf.shape(key)[2]
    num_blocks = -(-num_queries // block_size)
    size = -(-num_queries // num_blocks)
    starts = num_keys - num_queries + size * tf.range(num_blocks)  # the queries are the last keys

    def attend(
        block: tf.Tensor,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        not_padding: tf.Tensor | None,
        positions: tf.Tensor,
    ) -> tf.Tensor:
        """One block, given its keys and their positions: [B, N, W, H] → [B, N, W, H']."""
        queries = starts[block] + tf.range(size)
        mask = replace(visible, not_padding=not_padding).mask_at(queries, positions)
        output, _ = attention(
            query, key, value, mask, dropout_rate, fold_in(seed, tf.cast(block, tf.int64))
        )
        return output

    batch, num_heads, _, _ = tf.unstack(tf.shape(query))
    padding = [[0, 0], [0, 0], [0, num_blocks * size - num_queries], [0, 0]]
    blocks = tf.reshape(
        tf.pad(query, padding), [batch, num_heads, num_blocks, size, query.shape[3]]
    )
    of_each: tuple[tf.Tensor, ...] = tf.range(num_blocks), tf.transpose(blocks, [2, 0, 1, 3, 4])
    of_all: tuple[tf.Tensor | None, ...] = ()
    if visible.window is None:
        of_all = key, value, visible.not_padding, tf.range(num_keys)
    else:
        reach = tf.minimum(visible.window, num_keys)
        near = tf.range(-reach, size if visible.causal else size + reach)
        of_each += _near(key, value, visible.not_padding, starts[:, tf.newaxis] + near)
    outputs = tf.map_fn(
        lambda own: checkpointed(attend, *own, *of_all),
        of_each,
        fn_output_signature=tf.TensorSpec(
            [None, query.shape[1], None, value.shape[3]], query.dtype
        ),
        parallel_iterations=PARALLEL_BLOCKS if tf.inside_function() else 1,
    )
    outputs = tf.transpose(outputs, [1, 2, 0, 3, 4])
    joined = tf.reshape(outputs, [batch, num_heads, num_blocks * size, value.shape[3]])
    return joined[:, :, :num_queries]


def _near(
    key: tf.Tensor, value: tf.Tensor, not_padding: tf.Tensor | None, positions: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    """Keys, values and `not_padding` at positions [M, F], and the positions; leading axis M.

    Positions outside the sequence count as padding.
    """
    batch, _, length, _ = tf.unstack(tf.shape(key))
    exists = (positions >= 0) & (positions < length)
    index = tf.clip_by_value(positions, 0, length - 1)
    if not_padding is None:
        not_padding = tf.ones([batch, length], tf.bool)
    real = tf.gather(tf.transpose(not_padding), index) & exists[:, :, tf.newaxis]

    def at_index(x: tf.Tensor) -> tf.Tensor:
        """[B, N, S, H] → [M, B, N, F, H]"""
        return tf.transpose(tf.gather(tf.transpose(x, [2, 0, 1, 3]), index), [0, 2, 3, 1, 4])

    return at_index(key), at_index(value), tf.transpose(real, [0, 2, 1]), positions
