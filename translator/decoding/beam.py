"""Beam search: grow every hypothesis by every piece, keep the likeliest alive, set the ended ones
aside.

A hypothesis that ends takes its place in the beam with it, so a search is over when K have ended,
and with one beam it is greedy search. It is over earlier when no hypothesis that is alive could
still come before the ones to be returned: log-probabilities only fall, so alive ones never score
above what they have now divided by the largest length penalty.

Each sentence has a length of its own at which only the end is allowed. Nothing of a sentence
depends on the others in its batch.

B sentences, K beams, R = B·K rows, t pieces so far, C candidates.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID
from translator.decoding.likeliest import NEVER, next_pieces
from translator.decoding.search import Hypotheses, length_penalty
from translator.models.encoder_decoder import Fixed, Growing, StepFunction


class Alive(NamedTuple):
    """Hypotheses that go on."""

    ids: tf.Tensor
    """[B, K, t]"""
    log_probs: tf.Tensor
    """[B, K]; -inf where a place is empty"""


def beam_search(
    step: StepFunction,
    fixed: Fixed,
    growing: Growing,
    max_lengths: tf.Tensor,
    *,
    beam_size: int,
    alpha: float | tf.Tensor,
    num_returned: int = 1,
) -> Hypotheses:
    """Search for the best translations of a batch of sentences.

    max_lengths [B]: pieces after which, end included, a translation has ended. alpha: of
    `length_penalty`. The first num_returned hypotheses of each sentence are those of a search
    that goes on until all K have ended; the rest may be missing (score -inf).
    """
    batch = tf.shape(max_lengths)[0]
    best_penalty = length_penalty(max_lengths, alpha)[:, tf.newaxis]
    first = tf.one_hot(tf.zeros([batch], tf.int32), beam_size, on_value=0.0, off_value=NEVER)
    alive = Alive(tf.zeros([batch, beam_size, 0], tf.int32), first)
    finished = Hypotheses(
        tf.zeros([batch, beam_size, 0], tf.int32), tf.fill([batch, beam_size], NEVER)
    )

    def unfinished(t: tf.Tensor, alive: Alive, finished: Hypotheses, _: Growing) -> tf.Tensor:
        reachable = tf.reduce_max(alive.log_probs / best_penalty, axis=1)
        return tf.reduce_any(reachable > finished.scores[:, num_returned - 1])

    def advance(
        t: tf.Tensor, alive: Alive, finished: Hypotheses, growing: Growing
    ) -> tuple[tf.Tensor, Alive, Hypotheses, Growing]:
        begin = tf.fill([batch, beam_size, 1], BEGIN_ID)
        last = tf.reshape(tf.concat([begin, alive.ids], axis=2)[:, :, -1], [-1])
        logits, growing = step(last, tf.fill(tf.shape(last), t), fixed, growing)
        must_end = tf.repeat(t + 1 >= max_lengths, beam_size)
        log_probs, pieces = next_pieces(logits, beam_size, must_end)
        parents, pieces, log_probs = grow(alive, log_probs, pieces, _num_free(finished))
        ids = tf.gather(alive.ids, parents, batch_dims=1)
        ids = tf.concat([ids, pieces[:, :, tf.newaxis]], axis=2)
        ended = tf.equal(pieces, END_ID)
        scores = tf.where(ended, log_probs / length_penalty(t + 1, alpha), NEVER)
        finished = keep_finished(finished, Hypotheses(ids, scores))
        alive = Alive(ids, tf.where(ended, NEVER, log_probs))
        rows = tf.reshape(parents + tf.range(batch)[:, tf.newaxis] * beam_size, [-1])
        growing = tf.nest.map_structure(lambda x: tf.gather(x, rows), growing)
        return t + 1, alive, finished, growing

    loop_variables = (tf.constant(0), alive, finished, growing)
    _, _, finished, _ = tf.while_loop(
        unfinished,
        advance,
        loop_variables,
        shape_invariants=tf.nest.map_structure(_growing_shape, loop_variables),
        parallel_iterations=1,
    )
    return finished


def grow(
    alive: Alive, log_probs: tf.Tensor, pieces: tf.Tensor, num_free: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The likeliest continuations of a sentence's hypotheses, as many as its beam has places.

    log_probs and pieces [B·K, C]: candidates to come next. num_free [B] places. Returns parent,
    piece and log-probability of each, [B, K], best first; -inf beyond the free places.
    """
    batch, beam_size = tf.unstack(tf.shape(alive.log_probs))
    count = tf.shape(pieces)[1]
    totals = tf.reshape(alive.log_probs, [-1, 1]) + log_probs
    best, places = tf.math.top_k(tf.reshape(totals, [batch, beam_size * count]), beam_size)
    pieces = tf.gather(tf.reshape(pieces, [batch, beam_size * count]), places, batch_dims=1)
    is_free = tf.range(beam_size) < num_free[:, tf.newaxis]
    return places // count, pieces, tf.where(is_free, best, NEVER)


def keep_finished(finished: Hypotheses, new: Hypotheses) -> Hypotheses:
    """The K best of those that had ended and those that end now, whose ids are one piece longer."""
    beam_size = tf.shape(finished.scores)[1]
    longer = tf.pad(finished.ids, [[0, 0], [0, 0], [0, 1]], constant_values=PAD_ID)
    scores, order = tf.math.top_k(tf.concat([finished.scores, new.scores], axis=1), beam_size)
    ids = tf.gather(tf.concat([longer, new.ids], axis=1), order, batch_dims=1)
    return Hypotheses(ids, scores)


def _num_free(finished: Hypotheses) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(tf.equal(finished.scores, NEVER), tf.int32), axis=1)


def _growing_shape(x: tf.Tensor) -> tf.TensorShape:
    """The axes that grow are those that are empty in the beginning."""
    return tf.TensorShape([None if size == 0 else size for size in x.shape])
