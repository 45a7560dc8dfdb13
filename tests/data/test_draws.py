"""The pairs of a step, as recorded from commit 6ab5e60.

A resumed run must draw what an uninterrupted run draws, so these numbers must never change.
"""

from __future__ import annotations

import numpy as np
import pytest

from translator.data.batch_schedule import BatchSchedule
from translator.data.concatenation import Concatenation
from translator.data.mixture import Part, mix


@pytest.mark.parametrize(
    ("parts", "first", "later"),
    [
        (
            [],
            [
                [22, 0, 7, 3, 10, 19, 18, 15],
                [4, 9, 13, 16, 12, 1, 6, 21],
                [23, 14, 11, 20],
            ],
            [15, 13, 9, 12, 16, 22, 21, 6],
        ),
        (
            mix([6, 18], [1, 1], 1.0),
            [
                [16, 12, 3, 18, 13, 21, 0, 7],
                [4, 1, 0, 1, 19, 3, 22, 4],
                [2, 14, 17, 2],
            ],
            [4, 1, 10, 9, 1, 19, 3, 12],
        ),
    ],
    ids=["one corpus", "weighted corpora"],
)
def test_batches_hold_these_pairs(
    parts: list[Part], first: list[list[int]], later: list[int]
) -> None:
    plan = BatchSchedule(np.tile([3, 5, 9], 8), 40, 7, parts)
    assert [plan.rows(step).tolist() for step in range(3)] == first
    assert plan.rows(100).tolist() == later


def test_these_batches_are_joined() -> None:
    concatenation = Concatenation(rate=0.5, seed=7, max_length=60)
    assert [step for step in range(20) if concatenation.applies(step)] == [5, 7, 18]
