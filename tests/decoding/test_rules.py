"""Rules of a search: a table that one can compute in the head, then whole searches.

R rows, t pieces so far, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf

from translator.config.schema import DecodingConfig
from translator.data.tokenizer import END_ID
from translator.decoding.beam import beam_search
from translator.decoding.rules import Rule, min_length, no_repeat_ngram, rules_of
from translator.layers.cross_attention import Rows
from translator.models.seq2seq import Fixed

A, B, C = 4, 5, 6
V = 7


def forbidden(rule: Rule, ids: Sequence[int], dtype: str = "float32") -> set[int]:
    """Pieces that a rule makes impossible after these; it leaves the logits of others alone."""
    before = tf.cast(tf.range(2 * V), dtype)[tf.newaxis]
    logits, state = rule.apply(tf.constant([ids], tf.int32), rule.state, before)
    assert logits.dtype == dtype and state is rule.state
    is_possible = logits.numpy()[0].astype(float) > -np.inf
    np.testing.assert_array_equal(logits[0][is_possible], before[0][is_possible])
    return set(np.flatnonzero(~is_possible).tolist())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("size", "ids", "expected"),
    [
        (1, [], set()),
        (1, [A, B], {A, B}),
        (2, [], set()),
        (2, [A], set()),
        (2, [A, A], {A}),  # a a
        (2, [A, B, A], {B}),  # a b
        (2, [A, B, A, C, A], {B, C}),  # a b and a c
        (2, [A, B, C], set()),
        (3, [A, B], set()),
        (3, [A, B, C, A, B], {C}),  # a b c
        (3, [A, B, C, B], set()),
        (3, [A, A, A], {A}),  # a a a
        (4, [A, B, C], set()),
    ],
)
def test_no_ngram_comes_twice(size: int, ids: list[int], expected: set[int], dtype: str) -> None:
    assert forbidden(no_repeat_ngram(size), ids, dtype) == expected


def test_each_row_is_judged_alone() -> None:
    ids = tf.constant([[A, B, A], [B, A, B], [A, B, C]])
    logits, _ = no_repeat_ngram(2).apply(ids, (), tf.zeros([3, V]))
    rows, pieces = np.nonzero(np.isinf(logits))
    assert list(zip(rows.tolist(), pieces.tolist(), strict=True)) == [(0, B), (1, A)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("length", "limit", "ids", "expected"),
    [
        (1, 9, [], {END_ID}),
        (1, 9, [A], set()),
        (3, 9, [A, B], {END_ID}),
        (3, 9, [A, B, C], set()),
        (3, 4, [A, B], {END_ID}),  # a third piece and the end fit
        (3, 3, [A], {END_ID}),
        (3, 3, [A, B], set()),  # only the end fits
        (3, 1, [], set()),
    ],
)
def test_no_hypothesis_ends_early(
    length: int, limit: int, ids: list[int], expected: set[int], dtype: str
) -> None:
    assert forbidden(min_length(length, tf.constant([limit])), ids, dtype) == expected


def test_the_end_stays_possible_where_nothing_else_is() -> None:
    logits = np.zeros([2, V], np.float32)
    logits[0, END_ID + 1 :] = -np.inf
    found, _ = min_length(5, None).apply(tf.constant([[A], [A]]), tf.constant([9, 9]), logits)
    assert np.isfinite(found[:, END_ID]).tolist() == [True, False]


def test_a_configuration_asks_for_its_rules() -> None:
    limits = tf.constant([9])
    assert rules_of(DecodingConfig(), limits) == []
    (rule,) = rules_of(DecodingConfig(no_repeat_ngram=2), limits)
    assert forbidden(rule, [A, B, A]) == {B}
    (rule,) = rules_of(DecodingConfig(min_length=2), limits)
    assert forbidden(rule, [A]) == {END_ID}
    first, second = rules_of(DecodingConfig(no_repeat_ngram=1, min_length=4), limits)
    assert forbidden(first, [A, B]) == {A, B} and forbidden(second, [A, B]) == {END_ID}


class Stutter:
    """A language that says a, then a or b, then the end, with probabilities 5 : 3 : 1, always."""

    def __call__(
        self, ids: tf.Tensor, positions: tf.Tensor, fixed: Fixed, cache: list[tf.Tensor]
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        probabilities = np.zeros(V, np.float32)
        probabilities[[A, B, END_ID]] = 5 / 9, 3 / 9, 1 / 9
        return tf.tile(tf.math.log(probabilities)[tf.newaxis], [len(ids), 1]), cache


def search(beam_size: int, *rules: Rule) -> tuple[list[list[int]], np.ndarray]:
    """The beam after at most ten pieces, each hypothesis up to its end, and log-probabilities."""
    found = beam_search(
        Stutter(),
        Fixed(tf.zeros([1]), Rows.one_each(1)),
        [],
        tf.constant([10]),
        beam_size=beam_size,
        penalty=lambda length: tf.ones_like(length, tf.float32),
        num_returned=beam_size,
        rules=rules,
    )
    rows = [[i for i in row if i > END_ID] for row in found.ids[0].numpy().tolist()]
    return rows, found.scores[0].numpy()


def test_a_search_obeys_its_rules() -> None:
    assert search(1)[0] == [[A] * 9]
    # a; a; b, as a a is taken; a, as b b is less likely than b a; then a a and a b are taken: end.
    [ids], [score] = search(1, no_repeat_ngram(2))
    assert ids == [A, A, B, A]
    # All pieces are possible at first; then a, b or the end; b or the end; again all; the end.
    assert score == pytest.approx(np.log(5 / 9 * 5 / 9 * 3 / 4 * 5 / 9 * 1))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_hypothesis_of_a_beam_repeats(size: int) -> None:
    for ids in search(4, no_repeat_ngram(size))[0]:
        ngrams = [tuple(ids[i : i + size]) for i in range(len(ids) - size + 1)]
        assert len(set(ngrams)) == len(ngrams)


class Hasty:
    """A language that says the end, a or b, with probabilities 6 : 3 : 1, always."""

    def __call__(
        self, ids: tf.Tensor, positions: tf.Tensor, fixed: Fixed, cache: list[tf.Tensor]
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        probabilities = np.zeros(V, np.float32)
        probabilities[[END_ID, A, B]] = 0.6, 0.3, 0.1
        return tf.tile(tf.math.log(probabilities)[tf.newaxis], [len(ids), 1]), cache


@pytest.mark.parametrize("beam_size", [1, 2, 3])
def test_a_search_ends_at_min_length_or_at_the_limit_of_its_sentence(beam_size: int) -> None:
    limits = tf.constant([2, 10, 1, 4])  # the first and the third cannot have three pieces
    found = beam_search(
        Hasty(),
        Fixed(tf.zeros([4]), Rows.one_each(4)),
        [],
        limits,
        beam_size=beam_size,
        penalty=lambda length: tf.ones_like(length, tf.float32),
        rules=[min_length(3, limits)],
    )
    best = [[i for i in row if i > END_ID] for row in found.ids[:, 0].numpy().tolist()]
    assert best == [[A], [A] * 3, [], [A] * 3]
    # Until the end is possible, a has 3/4. At the limit, all that may follow have their shares.
    expected = [0.75 * 0.6, 0.75**3 * 0.6, 0.6, 0.75**3 * 0.6]
    np.testing.assert_allclose(np.exp(found.scores[:, 0]), expected, rtol=1e-5)


def test_min_length_yields_where_no_piece_may_be_repeated() -> None:
    """Two pieces are possible once each, so no hypothesis has the three that are asked for."""
    for ids in search(3, no_repeat_ngram(1), min_length(3, tf.constant([10])))[0]:
        assert sorted(ids) in ([A, B], [])  # a slot may stay empty


def test_a_rule_has_a_state_for_each_hypothesis_and_rules_follow_each_other() -> None:
    """The first counts pieces, and says no b after an even number; the second repeats no bigram."""

    def apply(ids: tf.Tensor, count: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        np.testing.assert_array_equal(count, np.full(len(ids), ids.shape[1]))
        is_b = (pieces == B) & (count[:, tf.newaxis] % 2 == 0)
        return tf.where(is_b, -np.inf, logits), count + 1

    pieces = tf.range(V)
    counting = Rule(apply, tf.zeros([1], tf.int32))
    for ids in search(3, counting, no_repeat_ngram(2))[0]:
        assert B not in ids[::2]
        bigrams = list(pairwise(ids))
        assert len(set(bigrams)) == len(bigrams)
