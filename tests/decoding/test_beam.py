"""Beam search on languages of a few pieces, against greedy search and against all there is.

A language says how likely each piece is after what stands before it. The step function knows what
stands before only from what it keeps in `cache`, so a search that mixes up hypotheses is found
out.

B sentences, K beams, R rows, t pieces so far, V vocabulary, L longest output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID, UNKNOWN_ID
from translator.decoding import beam
from translator.decoding.beam import beam_search, keep_finished
from translator.decoding.rules import Rule, no_repeat_ngram
from translator.decoding.search import Hypotheses, length_penalty
from translator.layers.cross_attention import Rows
from translator.models.seq2seq import Fixed

A, B, C = 4, 5, 6
PIECES = (A, B, C)
V = 7
NEVER = -np.inf
EVERYTHING = 1 + 3 + 9 + 27
"""Hypotheses of at most four pieces, end included."""

Language = Callable[[Sequence[int]], np.ndarray]
"""What stands before, begin included → the probability of each piece, [V]."""


def markov(**rows: dict[int, float]) -> Language:
    """A language in which the last piece decides: after=probabilities, else even ones."""
    names = {BEGIN_ID: "begin", A: "a", B: "b"}

    def probabilities(before: Sequence[int]) -> np.ndarray:
        row = rows.get(names.get(before[-1], "another"))
        return np.array([1 / V if row is None else row.get(piece, 0.0) for piece in range(V)])

    return probabilities


def babble(seed: int, sharpness: float = 2.0) -> Language:
    """A language in which all that stands before decides, and pad and begin are likely, too."""

    def probabilities(before: Sequence[int]) -> np.ndarray:
        scores = np.random.default_rng([seed, *before]).standard_normal(V)
        likelihoods = np.exp(sharpness * scores)
        return np.asarray(likelihoods / likelihoods.sum())

    return probabilities


class Speaker:
    """The step function for one language a sentence; `cache` is all ids fed so far, [R, t]."""

    def __init__(self, languages: Sequence[Language]) -> None:
        self.languages = languages
        self.fed: list[dict[int, list[list[int]]]] = []
        """For each step and sentence, what was fed for each hypothesis."""
        self.left: list[list[int]] = []
        """For each step, the sentences that were left."""

    def __call__(
        self, ids: tf.Tensor, positions: tf.Tensor, fixed: Fixed, cache: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        cache = tf.concat([cache, ids[:, tf.newaxis]], axis=1)
        histories, sentences = cache.numpy().tolist(), fixed.memory.numpy().tolist()
        np.testing.assert_array_equal(positions, np.full(len(ids), cache.shape[1] - 1))
        np.testing.assert_array_equal(fixed.rows.by_row(fixed.rows.by_sentence(cache)), cache)
        owners = np.repeat(sentences, fixed.rows.row_of.shape[1])[fixed.rows.hypotheses].tolist()
        fed: dict[int, list[list[int]]] = {}
        for owner, history in zip(owners, histories, strict=True):
            fed.setdefault(owner, []).append(history)
        self.fed.append(fed)
        self.left.append(sentences)
        with np.errstate(divide="ignore"):
            logits = [
                np.log(self.languages[owner](history))
                for owner, history in zip(owners, histories, strict=True)
            ]
        return tf.constant(np.array(logits), tf.float32), cache


def search(
    languages: Sequence[Language],
    beam_size: int,
    alpha: float = 0.0,
    max_lengths: Sequence[int] | int = 4,
    num_returned: int | None = None,
    speaker: Speaker | None = None,
    rules: Sequence[Rule] = (),
) -> list[list[tuple[tuple[int, ...], float]]]:
    """Of each language its hypotheses, best first: ids without padding, and score."""
    num_sentences = len(languages)
    speaker = speaker or Speaker(languages)
    found = beam_search(
        speaker,
        Fixed(tf.range(num_sentences), Rows.one_each(num_sentences)),
        tf.zeros([num_sentences, 0], tf.int32),
        tf.constant(np.broadcast_to(max_lengths, num_sentences), tf.int32),
        beam_size=beam_size,
        penalty=lambda length: length_penalty(length, alpha),
        num_returned=num_returned or beam_size,
        rules=rules,
    )
    return [
        [
            (tuple(row[row != PAD_ID].tolist()), float(score))
            for row, score in zip(rows, row_scores, strict=True)
            if score > NEVER
        ][:num_returned]
        for rows, row_scores in zip(found.ids.numpy(), found.scores.numpy(), strict=True)
    ]


def score(language: Language, ids: Sequence[int], alpha: float) -> float:
    history = [BEGIN_ID, *ids]
    log_prob = sum(np.log(language(history[:i])[history[i]]) for i in range(1, len(history)))
    return float(log_prob / ((5 + len(ids)) / 6) ** alpha)


def everything(language: Language, alpha: float) -> list[tuple[tuple[int, ...], float]]:
    """Every hypothesis of at most four pieces with its score, best first."""
    all_ids = [(*ids, END_ID) for n in range(4) for ids in product(PIECES, repeat=n)]
    return sorted(
        ((ids, score(language, ids, alpha)) for ids in all_ids), key=lambda found: -found[1]
    )


def greedy(language: Language, max_length: int) -> tuple[int, ...]:
    ids = [BEGIN_ID]
    while ids[-1] != END_ID:
        probabilities = language(ids)
        allowed = PIECES if len(ids) < max_length else ()
        ids.append(max((*allowed, END_ID), key=lambda piece: probabilities[piece]))
    return tuple(ids[1:])


def assert_same(
    found: list[tuple[tuple[int, ...], float]], expected: list[tuple[tuple[int, ...], float]]
) -> None:
    assert [ids for ids, _ in found] == [ids for ids, _ in expected]
    np.testing.assert_allclose([s for _, s in found], [s for _, s in expected], rtol=1e-5)


class TestLengthPenalty:
    @pytest.mark.parametrize(
        ("length", "alpha", "expected"),
        [
            *[(1, 0.0, 1.0), (9, 0.0, 1.0), (1, 0.6, 1.0), (1, 3.0, 1.0)],  # ((5 + 1) / 6)^α = 1
            *[(7, 1.0, 2.0), (7, 2.0, 4.0), (19, 0.5, 2.0), (13, 1.0, 3.0)],
        ],
    )
    def test_is_a_power_of_a_sixth_of_five_more(
        self, length: int, alpha: float, expected: float
    ) -> None:
        assert float(length_penalty(tf.constant(length), alpha)) == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("length", "alpha", "expected"),
        [(1, 0.6, 1.0), (9, 0.0, 1.0), (9, 1.0, 9.0), (9, 0.5, 3.0), (3, 2.0, 9.0)],
    )
    def test_may_be_a_power_of_the_length(self, length: int, alpha: float, expected: float) -> None:
        found = length_penalty(tf.constant(length), alpha, "power")
        assert float(found) == pytest.approx(expected)


class TestKeepFinished:
    def test_keeps_the_best_of_old_and_new(self) -> None:
        old = Hypotheses(tf.constant([[[A, END_ID], [B, END_ID]]]), tf.constant([[-1.0, -3.0]]))
        new = Hypotheses(
            tf.constant([[[B, A, END_ID], [B, B, END_ID]]]), tf.constant([[NEVER, -2.0]])
        )
        ids, scores, _ = keep_finished(old, new)
        np.testing.assert_array_equal(ids, [[[A, END_ID, PAD_ID], [B, B, END_ID]]])
        np.testing.assert_array_equal(scores, [[-1.0, -2.0]])


class TestBeamSearch:
    # A greedy search takes the path over a, 0.6 · 0.4; the best one is over b, 0.4 · 0.9.
    garden_path = staticmethod(
        markov(begin={A: 0.6, B: 0.4}, a={A: 0.3, B: 0.3, END_ID: 0.4}, b={A: 0.1, END_ID: 0.9})
    )

    def test_of_one_beam_takes_the_garden_path(self) -> None:
        assert_same(search([self.garden_path], 1)[0], [((A, END_ID), np.log(0.24))])

    def test_of_two_beams_finds_the_way_out(self) -> None:
        found = search([self.garden_path], 2)[0]
        assert_same(found, [((B, END_ID), np.log(0.36)), ((A, END_ID), np.log(0.24))])

    def test_gives_the_place_of_a_hypothesis_that_ended_to_no_other(self) -> None:
        language = markov(
            begin={END_ID: 0.7, A: 0.3}, a={A: 0.5, B: 0.45, END_ID: 0.05}, b={END_ID: 1.0}
        )
        # With the end at once kept, one of two places is left: for aa, and not for ab as well.
        kept, left = search([language], 2)[0]
        assert_same([kept], [((END_ID,), np.log(0.7))])
        assert_same([left], [((A, A, A, END_ID), np.log(0.3 * 0.5 * 0.5 * 0.05))])

    def test_with_a_length_penalty_prefers_the_longer(self) -> None:
        # The end at once with 0.7, or a with 0.3 and then surely six pieces more, end included.
        # With α = 2 the penalty of seven pieces is 4.
        def language(before: Sequence[int]) -> np.ndarray:
            piece = END_ID if len(before) == 7 else A
            first = np.eye(V)[A] * 0.3 + np.eye(V)[END_ID] * 0.7
            return np.asarray(first if len(before) == 1 else np.eye(V)[piece])

        short, long = ((END_ID,), np.log(0.7)), ((A,) * 6 + (END_ID,), np.log(0.3))
        assert_same(search([language], 2, 0.0, 9)[0], [short, long])
        long = (long[0], long[1] / 4)
        assert_same(search([language], 2, 2.0, 9, num_returned=1)[0], [long])
        assert_same(search([language], 2, 2.0, 9)[0], [long, short])

    @pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
    def test_of_one_beam_is_greedy_search(self, alpha: float) -> None:
        languages = [babble(seed) for seed in range(12)]
        lengths = set()
        for language, found in zip(languages, search(languages, 1, alpha, 6), strict=True):
            ids = greedy(language, 6)
            lengths.add(len(ids))
            assert_same(found, [(ids, score(language, ids, alpha))])
        assert len(lengths) > 2

    @pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
    def test_that_is_wide_enough_finds_everything(self, alpha: float) -> None:
        languages = [babble(seed) for seed in range(3)]
        for language, found in zip(languages, search(languages, EVERYTHING, alpha), strict=True):
            assert_same(found, everything(language, alpha))

    @pytest.mark.parametrize("num_returned", [1, 3])
    @pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 3.0])
    def test_that_stops_early_finds_what_a_full_one_does(
        self, alpha: float, num_returned: int
    ) -> None:
        languages = [babble(seed) for seed in range(8)]
        full = search(languages, 4, alpha, 7)
        for language, found, expected in zip(
            languages, search(languages, 4, alpha, 7, num_returned), full, strict=True
        ):
            assert_same(found, expected[:num_returned])
            assert_same(search([language], 4, alpha, 7, num_returned)[0], found)

    def test_stops_as_soon_as_no_other_can_come_first(self) -> None:
        language = markov(begin={END_ID: 0.7, A: 0.3}, a={A: 0.9, END_ID: 0.1}, b={END_ID: 1.0})
        # 0.3 is below 0.7 at once, and nothing makes up for it unless length is rewarded: with
        # α = 2 and seven pieces log(0.3 · 0.9 · 0.9) / 4 would be above log(0.7), one 0.9 more not.
        for alpha, num_returned, num_steps in ((0.0, 1, 1), (2.0, 1, 4), (0.0, 2, 7)):
            speaker = Speaker([language])
            search([language], 2, alpha, 7, num_returned, speaker)
            assert len(speaker.fed) == num_steps

    def test_ends_each_sentence_at_its_own_length(self) -> None:
        endless = markov(begin={A: 0.9, END_ID: 0.1}, a={A: 0.9, END_ID: 0.1})
        found = search([endless] * 3, 1, max_lengths=[1, 4, 2])
        for length, hypotheses in zip((1, 4, 2), found, strict=True):
            ids = (A,) * (length - 1) + (END_ID,)
            assert_same(hypotheses, [(ids, (length - 1) * np.log(0.9) + np.log(0.1))])

    @pytest.mark.parametrize("alpha", [0.0, 0.6])
    def test_of_a_sentence_does_not_depend_on_its_neighbours(self, alpha: float) -> None:
        languages = [babble(seed) for seed in range(6)]
        max_lengths = [1, 7, 3, 5, 2, 6]
        together = search(languages, 3, alpha, max_lengths)
        for language, max_length, found in zip(languages, max_lengths, together, strict=True):
            assert_same(found, search([language], 3, alpha, max_length)[0])

    def test_gives_distinct_hypotheses_best_first_with_their_scores(self) -> None:
        languages = [babble(seed, sharpness=1.0) for seed in range(10)]
        for language, found in zip(languages, search(languages, 5, 0.6, 6), strict=True):
            assert len(found) == 5
            assert_same(found, sorted(set(found), key=lambda hypothesis: -hypothesis[1]))
            assert_same(found, [(ids, score(language, ids, 0.6)) for ids, _ in found])

    def test_goes_on_without_half_of_the_sentences_as_soon_as_these_are_over(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(beam, "ROW_MULTIPLE", 1)
        ends, goes_on = markov(begin={END_ID: 1.0}), markov(begin={A: 1.0}, a={A: 0.9, END_ID: 0.1})
        speaker = Speaker([goes_on, ends, goes_on, ends, ends])
        found = search(speaker.languages, 1, max_lengths=[3, 9, 5, 9, 9], speaker=speaker)
        assert speaker.left == [[0, 1, 2, 3, 4], [0, 2], [0, 2], [2], [2]]
        assert [len(hypotheses[0][0]) for hypotheses in found] == [3, 1, 5, 1, 1]

    def test_and_with_a_few_of_these_that_make_a_round_number(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(beam, "ROW_MULTIPLE", 2)
        ends, goes_on = markov(begin={END_ID: 1.0}), markov(begin={A: 1.0}, a={A: 0.9, END_ID: 0.1})
        speaker = Speaker([ends, goes_on, ends, ends, ends])
        found = search(speaker.languages, 1, max_lengths=4, speaker=speaker)
        assert speaker.left == [[0, 1, 2, 3, 4], [1, 0], [1, 0], [1, 0]]
        assert [len(hypotheses[0][0]) for hypotheses in found] == [1, 4, 1, 1, 1]

    def test_asks_only_of_hypotheses_that_are_alive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of three one ends with the first piece, another with the second."""
        monkeypatch.setattr(beam, "ROW_MULTIPLE", 1)
        language = markov(begin={A: 0.5, B: 0.3, END_ID: 0.2}, a={A: 1.0}, b={END_ID: 1.0})
        speaker = Speaker([language, markov(begin={END_ID: 1.0})])
        search(speaker.languages, 3, max_lengths=4, speaker=speaker)
        begin = [BEGIN_ID]
        assert speaker.fed == [
            {0: [begin], 1: [begin]},
            {0: [[*begin, A], [*begin, B]]},
            {0: [[*begin, A, A]]},
            {0: [[*begin, A, A, A]]},
        ]

    @pytest.mark.parametrize(("at_once", "sizes"), [(4, {4, 8, 12, 15}), (99, {15})])
    def test_and_of_a_few_others_to_make_a_round_number(
        self, monkeypatch: pytest.MonkeyPatch, at_once: int, sizes: set[int]
    ) -> None:
        """Or of all, if there are no more; nothing is found by it, and nothing lost."""
        languages, lengths = [babble(seed, sharpness=1.0) for seed in range(3)], [3, 5, 6]

        def found(at_once: int) -> tuple[list[list[tuple[tuple[int, ...], float]]], set[int]]:
            monkeypatch.setattr(beam, "ROW_MULTIPLE", at_once)
            speaker = Speaker(languages)
            hypotheses = search(languages, 5, 0.6, lengths, speaker=speaker)
            return hypotheses, {sum(map(len, fed.values())) for fed in speaker.fed}

        (exactly, _), (here, asked) = found(1), found(at_once)
        for these, those in zip(here, exactly, strict=True):
            assert_same(these, those)
        assert asked <= sizes

    def test_never_says_pad_or_begin(self) -> None:
        likely = markov(
            begin={PAD_ID: 0.4, BEGIN_ID: 0.3, UNKNOWN_ID: 0.1, A: 0.2},
            a={PAD_ID: 0.9, END_ID: 0.1},
        )
        assert_same(search([likely], 1)[0], [((A, END_ID), np.log(0.02))])

    def test_gives_the_log_probability_of_each_piece_when_asked(self) -> None:
        found = beam_search(
            Speaker([self.garden_path]),
            Fixed(tf.range(1), Rows.one_each(1)),
            tf.zeros([1, 0], tf.int32),
            tf.constant([3]),
            beam_size=3,
            penalty=lambda length: length_penalty(length, 1.0),
            num_returned=3,
            with_piece_log_probs=True,
        )
        # Two end with their second piece, which leaves one place: for a a, as likely as a b.
        np.testing.assert_array_equal(
            found.ids,
            [[[B, END_ID, PAD_ID], [A, END_ID, PAD_ID], [A, A, END_ID]]],
        )
        expected = np.log([[0.4, 0.9, 1.0], [0.6, 0.4, 1.0], [0.6, 0.3, 0.4]])
        piece_log_probs = np.asarray(found.piece_log_probs)
        np.testing.assert_allclose(piece_log_probs[0], expected, atol=1e-6)
        totals = piece_log_probs.sum(axis=2)
        np.testing.assert_allclose(
            totals / length_penalty(tf.constant([[2, 2, 3]]), 1.0), found.scores, rtol=1e-5
        )

    def test_reorders_what_grows_with_the_hypotheses(self) -> None:
        languages = [babble(seed, sharpness=1.0) for seed in range(5)]
        speaker = Speaker(languages)
        parents_moved = False
        for b, found in enumerate(search(languages, 4, 0.6, 6, speaker=speaker)):
            for ids, _ in found:
                for t, fed in enumerate(speaker.fed[: len(ids)]):
                    own = fed[b]
                    assert [BEGIN_ID, *ids[:t]] in own
                    parents_moved |= own[0] != [BEGIN_ID, *ids[:t]]
        assert parents_moved

    def test_in_a_graph_with_a_beam_of_any_size_is_the_same(self) -> None:
        table = tf.constant(np.random.default_rng(0).standard_normal((2, V, V)), tf.float32)
        ids = tf.TensorSpec([], tf.int32)

        def run(beam_size: tf.Tensor) -> Hypotheses:
            def step(
                ids: tf.Tensor, _: tf.Tensor, fixed: Fixed, cache: tf.Tensor
            ) -> tuple[tf.Tensor, tf.Tensor]:
                tables = tf.gather(fixed.memory, fixed.rows.hypotheses // beam_size)
                logits = tf.gather(tables, ids, batch_dims=1)
                return logits, tf.concat([cache, ids[:, tf.newaxis]], axis=1)

            cache = tf.zeros([2, 0], tf.int32)
            lengths = tf.constant([4, 6])
            return beam_search(
                step,
                Fixed(table, Rows.one_each(2)),
                cache,
                lengths,
                beam_size=beam_size,
                penalty=lambda length: length_penalty(length, 0.6),
                rules=[no_repeat_ngram(2)],
                with_piece_log_probs=True,
            )

        in_graph = tf.function(run, input_signature=[ids])
        for beam_size in (1, 3):
            for one, other in zip(
                in_graph(tf.constant(beam_size)), run(tf.constant(beam_size)), strict=True
            ):
                np.testing.assert_allclose(one, other, rtol=1e-6)
