"""Words that translate each other, with numbers that can be computed in the head."""

import pytest

from translator.alignment import lexicon
from translator.alignment.lexicon import Lexicon, WordPair, model_1, normalized_words, thinned


def test_one_round_shares_each_word_out_equally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "ROUNDS", 1)
    monkeypatch.setattr(lexicon, "SMOOTHING", 0)
    # x goes to a, b and the empty word by a third, and to a and the empty word by a half
    t = model_1([["a", "b"], ["a"]], [["x", "y"], ["x"]])
    assert t["a", "x"] == pytest.approx((1 / 3 + 1 / 2) / (1 / 3 + 1 / 2 + 1 / 3))
    assert t["b", "x"] == t["b", "y"] == pytest.approx(1 / 2)
    assert t["", "x"] == t["a", "x"]


def test_smoothing_is_added_to_each_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "ROUNDS", 1)
    monkeypatch.setattr(lexicon, "SMOOTHING", 1.0)
    t = model_1([["a"], ["b"]], [["x"], ["y"]])
    assert t["a", "x"] == pytest.approx((0.5 + 1) / (0.5 + 2))


def test_further_rounds_find_what_explains_the_text() -> None:
    t = model_1([["the", "house"], ["the", "book"], ["a", "book"]],
                [["das", "haus"], ["das", "buch"], ["ein", "buch"]])  # fmt: skip
    assert t["the", "das"] > 0.6 > 0.3 > t["the", "buch"]
    assert t["book", "buch"] > 0.6 > 0.3 > t["book", "ein"]


@pytest.mark.parametrize("sources", [[], [[]], [["a"]]])
def test_no_target_words_have_no_probabilities(sources: list[list[str]]) -> None:
    assert model_1(sources, [[] for _ in sources]) == {}


def test_scores_need_both_directions() -> None:
    """x is the only translation of a, but a is one of many of x."""
    pairs = [WordPair([word], ["x"]) for word in "abcdefgh"]
    one = Lexicon.learn(pairs).scores(WordPair(["a"], ["x"]))[0, 0]
    assert one < 0.5 < Lexicon.learn(pairs[:1]).scores(WordPair(["a"], ["x"]))[0, 0]


def test_unknown_words_translate_themselves() -> None:
    """But a known word such as "am" (English: I am; German: at the) does not."""
    learnt = Lexicon({("am", "bin"): 0.9, ("on", "am"): 0.8})
    table = learnt.scores(WordPair(["am", "anna", "x"], ["bin", "am", "anna"]))
    assert table.tolist() == [[0.9, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_words_are_split_at_spaces_and_compared_without_case_and_punctuation() -> None:
    text = "  »Straße«, well-known don't\u00a0stop - ¿Qué?"
    assert normalized_words(text) == ["strasse", "well-known", "don't\u00a0stop", "-", "qué"]
    assert normalized_words("") == []


def test_a_lexicon_reads_what_it_wrote() -> None:
    learnt = Lexicon.learn([WordPair(["a", "b"], ["x", "y"]), WordPair(["a"], ["x"])])
    text = learnt.to_text()
    assert text == Lexicon.of_text(text).to_text()
    assert text.splitlines()[0].split("\t")[:2] == ["a", "x"]
    with pytest.raises(ValueError, match="unpack"):
        Lexicon.of_text("a\tb\n")


def test_large_text_is_thinned_out_evenly() -> None:
    pairs = [WordPair([str(i)], ["x"]) for i in range(8)]  # four entries each
    assert thinned(pairs, 32) == pairs
    assert thinned(pairs, 31) == pairs[::2]
    assert thinned(pairs, 8) == pairs[::4]
    assert thinned(iter(pairs), 0) == pairs[:1]
