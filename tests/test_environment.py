"""How much memory there is, and how much a process has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from translator import environment
from translator.environment import (
    available_memory,
    forget_peak_memory,
    peak_memory,
    resident_memory,
)

MIB = 2**20


def test_a_peak_is_known_until_it_is_forgotten() -> None:
    block = np.ones(100 * MIB, np.uint8)
    full = resident_memory()  # The system counts a little late: hence the slack.
    assert full > 100 * MIB
    assert peak_memory() > full - MIB
    del block
    assert resident_memory() < full - 90 * MIB
    assert peak_memory() > full - MIB
    forget_peak_memory()
    assert peak_memory() < full - 90 * MIB


@pytest.mark.parametrize(
    ("limit", "usage", "room"),
    [("1000", "700", [300 + 50]), ("1000", "2000", [0]), ("max", "700", [])],
)
def test_a_group_leaves_what_its_limit_allows_and_its_cache_of_files(
    tmp_path: Path, limit: str, usage: str, room: list[int]
) -> None:
    files = {
        "memory.max": limit,
        "memory.current": usage,
        "memory.stat": "file 90\ninactive_file 50",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    found = environment._room(tmp_path, "not/seen/from/inside", "memory.max", "memory.current")
    assert found == room


def test_something_is_available() -> None:
    available = available_memory()
    assert available is not None and available > MIB
