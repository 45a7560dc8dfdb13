"""The length limit of a text, with numbers that can be computed in the head."""

import numpy as np
import pytest

from translator.config.statistics import LEAST_LIMIT, LengthLimit
from translator.data import length_limit as module
from translator.data.length_limit import SLACK, needed_limit, share_beyond


def lengths(*with_end: int) -> np.ndarray:
    return np.array(with_end, np.int32) - 1


def test_a_limit_counts_the_ends_of_both_sides() -> None:
    assert LEAST_LIMIT.of(4) == 2 * 5 + 10
    assert LengthLimit(2.5, 3).of(4) == 12 + 3


def test_ordinary_text_gets_the_least_limit() -> None:
    assert needed_limit(lengths(5, 10, 50), lengths(9, 20, 60)) == LEAST_LIMIT
    assert needed_limit(lengths(100), lengths(3)) == LEAST_LIMIT


def test_slack_leaves_room_for_longer_text() -> None:
    assert SLACK == 1.2
    assert needed_limit(lengths(10), lengths(25)) == (2.0, 10)  # 30 with slack
    assert needed_limit(lengths(10), lengths(26)) == (2.0, 12)  # 31.2


def test_long_targets_of_long_sources_raise_the_ratio() -> None:
    # With slack 30, 60 and 300 pieces: six times the source. With a ratio of 2, the longest would
    # need 200 more.
    assert needed_limit(lengths(5, 10, 50), lengths(25, 50, 250)) == (6.0, 10)


def test_long_targets_of_short_sources_raise_the_extra() -> None:
    # With slack 120 pieces, whatever the source: the shortest, of 2 pieces, needs 116 more.
    assert needed_limit(lengths(2, 10, 20), lengths(100, 100, 100)) == (2.0, 116)


def test_long_targets_of_both_raise_both() -> None:
    # 6 times the source and 60: of 66, 120 and 660 pieces.
    sources = lengths(1, 10, 100)
    assert needed_limit(sources, lengths(55, 100, 550)) == (6.0, 60)


def test_a_few_misaligned_pairs_do_not_count() -> None:
    sources, targets = np.full(4000, 9), np.full(4000, 12)
    targets[:3] = 200
    assert needed_limit(sources, targets) == LEAST_LIMIT
    targets[:8] = 200
    assert needed_limit(sources, targets) == (2.0, 222)  # 1.2 · 201 is 241.2


def test_in_a_small_text_three_misaligned_pairs_do_not_count() -> None:
    sources, targets = np.full(500, 9), np.full(500, 12)
    targets[:3] = 49
    assert needed_limit(sources, targets) == LEAST_LIMIT
    targets[3] = 49
    assert needed_limit(sources, targets) == (2.0, 40)


def test_in_a_very_small_text_every_target_counts() -> None:
    sources, targets = np.full(99, 9), np.full(99, 12)
    targets[0] = 49
    assert needed_limit(sources, targets) == (2.0, 40)


def test_given_ratio_or_extra_is_kept() -> None:
    sources, targets = lengths(5, 10, 50), lengths(25, 50, 250)
    assert needed_limit(sources, targets, ratio=5.0) == (5.0, 50)
    assert needed_limit(sources, targets, extra=20) == (6.0, 20)
    assert needed_limit(sources, targets, extra=50) == (5.0, 50)
    assert needed_limit(sources, targets, ratio=1.0, extra=0) == (1.0, 0)
    assert needed_limit(sources, lengths(1, 1, 1), extra=0) == (2.0, 0)


def test_limit_is_never_above_that_of_the_configuration() -> None:
    assert needed_limit(lengths(1), lengths(100_000)) == (2.0, 10_000)


def test_many_pairs_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PAIRS", 2)
    # Every second one is looked at.
    assert needed_limit(lengths(5, 5, 10), lengths(25, 900, 50)) == (5.0, 10)


def test_the_share_beyond_a_limit() -> None:
    sources, targets = lengths(5, 5, 5, 5), lengths(1, 19, 20, 21)
    assert share_beyond(LEAST_LIMIT, sources, targets) == 0.25
    assert share_beyond(LengthLimit(1.5, 0), lengths(5, 5), lengths(7, 8)) == 0.5
