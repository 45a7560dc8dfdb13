"""Pairs are joined two by two."""

import numpy as np
import pytest

from translator.data.concatenation import Concatenation, Rows, joined

TAG, OTHER_TAG = 4, 5


def lists(rows: Rows) -> list[list[int]]:
    return [list(map(int, row)) for row in rows]


def join(sources: Rows, targets: Rows, max_length: int = 99) -> tuple[list[list[int]], ...]:
    return tuple(map(lists, joined(sources, targets, max_length, [TAG, OTHER_TAG])))


def test_two_pairs_become_one_and_a_last_odd_one_stays() -> None:
    assert join([[11], [12, 13], [14]], [[21, 22], [23], [24]]) == (
        [[11, 12, 13], [14]],
        [[21, 22, 23], [24]],
    )


def test_rows_may_be_arrays_of_a_store() -> None:
    sources = [np.array([11, 12], np.int32), np.array([13], np.int32)]
    assert join(sources, [np.array([21], np.int32), np.array([22], np.int32)]) == (
        [[11, 12, 13]],
        [[21, 22]],
    )


@pytest.mark.parametrize(("max_length", "num_rows"), [(5, 1), (4, 2)])
def test_nothing_is_joined_if_the_longest_does_not_fit_twice(
    max_length: int, num_rows: int
) -> None:
    longer, shorter = [[11, 12], [13]], [[21], [22]]
    assert len(join(longer, shorter, max_length)[0]) == num_rows
    assert len(join(shorter, longer, max_length)[0]) == num_rows


def test_padding_grows_by_at_most_one_piece() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        rows = [[1] * n for n in random.integers(20, 33, 30)]
        sources, _ = joined(rows, rows, 64)
        assert len(sources) * max(map(len, sources)) <= 30 * max(map(len, rows))


def test_joined_source_keeps_one_tag() -> None:
    assert join([[TAG, 11], [TAG, 12]], [[21], [22]]) == ([[TAG, 11, 12]], [[21, 22]])


@pytest.mark.parametrize("second", [[OTHER_TAG, 12], [12]])
def test_pairs_with_different_tags_are_not_joined(second: list[int]) -> None:
    sources, targets = [[TAG, 11], second], [[21], [22]]
    assert join(sources, targets) == (sources, targets)


def test_seed_chooses_a_share_of_the_steps() -> None:
    def chosen(seed: int, rate: float) -> list[bool]:
        return [Concatenation(rate, seed, 99).applies(step) for step in range(2000)]

    assert 0.27 < sum(chosen(1, 0.3)) / 2000 < 0.33
    assert chosen(1, 0.3) == chosen(1, 0.3) != chosen(2, 0.3)
    assert all(chosen(1, 1.0))
