"""Sentences in, sentences out: first by a model that repeats, then by one that makes things up.

B sentences, K hypotheses, S source length, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import tensorflow as tf
from conftest import MakeModel

from translator.config.schema import DecodingConfig, LengthPenaltyKind, TokenizerConfig
from translator.config.statistics import LEAST_LIMIT
from translator.data.corpus import Pair
from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID, Tokenizer, train_tokenizer
from translator.decoding import engine as module
from translator.decoding.beam import beam_search
from translator.decoding.engine import Translation
from translator.decoding.search import length_penalty
from translator.decoding.translator import Translator
from translator.errors import ConfigError, DataError
from translator.evaluation.tuning import best
from translator.layers.cross_attention import Rows
from translator.models.seq2seq import Cache, Fixed, Memory, Seq2SeqModel, StepFunction

SENTENCES = [
    "turn on the light",
    "the door of the garage is open",
    "is the window closed",
    "",
    "the light of the garage is on and the door is closed and the window is open",
    "open",
    "turn off the light and open the window",
    " ",
    "the garage is closed",
    "light",
]


def trained(config: TokenizerConfig) -> Tokenizer:
    pairs = [Pair(sentence, sentence) for sentence in SENTENCES]
    return train_tokenizer(config, lambda: pairs, seed=1, report=lambda _: None)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return trained(TokenizerConfig(vocabulary_size=320, kind="bpe"))


@pytest.fixture(scope="module")
def plain_tokenizer() -> Tokenizer:
    """Without bytes: other ids are another text."""
    return trained(TokenizerConfig(vocabulary_size=40, kind="bpe", byte_fallback=False))


class Echo(Seq2SeqModel):
    """Says what it reads, or what it is told to, piece by piece, whatever stands before."""

    def __init__(self, vocabulary_size: int, says: Sequence[int] = ()) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.says = tuple(says)

    def encode(self, source: tf.Tensor, seed: tf.Tensor | None = None) -> Memory:
        if self.says:
            source = tf.tile(tf.constant([[*self.says, END_ID]]), [tf.shape(source)[0], 1])
        return Memory(source, tf.ones_like(source, tf.bool))

    def start(self, memory: Memory) -> tuple[StepFunction, Fixed, Cache]:
        def step(
            _: tf.Tensor, positions: tf.Tensor, fixed: Fixed, cache: Cache
        ) -> tuple[tf.Tensor, Cache]:
            source, (hypotheses, rows) = fixed.memory, fixed.rows
            last = tf.shape(source)[1] - 1
            said = tf.gather(source, tf.minimum(positions[0], last), axis=1)
            return self.logits_of(tf.gather(said, hypotheses // tf.shape(rows)[1])), cache

        return step, Fixed(memory.states, Rows.one_each(tf.shape(memory.states)[0])), []

    def logits_of(self, said: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(said, self.vocabulary_size, 20.0, 0.0)


class Hesitant(Echo):
    """May end at any place."""

    def logits_of(self, said: tf.Tensor) -> tf.Tensor:
        return super().logits_of(said) + tf.one_hot(END_ID, self.vocabulary_size, 19.0, 0.0)


MakeEcho = Callable[..., Translator]


@pytest.fixture
def make_echo(tokenizer: Tokenizer) -> MakeEcho:
    def make(says: Sequence[int] = (), max_length: int = 100, **changes: object) -> Translator:
        model = Echo(len(tokenizer.target), says)
        return Translator(model, tokenizer, DecodingConfig.model_validate(changes), max_length)

    return make


@pytest.fixture
def make_translator(make_model: MakeModel, plain_tokenizer: Tokenizer) -> Callable[..., Translator]:
    """A random model of one layer; its translations have up to 5 pieces more than their sources."""

    def make(dtype: str = "float32", frozen: bool = False, **changes: object) -> Translator:
        tokenizer, size = plain_tokenizer, len(plain_tokenizer.source)
        model = make_model(size, size, 40, dtype, num_layers=1, share_embeddings="none")
        model.output_table.assign(2 * model.output_table.value)  # decided opinions, few near-ties
        lengths = {"max_length_ratio": 1.0, "max_length_extra": 5}
        config = DecodingConfig.model_validate(lengths | changes)
        return Translator(model, tokenizer, config, 40, frozen)

    return make


class TestEcho:
    @pytest.mark.parametrize("tokens_per_batch", [1, 20, 2048])
    def test_gives_every_sentence_back_in_order(
        self, make_echo: MakeEcho, tokens_per_batch: int
    ) -> None:
        translations = make_echo(tokens_per_batch=tokens_per_batch).translate(SENTENCES)
        assert translations == [sentence.strip() for sentence in SENTENCES]

    def test_of_no_sentences_is_none(self, make_echo: MakeEcho) -> None:
        assert make_echo().translate([]) == []

    def test_of_empty_lines_is_empty_with_as_many_lines(self, make_echo: MakeEcho) -> None:
        hypotheses = make_echo().hypotheses(["", "open", "\u00ad\u3164", " \t ", "\u200b"])
        assert [h[0].text for h in hypotheses] == ["", "open", "", "", ""]
        assert [hypotheses[i] for i in (0, 2, 3, 4)] == [[Translation("", 0.0)]] * 4

    @pytest.mark.parametrize("at_once", [1, 3, 4, 2048])
    def test_of_a_stream_has_as_many_lines(
        self, make_echo: MakeEcho, monkeypatch: pytest.MonkeyPatch, at_once: int
    ) -> None:
        monkeypatch.setattr(module, "LINES_AT_ONCE", at_once)
        lines = [*SENTENCES, "", ""]
        stream = make_echo().stream(iter(lines))
        assert [hypotheses[0].text for hypotheses in stream] == [line.strip() for line in lines]

    def test_of_a_stream_that_breaks_off_comes_before_the_error(
        self, make_echo: MakeEcho, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "LINES_AT_ONCE", 2)

        def lines() -> Iterator[str]:
            yield from ("open", "", "a door")
            raise DataError("new.en: line 4 is not UTF-8")

        stream = make_echo().stream(lines())
        assert [next(stream)[0].text for _ in range(3)] == ["open", "", "a door"]
        with pytest.raises(DataError, match="line 4"):
            next(stream)

    def test_of_a_stream_begins_with_the_next_lines_before_it_gives_the_first(
        self, make_echo: MakeEcho, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "LINES_AT_ONCE", 2)
        lines = iter(SENTENCES)
        next(make_echo().stream(lines))
        assert list(lines) == SENTENCES[4:]

    def test_reads_so_many_pieces_and_tells_how_many_it_did_not(
        self, make_echo: MakeEcho, tokenizer: Tokenizer
    ) -> None:
        sentences = ["open", SENTENCES[4]]
        pieces = tokenizer.source.encode(sentences)
        assert len(pieces[0]) <= 5 < len(pieces[1])
        short, long = (found[0] for found in make_echo(max_length=5).hypotheses(sentences))
        assert (short.text, short.num_unread) == ("open", 0)
        assert long.text == tokenizer.target.decode([pieces[1][:5]])[0]
        assert long.num_unread == len(pieces[1]) - 5

    def test_spells_what_it_does_not_know(self, make_echo: MakeEcho) -> None:
        assert make_echo().translate(["open the ☃"]) == ["open the ☃"]

    def test_breaks_no_line_by_bytes_that_spell_one(
        self, make_echo: MakeEcho, tokenizer: Tokenizer
    ) -> None:
        piece = tokenizer.target._processor.piece_to_id
        says = [*tokenizer.target.encode(["open"])[0], piece("<0x0D>"), piece("<0x0A>")]
        says += tokenizer.target.encode(["light"])[0]
        assert "\r\n" in tokenizer.target.decode([says])[0]
        (text,) = make_echo(says).translate(["open"])
        assert text.split() == ["open", "light"]
        assert not {"\r", "\n"} & set(text)

    def test_ends_after_its_ratio_and_some_more(
        self, make_echo: MakeEcho, tokenizer: Tokenizer
    ) -> None:
        says = tokenizer.target.encode([SENTENCES[4]])[0]
        num_read = len(tokenizer.source.encode(["open"])[0]) + 1
        echo = make_echo(says, beam_size=1, max_length_ratio=2.0, max_length_extra=3)
        (text,) = echo.translate(["open"])
        assert text == tokenizer.target.decode([says[: 2 * num_read + 3 - 1]])[0]

    def test_knows_which_translations_end_at_the_limit(
        self, make_echo: MakeEcho, tokenizer: Tokenizer
    ) -> None:
        says = tokenizer.target.encode([SENTENCES[4]])[0]

        def at_limit(extra: int) -> list[bool]:
            echo = make_echo(says, max_length_ratio=1.0, max_length_extra=extra)
            found = echo.hypotheses(["open", SENTENCES[4] + " open", ""])
            return [best.at_limit for best, *_ in found]

        num_read = len(tokenizer.source.encode(["open"])[0]) + 1
        assert at_limit(0) == [True, False, False]
        assert at_limit(len(says) + 1 - num_read) == [True, False, False]  # it just fits
        assert at_limit(len(says) + 2 - num_read) == [False, False, False]

    def test_auto_is_the_least_limit_where_no_text_has_settled_it(
        self, make_echo: MakeEcho, tokenizer: Tokenizer
    ) -> None:
        says = 20 * tokenizer.target.encode(["open"])[0]
        [[found]] = make_echo(says).hypotheses(["open"])
        assert found.length == LEAST_LIMIT.of(len(tokenizer.source.encode(["open"])[0]))

    @pytest.mark.parametrize("num_stray", [0, 1, 3])
    def test_leaves_out_bytes_that_spell_nothing_and_counts_them(
        self, make_echo: MakeEcho, tokenizer: Tokenizer, num_stray: int
    ) -> None:
        stray = [tokenizer.target.id("<0xE4>")] * num_stray
        says = [*tokenizer.target.encode(["open"])[0], *stray]
        [[found]] = make_echo(says, beam_size=1).hypotheses(["light"])
        assert (found.text, found.num_stray_bytes) == ("open", num_stray)
        assert found.length == len(says) + 1

    def test_refuses_more_translations_than_beams(self, make_echo: MakeEcho) -> None:
        with pytest.raises(ConfigError, match=r"decoding\.beam_size 2 gives 1 to 2 translations"):
            make_echo(beam_size=2).hypotheses(["open"], num_returned=3)


def assert_same(one: list[list[Translation]], other: list[list[Translation]]) -> None:
    assert [[h.text for h in hypotheses] for hypotheses in one] == [
        [h.text for h in hypotheses] for hypotheses in other
    ]
    for found, expected in zip(one, other, strict=True):
        np.testing.assert_allclose([h.score for h in found], [h.score for h in expected], atol=1e-5)


class Undecided(Echo):
    """Says one piece, or with less probability one of several others, and ends."""

    def __init__(self, vocabulary_size: int, first: int, others: Sequence[int]) -> None:
        super().__init__(vocabulary_size, [first])
        self.others = others

    def logits_of(self, said: tf.Tensor) -> tf.Tensor:
        others = tf.reduce_sum(tf.one_hot(self.others, self.vocabulary_size, 18.0, 0.0), axis=0)
        goes_on = tf.cast(tf.not_equal(said, END_ID), tf.float32)[:, tf.newaxis]
        return super().logits_of(said) + goes_on * others


def test_no_text_comes_twice_among_the_best(tokenizer: Tokenizer) -> None:
    letter, same, another = (tokenizer.target.id(piece) for piece in ("o", "<0x6F>", "t"))
    model = Undecided(len(tokenizer.target), letter, [same, another])
    translator = Translator(model, tokenizer, DecodingConfig(beam_size=3), 100)
    [beam] = translator.beams(["open"], [3])[3]
    assert sorted(one.text for one in beam) == ["o", "o", "t"]
    [found] = translator.hypotheses(["open"], 3)
    assert [one.text for one in found] == ["o", "t"]
    assert found[0].score == pytest.approx(max(one.score for one in beam) / (7 / 6))


def test_one_search_for_each_beam_size_serves_all_length_penalties(tokenizer: Tokenizer) -> None:
    def hesitant(**changes: object) -> Translator:
        config = DecodingConfig.model_validate(changes)
        return Translator(Hesitant(len(tokenizer.target)), tokenizer, config, 100)

    settings: list[tuple[float, LengthPenaltyKind]] = [
        *((0.0, "gnmt"), (1.0, "gnmt"), (5.0, "gnmt"), (0.7, "power"))
    ]
    beams = hesitant().beams(SENTENCES, [1, 4])
    chosen = set()
    for beam_size, sentences in beams.items():
        for alpha, kind in settings:
            penalties = length_penalty(tf.maximum(tf.range(50), 1), alpha, kind).numpy()
            found = [best(hypotheses, penalties) for hypotheses in sentences]
            one = hesitant(beam_size=beam_size, length_penalty=alpha, length_penalty_kind=kind)
            assert found == one.translate(SENTENCES)
            chosen.add(tuple(found))
    assert len(chosen) > 2  # a beam of one leaves no choice


class TestTranslator:
    @pytest.mark.parametrize("beam_size", [1, 4])
    def test_translates_a_batch_as_its_sentences_one_at_a_time(
        self, make_translator: Callable[..., Translator], beam_size: int
    ) -> None:
        translator = make_translator(beam_size=beam_size)
        alone = [translator.hypotheses([s], beam_size)[0] for s in SENTENCES]
        assert len({found[0].text for found in alone}) > 6  # so that there is something to mix up
        assert_same(translator.hypotheses(SENTENCES, beam_size), alone)
        assert_same(translator.hypotheses(SENTENCES[::-1], beam_size), alone[::-1])

        small = make_translator(beam_size=beam_size, tokens_per_batch=30 * beam_size)
        assert_same(small.hypotheses(SENTENCES, beam_size), alone)

    def test_scores_each_hypothesis_as_the_model_does_all_at_once(
        self, make_model: MakeModel
    ) -> None:
        model = make_model()
        source = tf.constant([[4, 5, 6, 7, END_ID], [8, 9, END_ID, PAD_ID, PAD_ID]])
        step, fixed, cache = model.start(model.encode(source))
        found = beam_search(
            step,
            fixed,
            cache,
            tf.constant([6, 5]),
            beam_size=4,
            penalty=lambda length: length_penalty(length, 0.6),
            num_returned=4,
        )
        for b in range(2):
            for row, score in zip(found.ids[b].numpy(), found.scores[b], strict=True):
                ids = row[row != PAD_ID]
                states = model(source[b : b + 1], tf.constant([[BEGIN_ID, *ids[:-1]]]))
                log_probs = tf.nn.log_softmax(model.logits(states)[0])
                total = tf.reduce_sum(tf.gather(log_probs, ids, batch_dims=1))
                assert float(score) == pytest.approx(
                    float(total / length_penalty(len(ids), 0.6)), abs=1e-5
                )

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_weights_that_stay_change_nothing(
        self, make_translator: Callable[..., Translator], dtype: str
    ) -> None:
        one, other = (make_translator(dtype, frozen, beam_size=4) for frozen in (False, True))
        assert one.hypotheses(SENTENCES, 4) == other.hypotheses(SENTENCES, 4)

    def test_follows_weights_that_do_not(self, make_translator: Callable[..., Translator]) -> None:
        translator = make_translator()
        before = translator.translate(SENTENCES)
        table = translator.model.output_table
        table.assign(-table.value)
        assert translator.translate(SENTENCES) != before

    def test_returns_n_best_sorted_the_first_of_them_the_translation(
        self, make_translator: Callable[..., Translator]
    ) -> None:
        translator = make_translator(beam_size=4)
        for sentence, text, found in zip(
            SENTENCES,
            translator.translate(SENTENCES),
            translator.hypotheses(SENTENCES, 3),
            strict=True,
        ):
            assert found[0].text == text
            assert len(found) == (3 if sentence.strip() else 1)
            scores = [hypothesis.score for hypothesis in found]
            assert scores == sorted(scores, reverse=True)

    def test_in_bfloat16_may_waver_only_between_near_ties(
        self,
        make_translator: Callable[..., Translator],
        record_property: Callable[[str, object], None],
    ) -> None:
        translator = make_translator("bfloat16", beam_size=4)
        together = translator.hypotheses(SENTENCES)
        near_ties = 0
        for sentence, [found] in zip(SENTENCES, together, strict=True):
            alone = translator.hypotheses([sentence], 4)[0]
            near_ties += alone[0].text != found.text
            assert alone[0].score == pytest.approx(found.score, abs=0.1)
            rivals = {one.text for one in alone if one.score > alone[0].score - 0.1}
            assert found.text in rivals
        record_property("near_ties", near_ties)
