"""How much memory there is, and how much a process has."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from translator import environment
from translator.environment import (
    available_memory,
    forget_peak_memory,
    has_bfloat16,
    peak_memory,
    resident_memory,
)

MIB = 2**20


@pytest.mark.skipif(platform.machine() != "x86_64", reason="it is for these processors")
@pytest.mark.parametrize("given", [{}, {"TF_ENABLE_ONEDNN_OPTS": "0"}])
def test_the_faster_kernels_are_taken_unless_the_user_forbids_them(given: dict[str, str]) -> None:
    code = "import os, translator; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    others = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    said = subprocess.run([sys.executable, "-c", code], env=others | given, stdout=subprocess.PIPE)
    assert said.stdout.decode().strip() == given.get("TF_ENABLE_ONEDNN_OPTS", "1")


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("flags\t\t: fpu avx2 fma\n", False),
        ("flags\t\t: fpu avx512_bf16 fma\n", True),
        ("flags\t\t: amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd\n", True),  # Another kind of processor: measured.
    ],
)
def test_whether_a_processor_has_bfloat16_is_told_by_its_flags(
    cpuinfo: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "has_gpu", lambda: False)
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert has_bfloat16(tmp_path / "cpuinfo") == expected
    assert has_bfloat16(tmp_path / "missing")


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
