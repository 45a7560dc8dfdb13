"""Rules of a search: what changes the logits of a step before the search chooses among them.

The probabilities are those of the changed logits, so they still add up to one.

R rows of a search, t pieces so far, V vocabulary, B sentences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from translator.config.schema import DecodingConfig
from translator.data.tokenizer import END_ID


class Rule(NamedTuple):
    """A function of the hypotheses so far, with a state of its own for each."""

    apply: Callable[[tf.Tensor, Any, tf.Tensor], tuple[tf.Tensor, Any]]
    """(ids so far [R, t], state, logits [R, V]) → (logits [R, V], state).

    The end must stay possible in every row: at the length limit nothing else may follow. Rows that
    only fill up a batch may be hypotheses that have ended; their logits are ignored."""
    state: Any = ()
    """At first one entry for each sentence, [B, …]; afterwards one for each row, [R, …]. The search
    gathers it like the cache."""


def rules_of(config: DecodingConfig, max_lengths: tf.Tensor) -> list[Rule]:
    """The rules that a configuration asks for.

    max_lengths [B]: the longest translation of each sentence, end included.
    """
    rules = []
    if config.no_repeat_ngram:
        rules.append(no_repeat_ngram(config.no_repeat_ngram))
    if config.min_length:  # last: it keeps the end where the others leave nothing else
        rules.append(min_length(config.min_length, max_lengths))
    return rules


def no_repeat_ngram(size: int) -> Rule:
    """No sequence of `size` pieces occurs twice in a hypothesis (Paulus et al. 2018, section 2.5).

    A piece is impossible if it would complete a sequence that the hypothesis already contains. The
    end is always possible.
    """

    def apply(ids: tf.Tensor, state: Any, logits: tf.Tensor) -> tuple[tf.Tensor, Any]:
        # Ids that do not exist go in front, so that there are always size - 1 last ones.
        ids = tf.pad(ids, [[0, 0], [size - 1, 0]], constant_values=-1)
        length = tf.shape(ids)[1]
        earlier = tf.range(length - size + 1)[:, tf.newaxis] + tf.range(size - 1)
        last = ids[:, tf.newaxis, length - size + 1 :]
        is_repeated = tf.reduce_all(tf.gather(ids, earlier, axis=1) == last, axis=2)
        completing = ids[:, size - 1 :]
        rows = tf.broadcast_to(tf.range(tf.shape(ids)[0])[:, tf.newaxis], tf.shape(completing))
        bounds = tf.cast(tf.where(is_repeated, -math.inf, math.inf), logits.dtype)
        indices = tf.stack([rows, completing], axis=2)
        return tf.tensor_scatter_nd_min(logits, indices, bounds), state

    return Rule(apply)


def min_length(length: int, max_lengths: tf.Tensor) -> Rule:
    """No hypothesis ends before it has `length` pieces.

    The end stays possible at the length limit, max_lengths [B] with the end, and where nothing else
    is possible.
    """

    def apply(ids: tf.Tensor, limits: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        num_pieces = tf.shape(ids)[1]
        may_continue = tf.reduce_any(logits[:, END_ID + 1 :] > -math.inf, axis=1)
        may_end = (num_pieces >= length) | (num_pieces + 1 >= limits) | ~may_continue
        is_kept = may_end[:, tf.newaxis] | (tf.range(tf.shape(logits)[1]) != END_ID)
        return tf.where(is_kept, logits, tf.cast(-math.inf, logits.dtype)), limits

    return Rule(apply, max_lengths)
