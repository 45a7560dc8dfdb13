"""The likeliest next pieces, with no more work on the whole vocabulary than exactness asks for.

The logits are by far the largest numbers of a step. They are read for one softmax and for the
maximum of every block; all else is done with a few candidates.

R rows, V vocabulary, C candidates.
"""

from __future__ import annotations

from functools import cache

import tensorflow as tf

from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID, UNKNOWN_ID

NEVER = float("-inf")
UNSAID = (PAD_ID, UNKNOWN_ID, BEGIN_ID)
"""Pieces that no translation has."""

SMALLEST_BLOCK, FEW = 16, 8


def next_pieces(
    logits: tf.Tensor, count: tf.Tensor, must_end: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The likeliest pieces that may come next, among them the best `count` of every row.

    logits [R, V], count a number, must_end [R] boolean: only the end may come. Returns
    log-probabilities and pieces, [R, C]; the log-probability of what may not come is -inf.
    """
    num_candidates = tf.minimum(count + len(UNSAID), tf.shape(logits)[1])
    top, pieces = top_k(logits, num_candidates)
    # Of log p = logit − log Σ exp(logits), the last is found from the likeliest piece and its p.
    best_p = tf.gather(tf.nn.softmax(logits), pieces[:, :1], batch_dims=1)
    normalizer = top[:, :1] - tf.math.log(best_p)
    log_probs = top - normalizer
    for piece in UNSAID:
        log_probs = tf.where(pieces == piece, NEVER, log_probs)
    is_first = tf.range(num_candidates) == 0
    end = tf.where(is_first, logits[:, END_ID, tf.newaxis] - normalizer, NEVER)
    must_end = must_end[:, tf.newaxis]
    return tf.where(must_end, end, log_probs), tf.where(must_end, END_ID, pieces)


def top_k(x: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """tf.math.top_k of the rows of [R, V], of equal ones the first as there: values and places.

    The k largest lie in the k blocks with the largest maxima; only these are searched.
    """
    block = block_size(x.shape[1])
    if block is None:
        values, places = tf.math.top_k(x, k)
        return values, places
    num_blocks = x.shape[1] // block
    blocks = tf.reshape(x, [-1, num_blocks, block])
    maxima = tf.reduce_max(blocks, axis=2)
    chosen = tf.sort(tf.math.top_k(maxima, tf.minimum(k, num_blocks)).indices)
    members = tf.reshape(tf.gather(blocks, chosen, batch_dims=1), [-1, tf.shape(chosen)[1] * block])
    values, places = tf.math.top_k(members, k)
    return values, tf.gather(chosen, places // block, batch_dims=1) * block + places % block


@cache
def block_size(size: int | None) -> int | None:
    """The divisor that makes least work, if there is one that makes blocks worth their while.

    There are size / block maxima to choose from, and a few blocks to search.
    """
    if size is None:
        return None
    divisors = [
        block for block in range(SMALLEST_BLOCK, size // SMALLEST_BLOCK + 1) if size % block == 0
    ]
    return min(divisors, key=lambda block: size / block + FEW * block, default=None)
