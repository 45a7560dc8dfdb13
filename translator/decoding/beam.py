"""Beam search: grow every hypothesis by every piece, keep the likeliest alive, set the ended ones
aside.

A hypothesis that ends takes its place in the beam with it, so a search is over when K have ended,
and with one beam it is greedy search. It is over earlier when no hypothesis that is alive could
still come before the ones to be returned: log-probabilities only fall, so alive ones never score
above what they have now divided by the largest length penalty.

Each sentence has a length of its own at which only the end is allowed. Nothing of a sentence
depends on the others in its batch. The model is asked only of hypotheses that are alive, and as
soon as half of the sentences are over, the batch goes on without these; but for a few of each that
make their number a round one.

B sentences, K beams, R rows (of the B·K hypotheses those that are asked of), t pieces so far.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID
from translator.decoding.search import Hypotheses
from translator.decoding.top_k import NEVER, top_k_continuations
from translator.models.encoder_decoder import Cache, Fixed, StepFunction

AT_ONCE = 16
"""R and B are multiples of this, or as large as they can be. For a new number of either oneDNN
prepares its products anew, which takes longer than the products, and memory."""


class Alive(NamedTuple):
    """Hypotheses that go on."""

    ids: tf.Tensor
    """[B, K, t]"""
    log_probs: tf.Tensor
    """[B, K]; -inf where a place is empty"""


class BeamState(NamedTuple):
    """Sentences whose search goes on; B counts only them."""

    sentences: tf.Tensor
    """[B] their numbers among all"""
    max_lengths: tf.Tensor
    """[B]"""
    alive: Alive
    rows: tf.Tensor
    """[B, K] where, in what grows, that of each hypothesis is; any where none is alive"""
    finished: Hypotheses
    fixed: Fixed


def beam_search(
    step: StepFunction,
    fixed: Fixed,
    cache: Cache,
    max_lengths: tf.Tensor,
    *,
    beam_size: int,
    penalty: Callable[[tf.Tensor], tf.Tensor],
    num_returned: int = 1,
) -> Hypotheses:
    """Search for the best translations of a batch of sentences.

    max_lengths [B]: pieces after which, end included, a translation has ended. penalty: length →
    what a log-probability is divided by, never less for the longer. The first num_returned
    hypotheses of each sentence are those of a search that goes on until all K have ended; the rest
    may be missing (score -inf).
    """
    num_sentences = tf.shape(max_lengths)[0]
    empty = tf.zeros([num_sentences, beam_size, 0], tf.int32)
    first = tf.one_hot(tf.zeros([num_sentences], tf.int32), beam_size, 0.0, NEVER)
    nothing = Hypotheses(empty, tf.fill([num_sentences, beam_size], NEVER))
    numbers = tf.range(num_sentences)
    rows = tf.repeat(numbers[:, tf.newaxis], beam_size, axis=1)
    beam_state = BeamState(numbers, max_lengths, Alive(empty, first), rows, nothing, fixed)

    def is_open(log_probs: tf.Tensor, finished: Hypotheses, max_lengths: tf.Tensor) -> tf.Tensor:
        """[B] Whether a hypothesis that is alive could still come before those to be returned."""
        best_penalty = penalty(max_lengths)[:, tf.newaxis]
        reachable = tf.reduce_max(log_probs / best_penalty, axis=1)
        return reachable > finished.scores[:, num_returned - 1]

    def advance(t: tf.Tensor, beam_state: BeamState, cache: Cache) -> tuple[BeamState, Cache]:
        """One piece more."""
        _, max_lengths, alive, rows, finished, fixed = beam_state
        places = _places(alive)
        rows = tf.gather(tf.reshape(rows, [-1]), places)
        cache = tf.nest.map_structure(lambda x: tf.gather(x, rows), cache)
        begin = tf.fill([tf.shape(max_lengths)[0], beam_size, 1], BEGIN_ID)
        last = tf.reshape(tf.concat([begin, alive.ids], axis=2)[:, :, -1], [-1])
        last = tf.gather(last, places)
        positions, rows = tf.fill(tf.shape(last), t), _rows(places, tf.shape(alive.log_probs))
        logits, cache = step(last, positions, places, rows, fixed, cache)
        parents, pieces, log_probs = top_k_continuations(
            alive.log_probs, rows, logits, t + 1 >= max_lengths
        )
        log_probs = tf.where(_is_free(finished), log_probs, NEVER)
        ids = tf.gather(alive.ids, parents, batch_dims=1)
        ids = tf.concat([ids, pieces[:, :, tf.newaxis]], axis=2)
        ended = tf.equal(pieces, END_ID)
        scores = tf.where(ended, log_probs / penalty(t + 1), NEVER)
        finished = keep_finished(finished, Hypotheses(ids, scores))
        log_probs = tf.where(ended, NEVER, log_probs)
        left = is_open(log_probs, finished, max_lengths)[:, tf.newaxis]
        alive = Alive(ids, tf.where(left, log_probs, NEVER))
        rows = tf.gather(rows, parents, batch_dims=1)
        return beam_state._replace(alive=alive, rows=rows, finished=finished), cache

    def body(
        t: tf.Tensor, beam_state: BeamState, cache: Cache, results: Hypotheses
    ) -> tuple[tf.Tensor, BeamState, Cache, Hypotheses]:
        beam_state, cache = advance(t, beam_state, cache)
        goes_on = tf.reduce_any(beam_state.alive.log_probs > NEVER, axis=1)
        left, num_sentences = _filled_up(goes_on), tf.size(goes_on)
        half_done = 2 * tf.math.count_nonzero(goes_on, dtype=tf.int32) <= num_sentences
        beam_state, results = tf.cond(
            half_done & (tf.size(left) < num_sentences),
            lambda: leave(beam_state, results, left),
            lambda: (beam_state, results),
        )
        return t + 1, beam_state, cache, results

    loop_variables = (tf.constant(0), beam_state, cache, nothing)
    *_, results = tf.while_loop(
        lambda t, beam_state, cache, results: tf.size(beam_state.sentences) > 0,
        body,
        loop_variables,
        shape_invariants=tf.nest.map_structure(_changing_shape, loop_variables),
        parallel_iterations=1,
    )
    return results


def leave(
    beam_state: BeamState, results: Hypotheses, left: tf.Tensor
) -> tuple[BeamState, Hypotheses]:
    """Only those sentences go on that are left, of 0 to B - 1; what all have found so far goes into
    the results of all sentences that there ever were."""
    of_all = beam_state.sentences[:, tf.newaxis]
    found = beam_state.finished
    missing = tf.shape(found.ids)[2] - tf.shape(results.ids)[2]
    ids = tf.pad(results.ids, [[0, 0], [0, 0], [0, missing]], constant_values=PAD_ID)
    results = Hypotheses(
        tf.tensor_scatter_nd_update(ids, of_all, found.ids),
        tf.tensor_scatter_nd_update(results.scores, of_all, found.scores),
    )
    return tf.nest.map_structure(lambda x: tf.gather(x, left), beam_state), results


def keep_finished(finished: Hypotheses, new: Hypotheses) -> Hypotheses:
    """The K best of those that had ended and those that end now, whose ids are one piece longer."""
    beam_size = tf.shape(finished.scores)[1]
    longer = tf.pad(finished.ids, [[0, 0], [0, 0], [0, 1]], constant_values=PAD_ID)
    scores, order = tf.math.top_k(tf.concat([finished.scores, new.scores], axis=1), beam_size)
    ids = tf.gather(tf.concat([longer, new.ids], axis=1), order, batch_dims=1)
    return Hypotheses(ids, scores)


def _is_free(finished: Hypotheses) -> tf.Tensor:
    """[B, K] Whether a place is left when the hypotheses that have ended keep theirs."""
    num_free = tf.reduce_sum(tf.cast(tf.equal(finished.scores, NEVER), tf.int32), axis=1)
    return tf.range(tf.shape(finished.scores)[1]) < num_free[:, tf.newaxis]


def _places(alive: Alive) -> tf.Tensor:
    """[R] Of B·K, those of hypotheses that are alive, and after them a few of others."""
    return _filled_up(tf.reshape(alive.log_probs, [-1]) > NEVER)


def _filled_up(wanted: tf.Tensor) -> tf.Tensor:
    """[N] boolean → the numbers of those wanted, and after them a few others that make theirs a
    multiple of AT_ONCE, or all."""
    count = tf.math.count_nonzero(wanted, dtype=tf.int32)
    numbers = tf.concat([tf.where(wanted), tf.where(~wanted)], axis=0)[:, 0]
    return tf.cast(numbers[: -(-count // AT_ONCE) * AT_ONCE], tf.int32)


def _rows(places: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """The rows at all places, as [B, K]; any where none is."""
    rows = tf.scatter_nd(places[:, tf.newaxis], tf.range(tf.size(places)), [tf.reduce_prod(shape)])
    return tf.reshape(rows, shape)


def _changing_shape(x: tf.Tensor) -> tf.TensorShape:
    """The first axis shrinks as sentences leave; those grow that are empty in the beginning."""
    return tf.TensorShape([None if i == 0 or size == 0 else size for i, size in enumerate(x.shape)])
