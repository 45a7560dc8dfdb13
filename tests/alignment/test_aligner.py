"""Word links from attention and a lexicon."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import KINDS, MakeModel

from translator.alignment.aligner import (
    Aligner,
    AttentionReader,
    TranslatedLine,
    WordAttention,
    choose_reading,
    find_links,
)
from translator.alignment.lexicon import Lexicon, WordPair
from translator.alignment.run_files import At, Reading
from translator.config.schema import TokenizerConfig
from translator.data.corpus import Pair
from translator.data.tokenizer import BEGIN_ID, END_ID, Tokenizer, train_tokenizer

TEXT = [Pair("the dog runs", "der Hund läuft"), Pair("a cat ran", "eine Katze lief")]
OUTPUT = Reading(layer=1, heads=[0, 1], at="output")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(
        TokenizerConfig(kind="bpe", vocabulary_size=300), lambda: TEXT, 1, lambda _: None, ["<2de>"]
    )


@pytest.fixture(params=["attention", "attention and recurrence", "decoder_only"])
def model(make_model: MakeModel, tokenizer: Tokenizer, request: pytest.FixtureRequest) -> Any:
    sizes = len(tokenizer.source), len(tokenizer.target)
    return make_model(*sizes, 40, **KINDS[request.param])


@pytest.fixture
def reader(model: Any, tokenizer: Tokenizer) -> AttentionReader:
    return AttentionReader(model, tokenizer, max_length=20)


def line(tokenizer: Tokenizer, source: str, target: str) -> TranslatedLine:
    [ids] = tokenizer.target.encode([target])
    return TranslatedLine(source, target, ids)


def test_each_word_is_linked_to_the_one_that_is_most_its_own() -> None:
    even = np.ones((2, 2))
    assert find_links(np.array([[0.9, 0.1], [0.2, 0.8]]), even) == {(0, 0), (1, 1)}
    assert find_links(even, np.array([[0, 1.0], [1.0, 0]])) == {(1, 0), (0, 1)}


def test_a_word_that_all_look_at_is_nobodys_own() -> None:
    # The second target word looks at the first source word a little more than at its own.
    attention = np.array([[1.0, 0.0], [0.5, 0.4]])
    assert find_links(attention, np.ones((2, 2))) == {(0, 0), (1, 1)}


def test_both_sides_find_their_links() -> None:
    """Two source words ("would like") have one translation."""
    assert find_links(np.array([[0.6, 0.4]]), np.ones((1, 2))) == {(0, 0), (1, 0)}


def test_words_that_were_not_read_have_no_links() -> None:
    attention = np.array([[1.0, 0.0], [0.0, 0.0]])
    assert find_links(attention, np.ones((2, 2))) == {(0, 0)}
    assert find_links(np.zeros((0, 2)), np.zeros((0, 2))) == frozenset()


def test_attention_links_what_the_lexicon_does_not_know() -> None:
    attention = np.array([[0.1, 0.9], [0.9, 0.1]])
    assert find_links(attention, np.zeros((2, 2))) == {(1, 0), (0, 1)}


def test_pieces_vote_for_their_words(
    model: Any, reader: AttentionReader, tokenizer: Tokenizer
) -> None:
    one = line(tokenizer, "the dog runs", "der Hund, lief")
    [(number, found)] = reader.read([one])
    assert number == 0
    assert found.words == WordPair(["the", "dog", "runs"], ["der", "hund", "lief"])
    source, target = tokenizer.source.encode([one.source])[0], list(one.target_ids)
    maps = model.attention_maps(
        tf.constant([[*source, END_ID]]), tf.constant([[BEGIN_ID, *target]])
    )

    def starts(pieces: list[str]) -> list[int]:
        return [i for i, piece in enumerate(pieces) if piece.startswith("▁")]

    columns = starts([tokenizer.source.piece(id_) for id_ in source])
    rows = starts([tokenizer.target.piece(id_) for id_ in target])
    firsts: dict[At, int] = {"output": 0, "input": 1}
    for at, first in firsts.items():
        for layer in (0, 1):
            [weights] = [
                m.weights.numpy()[0] for m in maps if (m.part, m.layer) == ("cross", layer)
            ]
            pieces = weights[:, first : first + len(target), : len(source)]
            summed = np.add.reduceat(pieces, columns, axis=2)
            sizes = np.diff([*rows, len(target)])[:, None]
            wanted = np.add.reduceat(summed, rows, axis=1) / sizes
            np.testing.assert_allclose(found.weights[layer, at], wanted, atol=1e-6)


def test_links_do_not_depend_on_neighbours(reader: AttentionReader, tokenizer: Tokenizer) -> None:
    lines = [line(tokenizer, *pair) for pair in TEXT]
    lines.insert(1, line(tokenizer, "the dog the cat the dog", "lief " * 8))
    aligner = Aligner(reader, Lexicon({}), OUTPUT)
    assert aligner.align(lines) == [aligner.align([one])[0] for one in lines]


@pytest.mark.parametrize(("source", "target"), [("", "der Hund"), ("the dog", ""), (" ", " ")])
def test_empty_sides_have_no_links(
    reader: AttentionReader, tokenizer: Tokenizer, source: str, target: str
) -> None:
    aligner = Aligner(reader, Lexicon({}), OUTPUT)
    assert aligner.align([line(tokenizer, source, target)]) == [frozenset()]
    assert aligner.align([]) == []


@pytest.mark.parametrize(
    "source",
    ["  the  dog runs", "the dog\u00a0x\truns", "the ﬁ´½ runs", "the 犬😀 runs", "<2de> dog runs"],
)
def test_words_are_those_between_spaces_and_tabs_of_the_line(
    reader: AttentionReader, tokenizer: Tokenizer, source: str
) -> None:
    """Also where the vocabulary changes characters, and where a tag counts as a word."""
    [(_, found)] = reader.read([line(tokenizer, source, "der Hund")])
    [weights] = {one.shape[2] for one in found.weights.values()}
    assert weights == len(found.words.source) == 3
    assert all(np.all(one.sum(axis=(0, 1)) > 0) for one in found.weights.values())


def test_only_what_was_read_is_linked(make_model: MakeModel, tokenizer: Tokenizer) -> None:
    model = make_model(len(tokenizer.source), len(tokenizer.target), 40, **KINDS["attention"])
    reader = AttentionReader(model, tokenizer, max_length=2)
    [links] = Aligner(reader, Lexicon({}), OUTPUT).align(
        [line(tokenizer, "the dog runs and runs", "der Hund")]
    )
    assert {source for source, _ in links} <= {0, 1}


def test_a_piece_may_belong_to_several_words(make_model: MakeModel) -> None:
    phrases = [Pair("good morning to you", "guten Morgen an euch")] * 50
    tokenizer = train_tokenizer(
        TokenizerConfig(kind="bpe", vocabulary_size=320, split_by_whitespace=False),
        lambda: phrases,
        1,
        lambda _: None,
    )
    one = line(tokenizer, *phrases[0])
    assert len(one.target_ids) < 4
    reader = AttentionReader(
        make_model(len(tokenizer.source), len(tokenizer.target), 40), tokenizer, 20
    )
    [links] = Aligner(reader, Lexicon({}), OUTPUT).align([one])
    assert {i for i, _ in links} == {j for _, j in links} == {0, 1, 2, 3}


def test_stray_bytes_have_no_words(reader: AttentionReader, tokenizer: Tokenizer) -> None:
    stray = tokenizer.target.id("<0xC3>")
    ids = [*tokenizer.target.encode(["der"])[0], tokenizer.target.id("▁"), stray]
    one = TranslatedLine("the dog", tokenizer.target.decode([ids])[0], ids)
    assert Aligner(reader, Lexicon({}), OUTPUT).align([one]) == [frozenset()]


def test_the_reading_that_agrees_with_the_lexicon_is_chosen() -> None:
    straight, crossed = np.eye(2), np.eye(2)[::-1]
    attention = [
        WordAttention(
            WordPair(["a", "b"], ["x", "y"]),
            {
                (0, "output"): np.stack([crossed, crossed]),
                (0, "input"): np.stack([crossed, straight]),
                (1, "output"): np.stack([crossed, crossed]),
            },
        )
    ]
    lexicon = Lexicon({("a", "x"): 1.0, ("b", "y"): 1.0})
    assert choose_reading(attention, lexicon) == (Reading(layer=0, heads=[1], at="input"), 1.0)
