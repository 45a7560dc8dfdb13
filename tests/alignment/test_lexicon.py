"""Words that translate each other, with numbers that can be computed in the head."""

import numpy as np
import pytest

from translator.alignment import lexicon
from translator.alignment.lexicon import (
    EMPTY_WORD,
    Lexicon,
    WordPair,
    model_1,
    normalized_words,
    thinned,
)


def probabilities(
    sources: list[list[int]], targets: list[list[int]]
) -> dict[tuple[int, int], float]:
    """t(y|x) by (x, y)."""
    table = model_1([np.array(x, int) for x in sources], [np.array(y, int) for y in targets])
    num_y = max((y for target in targets for y in target), default=0) + 1
    keys = [divmod(key, num_y) for key in table.keys.tolist()]
    return dict(zip(keys, table.probabilities.tolist(), strict=True))


def test_one_round_shares_each_word_out_equally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "ROUNDS", 1)
    monkeypatch.setattr(lexicon, "SMOOTHING", 0)
    # y 1 goes to x 1, x 2 and the empty word by a third, and to x 1 and the empty word by a half.
    t = probabilities([[1, 2], [1]], [[1, 2], [1]])
    assert t[1, 1] == pytest.approx((1 / 3 + 1 / 2) / (1 / 3 + 1 / 2 + 1 / 3))
    assert t[2, 1] == t[2, 2] == pytest.approx(1 / 2)
    assert t[EMPTY_WORD, 1] == t[1, 1]


def test_smoothing_is_added_to_each_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "ROUNDS", 1)
    monkeypatch.setattr(lexicon, "SMOOTHING", 1.0)
    assert probabilities([[1], [2]], [[1], [2]])[1, 1] == pytest.approx((0.5 + 1) / (0.5 + 2))


def test_further_rounds_find_what_explains_the_text() -> None:
    the, house, book, a = 1, 2, 3, 4
    das, haus, buch, ein = 1, 2, 3, 4
    t = probabilities(
        [[the, house], [the, book], [a, book]], [[das, haus], [das, buch], [ein, buch]]
    )
    assert t[the, das] > 0.6 > 0.3 > t[the, buch]
    assert t[book, buch] > 0.6 > 0.3 > t[book, ein]


@pytest.mark.parametrize("sources", [[], [[]], [[1]]])
def test_no_target_words_have_no_probabilities(sources: list[list[int]]) -> None:
    assert probabilities(sources, [[] for _ in sources]) == {}


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


def test_words_are_compared_without_case_and_punctuation() -> None:
    text = "  »Straße«,\twell-known don't\u00a0stop - ¿Qué?"
    assert normalized_words(text) == ["strasse", "well-known", "don't\u00a0stop", "-", "qué"]
    assert normalized_words("") == []


def test_a_lexicon_reads_what_it_wrote() -> None:
    pairs = [WordPair(["a", "b"], ["x", "y"]), WordPair(["a"], ["x"]), WordPair([], ["x"])]
    learnt = Lexicon.learn(pairs)
    read = Lexicon.of_text(learnt.to_text())
    assert learnt.to_text().splitlines()[0].split("\t")[:2] == ["a", "x"]
    for pair in pairs:
        np.testing.assert_array_equal(learnt.scores(pair), read.scores(pair))


@pytest.mark.parametrize(
    "text", ["a\tb\n", "a\tb\tnan\n", "a\tb\t1.5\n", "a\tb\tc\n", "a\tb\t1\t1"]
)
def test_a_damaged_lexicon_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|lie between|could not convert"):
        Lexicon.of_text(text)


def test_large_text_is_thinned_out_evenly() -> None:
    pairs = [(str(i), "x") for i in range(8)]  # four entries each
    assert thinned(pairs, 32) == pairs
    assert thinned(pairs, 31) == pairs[::2]
    assert thinned(pairs, 8) == pairs[::4]
    assert thinned(iter(pairs), 0) == pairs[:1]
