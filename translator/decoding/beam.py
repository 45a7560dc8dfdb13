"""Batched beam search over a step function.

Each iteration extends every alive hypothesis by every piece, keeps the K best that continue, and
moves those that ended to the finished pool. A finished hypothesis frees no slot: with K finished,
the search of a sentence stops, so K = 1 is exactly greedy search.

Early stopping is exact. Log-probabilities only decrease, so an alive hypothesis can score at most
its current log-probability divided by the largest length penalty.

Results for a sentence never depend on the rest of its batch. The model computes only hypotheses
that are alive, and finished sentences are dropped once they are half of the batch. The numbers of
rows and of sentences are rounded up to a multiple of ROW_MULTIPLE.

B sentences, K beams, R rows (hypotheses that a step computes), t pieces so far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID
from translator.decoding.rules import Rule
from translator.decoding.search import Hypotheses
from translator.decoding.top_k import NEVER, top_k_continuations
from translator.layers.cross_attention import Rows
from translator.models.seq2seq import Cache, Fixed, StepFunction

ROW_MULTIPLE = 16
"""For each new number of rows oneDNN prepares its products again, which takes memory and more time
than the products."""


class Alive(NamedTuple):
    """Hypotheses that continue."""

    ids: tf.Tensor
    """[B, K, t]"""
    log_probs: tf.Tensor
    """[B, K], -inf where a slot is empty."""
    piece_log_probs: tf.Tensor | tuple[()]
    """[B, K, t], or empty if not asked for."""
    rows: tf.Tensor
    """[B, K] cache row of each hypothesis (arbitrary if it has ended)."""


class BeamState(NamedTuple):
    """Sentences whose search continues; B counts only them."""

    sentences: tf.Tensor
    """[B] their numbers in the whole batch."""
    max_lengths: tf.Tensor
    """[B]"""
    memory: Any
    """`Fixed.memory`"""
    alive: Alive
    finished: Hypotheses


def beam_search(
    step: StepFunction,
    fixed: Fixed,
    cache: Cache,
    max_lengths: tf.Tensor,
    *,
    beam_size: int | tf.Tensor,
    penalty: Callable[[tf.Tensor], tf.Tensor],
    num_returned: int | tf.Tensor = 1,
    rules: Sequence[Rule] = (),
    with_piece_log_probs: bool = False,
) -> Hypotheses:
    """Search for the best translations of a batch of sentences.

    step, fixed, cache: as `Seq2SeqModel.start` returns them. max_lengths [B]: the longest
    translation of each sentence, end included. penalty: length → divisor of a log-probability; it
    must not decrease with the length. rules: change the logits of every step (decoding/rules.py).

    The first num_returned hypotheses of each sentence are those of a search that continues until
    all K have ended; the others may be missing (score -inf).
    """
    search = _Search(step, beam_size, penalty, num_returned, [rule.apply for rule in rules])
    state = search.start(fixed, max_lengths, with_piece_log_probs)
    results = state.finished

    def body(
        t: tf.Tensor, state: BeamState, cache: Cache, results: Hypotheses
    ) -> tuple[tf.Tensor, BeamState, Cache, Hypotheses]:
        state, cache = search.extend(t, state, cache)
        state, results = drop_finished_sentences(state, results)
        return t + 1, state, cache, results

    loop_variables = (tf.constant(0), state, (cache, [rule.state for rule in rules]), results)
    *_, results = tf.while_loop(
        lambda t, state, cache, results: tf.size(state.sentences) > 0,
        body,
        loop_variables,
        shape_invariants=tf.nest.map_structure(_changing_shape, loop_variables),
        parallel_iterations=1,
    )
    return results


class _Search(NamedTuple):
    """What stays the same while a search runs."""

    step: StepFunction
    beam_size: int | tf.Tensor
    penalty: Callable[[tf.Tensor], tf.Tensor]
    num_returned: int | tf.Tensor
    rules: list[Callable[[tf.Tensor, Any, tf.Tensor], tuple[tf.Tensor, Any]]]

    def start(self, fixed: Fixed, max_lengths: tf.Tensor, with_piece_log_probs: bool) -> BeamState:
        """One empty hypothesis for each sentence."""
        num_sentences = tf.shape(max_lengths)[0]
        ids = tf.zeros([num_sentences, self.beam_size, 0], tf.int32)
        piece_log_probs = tf.cast(ids, tf.float32) if with_piece_log_probs else ()
        log_probs = tf.one_hot(tf.zeros([num_sentences], tf.int32), self.beam_size, 0.0, NEVER)
        rows = tf.repeat(fixed.rows.row_of, self.beam_size, axis=1)
        finished = Hypotheses(ids, tf.fill([num_sentences, self.beam_size], NEVER), piece_log_probs)
        return BeamState(
            tf.range(num_sentences),
            max_lengths,
            fixed.memory,
            Alive(ids, log_probs, piece_log_probs, rows),
            finished,
        )

    def extend(self, t: tf.Tensor, state: BeamState, cache: Any) -> tuple[BeamState, Any]:
        """Extend alive hypotheses by one piece, and keep the K best alive and finished ones."""
        logits, rows, cache = self.logits(t, state, cache)
        before, finished = state.alive, state.finished
        parents, pieces, log_probs = top_k_continuations(
            before.log_probs, rows, logits, t + 1 >= state.max_lengths
        )
        log_probs = tf.where(_is_free(finished), log_probs, NEVER)
        ids = _append(before.ids, parents, pieces)
        piece_log_probs: tf.Tensor | tuple[()] = ()
        if tf.is_tensor(before.piece_log_probs):
            of_pieces = log_probs - tf.gather(before.log_probs, parents, batch_dims=1)
            of_pieces = tf.where(log_probs > NEVER, of_pieces, 0.0)
            piece_log_probs = _append(before.piece_log_probs, parents, of_pieces)

        ended = tf.equal(pieces, END_ID)
        scores = tf.where(ended, log_probs / self.penalty(t + 1), NEVER)
        finished = keep_finished(finished, Hypotheses(ids, scores, piece_log_probs))

        log_probs = tf.where(ended, NEVER, log_probs)
        is_open = self.is_open(log_probs, finished, state.max_lengths)
        log_probs = tf.where(is_open[:, tf.newaxis], log_probs, NEVER)
        rows = tf.gather(rows, parents, batch_dims=1)
        alive = Alive(ids, log_probs, piece_log_probs, rows)
        return state._replace(alive=alive, finished=finished), cache

    def logits(
        self, t: tf.Tensor, state: BeamState, cache: Any
    ) -> tuple[tf.Tensor, tf.Tensor, Any]:
        """Logits [R, V] of the next piece, the row [B, K] of each hypothesis, and the cache."""
        alive = state.alive
        hypotheses = _filled_up(tf.reshape(alive.log_probs, [-1]) > NEVER)
        earlier_rows = tf.gather(tf.reshape(alive.rows, [-1]), hypotheses)
        cache, rule_states = tf.nest.map_structure(lambda x: tf.gather(x, earlier_rows), cache)
        rows = Rows.of(hypotheses, tf.shape(alive.log_probs))
        begin = tf.fill([tf.shape(state.max_lengths)[0], self.beam_size, 1], BEGIN_ID)
        last = tf.reshape(tf.concat([begin, alive.ids], axis=2)[:, :, -1], [-1])
        last = tf.gather(last, hypotheses)
        positions = tf.fill(tf.shape(last), t)
        logits, cache = self.step(last, positions, Fixed(state.memory, rows), cache)
        if self.rules:
            ids = tf.gather(tf.reshape(alive.ids, [-1, tf.shape(alive.ids)[2]]), hypotheses)
            for i, rule in enumerate(self.rules):
                logits, rule_states[i] = rule(ids, rule_states[i], logits)
        return logits, rows.row_of, (cache, rule_states)

    def is_open(
        self, log_probs: tf.Tensor, finished: Hypotheses, max_lengths: tf.Tensor
    ) -> tf.Tensor:
        """[B] Whether an alive hypothesis can still score better than those to be returned."""
        best_penalty = self.penalty(max_lengths)[:, tf.newaxis]
        reachable = tf.reduce_max(log_probs / best_penalty, axis=1)
        return reachable > finished.scores[:, self.num_returned - 1]


def keep_finished(finished: Hypotheses, new: Hypotheses) -> Hypotheses:
    """The K best of the finished hypotheses and of new ones, whose ids are one piece longer."""
    beam_size = tf.shape(finished.scores)[1]
    scores, order = tf.math.top_k(tf.concat([finished.scores, new.scores], axis=1), beam_size)

    def keep(old: tf.Tensor, new: tf.Tensor, padding: float) -> tf.Tensor:
        longer = tf.pad(old, [[0, 0], [0, 0], [0, 1]], constant_values=padding)
        return tf.gather(tf.concat([longer, new], axis=1), order, batch_dims=1)

    ids = keep(finished.ids, new.ids, PAD_ID)
    if not tf.is_tensor(finished.piece_log_probs):
        return Hypotheses(ids, scores)
    return Hypotheses(ids, scores, keep(finished.piece_log_probs, new.piece_log_probs, 0.0))


def drop_finished_sentences(state: BeamState, results: Hypotheses) -> tuple[BeamState, Hypotheses]:
    """Continue without finished sentences once they are half of the batch.

    What all sentences have found so far then goes into the results, which hold the whole batch.
    """
    continues = tf.reduce_any(state.alive.log_probs > NEVER, axis=1)
    kept, num_sentences = _filled_up(continues), tf.size(continues)
    half_done = 2 * tf.math.count_nonzero(continues, dtype=tf.int32) <= num_sentences

    def drop() -> tuple[BeamState, Hypotheses]:
        new_length = tf.shape(state.finished.ids)[2]

        def update(old: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
            if len(old.shape) == 3:
                old = tf.pad(old, [[0, 0], [0, 0], [0, new_length - tf.shape(old)[2]]])
            return tf.tensor_scatter_nd_update(old, state.sentences[:, tf.newaxis], new)

        return (
            tf.nest.map_structure(lambda x: tf.gather(x, kept), state),
            tf.nest.map_structure(update, results, state.finished),
        )

    return tf.cond(half_done & (tf.size(kept) < num_sentences), drop, lambda: (state, results))


def _append(x: tf.Tensor, parents: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    """[B, K, t] of the parents [B, K] with new values [B, K] → [B, K, t + 1]."""
    return tf.concat([tf.gather(x, parents, batch_dims=1), new[:, :, tf.newaxis]], axis=2)


def _is_free(finished: Hypotheses) -> tf.Tensor:
    """[B, K] Whether a slot is left when finished hypotheses keep theirs."""
    num_free = tf.reduce_sum(tf.cast(tf.equal(finished.scores, NEVER), tf.int32), axis=1)
    return tf.range(tf.shape(finished.scores)[1]) < num_free[:, tf.newaxis]


def _filled_up(wanted: tf.Tensor) -> tf.Tensor:
    """[N] boolean → the wanted indices, then others up to a multiple of ROW_MULTIPLE, or all."""
    count = tf.math.count_nonzero(wanted, dtype=tf.int32)
    indices = tf.concat([tf.where(wanted), tf.where(~wanted)], axis=0)[:, 0]
    return tf.cast(indices[: -(-count // ROW_MULTIPLE) * ROW_MULTIPLE], tf.int32)


def _changing_shape(x: tf.Tensor) -> tf.TensorShape:
    """The first axis shrinks when sentences are dropped; axes that are empty at first grow."""
    return tf.TensorShape([None if i == 0 or size == 0 else size for i, size in enumerate(x.shape)])
