"""Word links and the alignment error rate, with numbers that can be computed in the head."""

import pytest

from translator.alignment.links import alignment_error_rate, read_links
from translator.errors import DataError


def test_sure_links_are_possible_too() -> None:
    first, second = read_links(["0-0 1?2 10-3\n", "\n"], "gold")
    assert first.sure == {(0, 0), (10, 3)}
    assert first.possible == {(0, 0), (1, 2), (10, 3)}
    assert second.sure == second.possible == set()


@pytest.mark.parametrize(
    "bad", ["1", "1-", "-1-2", "1-2-3", "a-b", "1p2", "1.0-2", "²-1", "0-0,1-1"]
)
def test_bad_links_are_refused_with_their_line(bad: str) -> None:
    with pytest.raises(DataError, match=r"gold\.links, line 2: .* is not a word link"):
        read_links(["0-0", f"1-1 {bad}"], "gold.links")


SURE = {(0, 0), (1, 1)}
POSSIBLE = {(2, 2), (2, 3)}


def test_sure_links_alone_are_perfect() -> None:
    assert alignment_error_rate([SURE], [SURE], [POSSIBLE]) == 0


def test_possible_links_cost_nothing() -> None:
    assert alignment_error_rate([SURE | POSSIBLE], [SURE], [POSSIBLE]) == 0


def test_possible_links_alone_miss_the_sure_ones() -> None:
    # 0 + 2 hits of 2 found and 2 sure links
    assert alignment_error_rate([POSSIBLE], [SURE], [SURE | POSSIBLE]) == 0.5


def test_a_wrong_and_a_missing_link_cost() -> None:
    # (0, 0) hits sure and possible; (5, 5) hits nothing: 1 − 2 / 4
    assert alignment_error_rate([{(0, 0), (5, 5)}], [SURE], [SURE]) == 0.5


def test_nothing_found_is_all_wrong() -> None:
    assert alignment_error_rate([set()], [SURE], [POSSIBLE]) == 1


def test_the_rate_is_of_the_corpus_and_not_a_mean_of_sentences() -> None:
    one, nine = {(0, 0)}, {(i, i) for i in range(9)}
    # hits 0 + 18, links 1 + 1 + 18: the mean of the sentences would be 0.5
    rate = alignment_error_rate([{(0, 1)}, nine], [one, nine], [one, nine])
    assert rate == pytest.approx(0.1)


def test_no_links_and_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one link"):
        alignment_error_rate([set()], [set()], [POSSIBLE])
    with pytest.raises(ValueError):
        alignment_error_rate([SURE, SURE], [SURE], [POSSIBLE])
