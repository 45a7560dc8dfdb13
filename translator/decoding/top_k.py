"""The likeliest continuations of a sentence's hypotheses.

`plain_top_k_continuations` is the definition. `top_k_continuations` finds the same with less work
on the whole vocabulary: the logits are by far the largest numbers of a step, and it reads them only
for one softmax and for the maximum of every block of pieces. The K best continuations that do not
end lie in the K blocks, of all hypotheses of a sentence, with the largest maxima.

B sentences, K hypotheses each, R rows (hypotheses that a step computes), V vocabulary, N blocks of
M pieces. The pieces of a block stand N apart, so that the maxima of all blocks are found side by
side.
"""

from __future__ import annotations

from functools import cache

import tensorflow as tf

from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID, UNKNOWN_ID
from translator.layers import kernels

NEVER = float("-inf")
FORBIDDEN = (PAD_ID, UNKNOWN_ID, BEGIN_ID)
"""Pieces that the search never generates. They come first in every vocabulary, before the end."""

SMALLEST_BLOCK = 16
"""Smallest number of pieces in a block, and of blocks."""
COST_OF_PIECE = 4.0
"""Cost of searching a piece of a block, relative to that of a block's maximum."""

Continuations = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
"""Parent (0 to K - 1), piece and log-probability, each [B, K], best first; a log-probability of
-inf where there is none."""


def plain_top_k_continuations(
    log_probs: tf.Tensor, rows: tf.Tensor, logits: tf.Tensor, must_end: tf.Tensor
) -> Continuations:
    """The K likeliest ways to add a piece to one of the K hypotheses of a sentence.

    log_probs [B, K] of the hypotheses, -inf where there is none; rows [B, K]: which of the logits
    [R, V] are those of each hypothesis; must_end [B] boolean: only the end may follow.
    """
    beam_size, vocabulary_size = tf.shape(log_probs)[1], tf.shape(logits)[1]
    of_pieces = tf.gather(tf.nn.log_softmax(_float(logits)), rows)
    pieces = tf.range(vocabulary_size)
    is_end = tf.equal(pieces, END_ID)
    may_follow = is_end | ((pieces > END_ID) & ~must_end[:, tf.newaxis, tf.newaxis])
    before = log_probs[:, :, tf.newaxis]
    totals = tf.where(may_follow & (before > NEVER), before + of_pieces, NEVER)
    best, places = tf.math.top_k(_joined(totals), beam_size)
    return places // vocabulary_size, places % vocabulary_size, best


def top_k_continuations(
    log_probs: tf.Tensor, rows: tf.Tensor, logits: tf.Tensor, must_end: tf.Tensor
) -> Continuations:
    """`plain_top_k_continuations`, faster.

    Among equal continuations, ends come first; then hypothesis, block and piece decide. For
    bfloat16 logits the log-probabilities are exact to 0.004, which is finer than the logits.
    """
    beam_size = tf.shape(log_probs)[1]
    blocks = in_blocks(logits)
    maxima = _float(kernels.block_maxima(blocks))
    before = log_probs - tf.gather(normalizers(tf.nn.softmax(logits), maxima), rows)
    before = tf.where(log_probs > NEVER, before, NEVER)
    ends = tf.where(before > NEVER, before + tf.gather(_float(logits[:, END_ID]), rows), NEVER)
    continuing = tf.where(must_end[:, tf.newaxis], NEVER, before)
    parents, pieces, totals = _best_in_blocks(continuing, rows, blocks, maxima)

    best, places = tf.math.top_k(tf.concat([ends, totals], axis=1), beam_size)
    every = tf.broadcast_to(tf.range(beam_size), tf.shape(log_probs))
    parents = tf.concat([every, parents], axis=1)
    pieces = tf.concat([tf.fill(tf.shape(log_probs), END_ID), pieces], axis=1)
    return *(tf.gather(x, places, batch_dims=1) for x in (parents, pieces)), best


def _best_in_blocks(
    log_probs: tf.Tensor, rows: tf.Tensor, blocks: tf.Tensor, maxima: tf.Tensor
) -> Continuations:
    """All pieces of the K blocks that hold the likeliest continuations, without ends.

    log_probs [B, K] without normalizers; maxima [R, N]. Returns [B, K · M] each.
    """
    beam_size = tf.shape(log_probs)[1]
    _, size, num_blocks = tf.unstack(tf.shape(blocks))
    log_probs = log_probs[:, :, tf.newaxis]
    best = log_probs + tf.gather(_without_forbidden(blocks, maxima), rows)
    best = tf.where(log_probs > NEVER, best, NEVER)
    chosen = tf.sort(tf.math.top_k(_joined(best), beam_size).indices)
    parents, numbers = chosen // num_blocks, chosen % num_blocks
    pieces = numbers[:, :, tf.newaxis] + num_blocks * tf.range(size)
    starts = tf.gather(rows, parents, batch_dims=1)[:, :, tf.newaxis] * (num_blocks * size)
    found = _float(tf.gather(tf.reshape(blocks, [-1]), starts + pieces))
    log_probs = tf.gather(log_probs, parents, batch_dims=1)
    totals = tf.where((log_probs > NEVER) & (pieces > END_ID), log_probs + found, NEVER)
    return tf.repeat(parents, size, axis=1), _joined(pieces), _joined(totals)


def normalizers(softmax: tf.Tensor, maxima: tf.Tensor) -> tf.Tensor:
    """log Σ exp(logits) of every row, [R], from its largest logit and that piece's probability.

    softmax [R, V] of the logits; maxima [R, N] of their blocks.
    """
    number = tf.argmax(maxima, axis=1, output_type=tf.int32)
    of_block = tf.gather(in_blocks(softmax), number, axis=2, batch_dims=1)
    probability = _float(tf.reduce_max(of_block, axis=1))
    return tf.reduce_max(maxima, axis=1) - tf.math.log(probability)


def in_blocks(logits: tf.Tensor) -> tf.Tensor:
    """[R, V] → [R, M, N], filled up with -inf; M is 1 if V is small or unknown."""
    size = logits.shape[1]
    if size is None or size < SMALLEST_BLOCK**2:
        return logits[:, tf.newaxis]
    block = block_size(size)
    if missing := -size % block:
        logits = tf.pad(logits, [[0, 0], [0, missing]], constant_values=NEVER)
    return tf.reshape(logits, [-1, block, (size + missing) // block])


@cache
def block_size(size: int) -> int:
    """The number of pieces in a block that makes least work for a vocabulary of this size.

    For each hypothesis there are size / block maxima to choose from, and one block to search.
    Divisors of the size are preferred.
    """
    blocks = range(SMALLEST_BLOCK, size // SMALLEST_BLOCK + 1)
    divisors = [block for block in blocks if size % block == 0]
    return min(divisors or blocks, key=lambda block: size / block + COST_OF_PIECE * block)


def _without_forbidden(blocks: tf.Tensor, maxima: tf.Tensor) -> tf.Tensor:
    """The maxima without the end and the pieces before it, each the first of another block."""
    first = END_ID + 1
    others = tf.reduce_max(blocks[:, 1:, :first], axis=1)
    return tf.concat([_float(others), maxima[:, first:]], axis=1)


def _joined(x: tf.Tensor) -> tf.Tensor:
    """[B, M, N] → [B, M · N]"""
    batch, m, n = tf.unstack(tf.shape(x))
    return tf.reshape(x, [batch, m * n])


def _float(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(x, tf.float32)
