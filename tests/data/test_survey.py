"""One pass counts the pairs and takes a sample, spread evenly and bounded."""

import pytest

from translator.data import survey as module
from translator.data.corpus import Pair
from translator.data.survey import survey


def pairs(count: int, length: int = 1) -> list[Pair]:
    """Pairs of `length` bytes each, numbered by their target's number."""
    return [Pair("", str(i).zfill(length)) for i in range(count)]


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_SAMPLE", 100)
    monkeypatch.setattr(module, "MOST_SENTENCES", 40)


def test_a_small_text_is_all_sample() -> None:
    assert survey(pairs(10, length=10)) == (10, pairs(10, length=10))


@pytest.mark.parametrize(
    ("count", "length", "stride"),
    [(11, 10, 2), (20, 10, 2), (21, 10, 4), (1000, 10, 128), (20, 4, 1), (21, 4, 2)],
)
def test_of_a_large_one_every_nth_pair_is_taken(count: int, length: int, stride: int) -> None:
    """Ten pairs of ten bytes fit, and no more than twenty pairs in any case."""
    assert survey(pairs(count, length)) == (count, pairs(count, length)[::stride])


def test_size_is_in_bytes() -> None:
    """Four characters of three bytes each: eight of nine pairs fit, and every second is left."""
    assert len(survey([Pair("日本", "中文")] * 8).sample) == 8
    assert len(survey([Pair("日本", "中文")] * 9).sample) == 5


def test_a_pair_larger_than_the_sample_is_one() -> None:
    assert survey(pairs(1, length=101)).sample == pairs(1, length=101)


def test_now_and_then_it_shows_how_far_it_is() -> None:
    shown: list[int] = []
    survey(pairs(25_000), shown.append)
    assert shown == [10_000, 20_000]


class TestStatistics:
    def test_are_those_of_the_target_and_of_the_longest_side(self) -> None:
        found = survey([Pair("abcd", "ab"), Pair("a", "abcdef")]).statistics()
        assert (found.num_pairs, found.length, found.num_characters) == (2, 4.0, 6)

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
        found = survey([Pair(source, target)]).statistics()
        assert found.shared_letters == pytest.approx(shared)

    def test_need_no_text(self) -> None:
        assert survey([]).statistics().num_pairs == 0
