"""Baselines on texts for which one sees the answer, and TF-IDF against its definition."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from translator.data.corpus import Pair
from translator.evaluation import baselines as module
from translator.evaluation.baselines import beginnings, choose_num_words, nearest_targets

PAIRS = [
    Pair("Please send the gas report.", "gas report"),
    Pair("", "not learnt"),
    Pair("Lunch on Monday? The usual place.", "lunch"),
    Pair("Monday: the power report!", "power, weekly report"),
    Pair("not learnt", " "),
]


def nearest(*sources: str, pairs: list[Pair] = PAIRS) -> list[str]:
    return nearest_targets(sources, lambda: pairs, ["<2de>"])


def test_first_words_are_those_behind_the_tag() -> None:
    sources = ["Hi Jim, all is well", "<2de> Hi Jim, all", "Hi", ""]
    assert beginnings(sources, 2, ["<2de>"]) == ["Hi Jim,", "Hi Jim,", "Hi", ""]


def test_first_words_are_as_many_as_score_best() -> None:
    pairs = [Pair("a b c d e f", "a b c d"), Pair("g h i j k", "g h i j")]

    def num_same(translations: Sequence[str], references: Sequence[str]) -> float:
        return sum(map(str.__eq__, translations, references))

    assert choose_num_words(pairs, num_same) == 4
    assert choose_num_words(pairs, lambda *_: 0.0) == 1


def test_nearest_pair_shares_the_rarest_words() -> None:
    found = nearest("LUNCH, the report", "power", "the gas", "Gas? Please!")
    assert found == ["lunch", "power, weekly report", "gas report", "gas report"]


@pytest.mark.parametrize("largest_block", [1, 10])
def test_first_pair_is_taken_if_several_are_equally_near(
    largest_block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_BLOCK", largest_block)
    pairs = [Pair("a", "first"), Pair("a", "second"), Pair("b", "third")]
    assert nearest("a", "unknown", "", pairs=pairs) == ["first"] * 3


def test_a_language_without_spaces_is_compared_by_character() -> None:
    pairs = [Pair("我在上海", "Shanghai"), Pair("我在北京", "Beijing")]
    assert nearest("北京很大", "上海", pairs=pairs) == ["Beijing", "Shanghai"]


def tf_idf(text: str, sources: list[str]) -> dict[str, float]:
    """The definition, word by word."""
    counts = Counter(text.split())
    vector = {}
    for word, count in counts.items():
        if num := sum(word in source.split() for source in sources):
            vector[word] = (1 + math.log(count)) * (math.log((1 + len(sources)) / (1 + num)) + 1)
    length = math.sqrt(sum(weight**2 for weight in vector.values()))
    return {word: weight / length for word, weight in vector.items()}


@pytest.mark.parametrize("largest_block", [1, 40, 10**6])
def test_nearest_pair_has_the_largest_cosine_in_blocks_of_any_size(
    largest_block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_BLOCK", largest_block)
    random = np.random.default_rng(1)
    texts = [" ".join(random.choice(list("abcdefghij"), random.integers(1, 12))) for _ in range(60)]
    sources, queries = texts[:40], texts[40:]
    vectors = [tf_idf(source, sources) for source in sources]
    expected = []
    for query in queries:
        own = tf_idf(query, sources)
        cosines = [sum(own.get(word, 0) * x for word, x in vector.items()) for vector in vectors]
        expected.append(str(np.argmax(np.round(cosines, 9))))
    pairs = [Pair(source, str(i)) for i, source in enumerate(sources)]
    assert nearest(*queries, pairs=pairs) == expected
