"""The likeliest continuations of a sentence's hypotheses, with no more work on the whole vocabulary
than exactness asks for.

The logits are by far the largest numbers of a step. They are read for one softmax and for the
maximum of every block of pieces. The K best continuations lie in the K blocks, of all hypotheses of
the sentence, with the largest maxima; all else is done with these. The first blocks, which hold the
pieces that are never said and the end, are looked at besides, whatever their maxima.

B sentences, K hypotheses each, R rows (of hypotheses that are alive), V vocabulary.
"""

from __future__ import annotations

from functools import cache

import tensorflow as tf

from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID, UNKNOWN_ID

NEVER = float("-inf")
UNSAID = (PAD_ID, UNKNOWN_ID, BEGIN_ID)
"""Pieces that no translation has. They come first in every vocabulary, and after them the end."""

SMALLEST_BLOCK, SEARCHED = 16, 2
"""Pieces in a block at least; blocks that are searched, for each hypothesis."""


def likeliest_continuations(
    log_probs: tf.Tensor, rows: tf.Tensor, logits: tf.Tensor, must_end: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The K likeliest ways to add a piece to one of the K hypotheses of a sentence.

    log_probs [B, K] of the hypotheses, -inf where there is none; rows [B, K], those of their logits
    [R, V]; must_end [B] boolean: only the end may come. Returns hypotheses (0 to K - 1), pieces and
    log-probabilities, [B, K], the best first and of equal ones the first; -inf where there is none.
    Of bfloat16 logits the log-probabilities are right to 0.004, less than the logits themselves.
    """
    beam_size = tf.shape(log_probs)[1]
    blocks = in_blocks(tf.cast(logits, tf.float32))
    maxima = tf.reduce_max(blocks, axis=2)
    before = log_probs - tf.gather(normalizers(tf.nn.softmax(logits), blocks, maxima), rows)
    before = tf.where(log_probs > NEVER, before, NEVER)[:, :, tf.newaxis]

    best = tf.where(before > NEVER, before + tf.gather(maxima, rows), NEVER)
    hypotheses, numbers = _blocks_to_search(best)
    found = tf.gather_nd(blocks, tf.stack([tf.gather(rows, hypotheses, batch_dims=1), numbers], 2))
    before = tf.gather(before, hypotheses, batch_dims=1)
    size = tf.shape(blocks)[2]
    pieces = numbers[:, :, tf.newaxis] * size + tf.range(size)
    may_come = tf.where(must_end[:, tf.newaxis, tf.newaxis], pieces == END_ID, pieces >= END_ID)
    totals = tf.where(may_come & (before > NEVER), before + found, NEVER)

    best, places = tf.math.top_k(_joined(totals), beam_size)
    hypotheses = tf.gather(hypotheses, places // size, batch_dims=1)
    return hypotheses, tf.gather(_joined(pieces), places, batch_dims=1), best


def normalizers(softmax: tf.Tensor, blocks: tf.Tensor, maxima: tf.Tensor) -> tf.Tensor:
    """log Σ exp(logits) of every row, [R], found from its largest logit and the share of that.

    softmax [R, V] of the logits; these in blocks; the maxima of the blocks.
    """
    number = tf.argmax(maxima, axis=1, output_type=tf.int32)
    block = tf.gather(blocks, number, batch_dims=1)
    place = number * tf.shape(blocks)[2] + tf.argmax(block, axis=1, output_type=tf.int32)
    place = tf.minimum(place, tf.shape(softmax)[1] - 1)  # of no number, what fills the last block
    share = tf.cast(tf.gather(softmax, place, batch_dims=1), tf.float32)
    return tf.reduce_max(maxima, axis=1) - tf.math.log(share)


def in_blocks(logits: tf.Tensor) -> tf.Tensor:
    """[R, V] → [R, V / block, block], the last block filled with -inf; a single one where V is
    small or not known."""
    size = logits.shape[1]
    if size is None or size < SMALLEST_BLOCK**2:
        return logits[:, tf.newaxis]
    block = block_size(size)
    if missing := -size % block:
        logits = tf.pad(logits, [[0, 0], [0, missing]], constant_values=NEVER)
    return tf.reshape(logits, [-1, (size + missing) // block, block])


@cache
def block_size(size: int) -> int:
    """That makes least work, of the divisors if there are any: there are size / block maxima to
    choose from, and a few blocks to search."""
    blocks = range(SMALLEST_BLOCK, size // SMALLEST_BLOCK + 1)
    divisors = [block for block in blocks if size % block == 0]
    return min(divisors or blocks, key=lambda block: size / block + SEARCHED * block)


def _blocks_to_search(maxima: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Of those with these maxima [B, K, N], the first of each hypothesis and the K best others:
    hypotheses and numbers, each [B, 2K] or less, in order."""
    batch, beam_size, num_blocks = tf.unstack(tf.shape(maxima))
    first = tf.tile(tf.range(beam_size)[tf.newaxis] * num_blocks, [batch, 1])
    others = _joined(maxima[:, :, 1:])
    best = tf.math.top_k(others, tf.minimum(beam_size, tf.shape(others)[1])).indices
    best += best // tf.maximum(num_blocks - 1, 1) + 1
    chosen = tf.sort(tf.concat([first, best], axis=1))
    return chosen // num_blocks, chosen % num_blocks


def _joined(x: tf.Tensor) -> tf.Tensor:
    """[B, M, N] → [B, M · N]"""
    batch, m, n = tf.unstack(tf.shape(x))
    return tf.reshape(x, [batch, m * n])
