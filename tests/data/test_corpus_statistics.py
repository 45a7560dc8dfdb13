"""One pass counts the pairs and takes a bounded, evenly spread sample."""

import numpy as np
import pytest

from translator.config.preset import auto_vocabulary_size
from translator.config.schema import TokenizerConfig
from translator.data import corpus_statistics as module
from translator.data.corpus import Pair
from translator.data.corpus_statistics import sample_corpus
from translator.data.tokenizer import train_tokenizer


def pairs(count: int, length: int = 1) -> list[Pair]:
    """Pairs of `length` bytes each, numbered by their target."""
    return [Pair("", str(i).zfill(length)) for i in range(count)]


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_SAMPLE", 100)
    monkeypatch.setattr(module, "MOST_SENTENCES", 40)


def test_sample_of_a_small_text_is_the_whole_text() -> None:
    assert sample_corpus(pairs(10, length=10)) == (10, pairs(10, length=10), 0)


@pytest.mark.parametrize(
    ("count", "length", "stride"),
    [(11, 10, 2), (20, 10, 2), (21, 10, 4), (1000, 10, 128), (20, 4, 1), (21, 4, 2)],
)
def test_sample_of_a_large_text_has_every_nth_pair(count: int, length: int, stride: int) -> None:
    """At most ten pairs of ten bytes fit, and never more than twenty pairs."""
    assert sample_corpus(pairs(count, length)) == (count, pairs(count, length)[::stride], 0)


@pytest.mark.parametrize("letter", ["x", "日"])
def test_overlong_lines_are_counted_and_not_sampled(letter: str) -> None:
    longest = letter * (module.LONGEST_SENTENCE // len(letter.encode()))
    text = [Pair("a", longest + letter), Pair("b", "c"), Pair(longest + "xx", ""), Pair("d", "e")]
    assert sample_corpus(text) == (4, [Pair("b", "c"), Pair("d", "e")], 2)
    assert sample_corpus([Pair("", longest)]).num_overlong == 0


def test_size_is_in_bytes() -> None:
    """Pairs have four characters of three bytes. Eight fit, and of nine every second is kept."""
    assert len(sample_corpus([Pair("日本", "中文")] * 8).sample) == 8
    assert len(sample_corpus([Pair("日本", "中文")] * 9).sample) == 5


def test_pair_larger_than_the_sample_is_kept() -> None:
    assert sample_corpus(pairs(1, length=101)).sample == pairs(1, length=101)


def test_progress_is_reported_regularly() -> None:
    shown: list[int] = []
    sample_corpus(pairs(25_000), shown.append)
    assert shown == [10_000, 20_000]


class TestStatistics:
    def test_are_of_both_sides(self) -> None:
        found = sample_corpus([Pair("abcd", "ab"), Pair("a", "abcdefghi")]).statistics()
        assert (found.num_pairs, found.length, found.num_characters) == (2, 4.0, 9)

    def test_count_east_asian_characters_as_two(self) -> None:
        for pair in (Pair("ab", "猫犬鳥"), Pair("猫犬鳥", "ab")):
            assert sample_corpus([pair]).statistics().length == 4.0

    def test_give_a_vocabulary_size_that_can_be_learnt(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "LARGEST_SAMPLE", 10**6)
        monkeypatch.setattr(module, "MOST_SENTENCES", 1000)
        random = np.random.default_rng(1)
        characters = [chr(0x4E00 + i) for i in range(1500)]
        rows = [
            *np.array_split(random.permutation(1500), 60),
            *random.integers(1500, size=(60, 25)),
        ]
        text = [Pair("a cat", "".join(characters[i] for i in row)) for row in rows]
        size = auto_vocabulary_size(sample_corpus(text).statistics())
        assert size == 2200
        train_tokenizer(TokenizerConfig(vocabulary_size=size), lambda: text, 1, lambda _: None)

    @pytest.mark.parametrize(
        ("source", "target", "shared"),
        [
            ("aab", "aab", 1.0),
            ("ab", "bc", 0.5),
            ("abcd", "где", 0.0),
            ("aaab", "где" * 3 + "a", 0.1),  # one word that was not translated
            ("1 2", "3", 1.0),
            ("a", "3", 1.0),
        ],
    )
    def test_compare_the_letters_of_both_sides(
        self, source: str, target: str, shared: float
    ) -> None:
        found = sample_corpus([Pair(source, target)]).statistics()
        assert found.shared_letters == pytest.approx(shared)

    def test_of_an_empty_sample(self) -> None:
        assert sample_corpus([]).statistics().num_pairs == 0
