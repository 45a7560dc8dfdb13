"""Baselines on texts for which one sees the answer, and TF-IDF against its definition."""

import math
from collections import Counter

import numpy as np
import pytest

from translator.data.corpus import Pair
from translator.evaluation import baselines as module
from translator.evaluation.baselines import FIRST_WORDS, NEAREST_PAIR, baselines

PAIRS = [
    Pair("Please send the gas report.", "gas report"),
    Pair("", "not learnt"),
    Pair("Lunch on Monday? The usual place.", "lunch"),
    Pair("Monday: the power report!", "power, weekly report"),
    Pair("not learnt", " "),
]


def translations(name: str, *sources: str, pairs: list[Pair] = PAIRS) -> list[str]:
    return baselines(sources, lambda: pairs, ["<2de>"]).translations[name]


def test_first_words_are_as_many_as_a_target_has_on_average() -> None:
    assert baselines([], lambda: PAIRS).num_words == 2  # of 2, 1 and 3
    found = translations(FIRST_WORDS, "Hi Jim, all is well", "<2de> Hi Jim, all", "Hi", "")
    assert found == ["Hi Jim,", "Hi Jim,", "Hi", ""]


def test_nearest_pair_shares_the_rarest_words() -> None:
    found = translations(NEAREST_PAIR, "LUNCH, the report", "power", "the gas", "Gas? Please!")
    assert found == ["lunch", "power, weekly report", "gas report", "gas report"]


@pytest.mark.parametrize("largest_block", [1, 10])
def test_first_pair_is_taken_if_several_are_equally_near(
    largest_block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_BLOCK", largest_block)
    pairs = [Pair("a", "first"), Pair("a", "second"), Pair("b", "third")]
    assert translations(NEAREST_PAIR, "a", "unknown", "", pairs=pairs) == ["first"] * 3


def test_a_language_without_spaces_is_compared_by_character() -> None:
    pairs = [Pair("我在上海", "Shanghai"), Pair("我在北京", "Beijing")]
    assert translations(NEAREST_PAIR, "北京很大", "上海", pairs=pairs) == ["Beijing", "Shanghai"]


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
    assert translations(NEAREST_PAIR, *queries, pairs=pairs) == expected
