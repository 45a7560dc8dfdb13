"""The likeliest continuations of a sentence's hypotheses, with no more work on the whole vocabulary
than exactness asks for.

The logits are by far the largest numbers of a step. They are read for one softmax and for the
maximum of every block of pieces. The K best continuations that do not end lie in the K blocks, of
all hypotheses of the sentence, with the largest maxima; all else is done with these.

B sentences, K hypotheses each, R rows (of the hypotheses that are asked of), V vocabulary, N blocks
of M pieces: those of a block stand N apart, and so the maxima of all blocks are found side by side.
"""

from __future__ import annotations

from functools import cache

import tensorflow as tf

from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID, UNKNOWN_ID

NEVER = float("-inf")
UNSAID = (PAD_ID, UNKNOWN_ID, BEGIN_ID)
"""Pieces that no translation has. They come first in every vocabulary, and after them the end."""

SMALLEST_BLOCK = 16
"""Pieces in a block at least, and blocks."""
COST_OF_PIECE = 4.0
"""To search a piece of a block, in maxima to choose from."""


def top_k_continuations(
    log_probs: tf.Tensor, rows: tf.Tensor, logits: tf.Tensor, must_end: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The K likeliest ways to add a piece to one of the K hypotheses of a sentence.

    log_probs [B, K] of the hypotheses, -inf where there is none; rows [B, K], those of their logits
    [R, V]; must_end [B] boolean: only the end may come. Returns hypotheses (0 to K - 1), pieces and
    log-probabilities, [B, K], the best first; -inf where there is none. Of equal ones ends come
    first, and then by hypothesis, block and piece.
    Of bfloat16 logits the log-probabilities are right to 0.004, less than the logits themselves.
    """
    batch, beam_size = tf.unstack(tf.shape(log_probs))
    blocks = in_blocks(logits)
    _, size, num_blocks = tf.unstack(tf.shape(blocks))
    maxima = block_maxima(blocks)
    before = log_probs - tf.gather(normalizers(tf.nn.softmax(logits), maxima), rows)
    before = tf.where(log_probs > NEVER, before, NEVER)
    ends = tf.where(before > NEVER, before + tf.gather(_float(logits[:, END_ID]), rows), NEVER)

    going_on = tf.where(must_end[:, tf.newaxis], NEVER, before)[:, :, tf.newaxis]
    best = tf.where(going_on > NEVER, going_on + tf.gather(_of_said(blocks, maxima), rows), NEVER)
    chosen = tf.sort(tf.math.top_k(_joined(best), beam_size).indices)
    hypotheses, numbers = chosen // num_blocks, chosen % num_blocks
    pieces = numbers[:, :, tf.newaxis] + num_blocks * tf.range(size)
    places = tf.gather(rows, hypotheses, batch_dims=1)[:, :, tf.newaxis] * (num_blocks * size)
    found = _float(tf.gather(tf.reshape(blocks, [-1]), places + pieces))
    going_on = tf.gather(going_on, hypotheses, batch_dims=1)
    totals = tf.where((going_on > NEVER) & (pieces > END_ID), going_on + found, NEVER)

    best, places = tf.math.top_k(tf.concat([ends, _joined(totals)], axis=1), beam_size)
    every = tf.repeat(tf.range(beam_size)[tf.newaxis], batch, axis=0)
    hypotheses = tf.concat([every, tf.repeat(hypotheses, size, axis=1)], axis=1)
    pieces = tf.concat([tf.fill([batch, beam_size], END_ID), _joined(pieces)], axis=1)
    return *(tf.gather(x, places, batch_dims=1) for x in (hypotheses, pieces)), best


def normalizers(softmax: tf.Tensor, maxima: tf.Tensor) -> tf.Tensor:
    """log Σ exp(logits) of every row, [R], found from its largest logit and the share of that.

    softmax [R, V] of the logits; maxima [R, N] of their blocks.
    """
    number = tf.argmax(maxima, axis=1, output_type=tf.int32)
    shares = tf.gather(in_blocks(softmax), number, axis=2, batch_dims=1)
    share = _float(tf.reduce_max(shares, axis=1))
    return tf.reduce_max(maxima, axis=1) - tf.math.log(share)


def in_blocks(logits: tf.Tensor) -> tf.Tensor:
    """[R, V] → [R, M, N], what is missing filled with -inf; one piece in each block where V is
    small or not known."""
    size = logits.shape[1]
    if size is None or size < SMALLEST_BLOCK**2:
        return logits[:, tf.newaxis]
    block = block_size(size)
    if missing := -size % block:
        logits = tf.pad(logits, [[0, 0], [0, missing]], constant_values=NEVER)
    return tf.reshape(logits, [-1, block, (size + missing) // block])


@cache
def block_size(size: int) -> int:
    """That makes least work, of the divisors if there are any: for each hypothesis there are
    size / block maxima to choose from, and a block to search."""
    blocks = range(SMALLEST_BLOCK, size // SMALLEST_BLOCK + 1)
    divisors = [block for block in blocks if size % block == 0]
    return min(divisors or blocks, key=lambda block: size / block + COST_OF_PIECE * block)


def block_maxima(blocks: tf.Tensor) -> tf.Tensor:
    """[R, M, N] → [R, N] float32, by the kernel that is fastest for it, made for pictures."""
    size = blocks.shape[1]
    if size == 1:
        return _float(blocks[:, 0])
    pooled = tf.nn.max_pool2d(blocks[:, :, tf.newaxis], [size, 1], [size, 1], "VALID")
    return _float(pooled[:, 0, 0])


def _of_said(blocks: tf.Tensor, maxima: tf.Tensor) -> tf.Tensor:
    """The maxima without the end and those before it, each the first of a block of its own."""
    first = END_ID + 1
    others = tf.reduce_max(blocks[:, 1:, :first], axis=1)
    return tf.concat([_float(others), maxima[:, first:]], axis=1)


def _joined(x: tf.Tensor) -> tf.Tensor:
    """[B, M, N] → [B, M · N]"""
    batch, m, n = tf.unstack(tf.shape(x))
    return tf.reshape(x, [batch, m * n])


def _float(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(x, tf.float32)
