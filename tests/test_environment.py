"""How much memory there is, and how much a process has."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from translator import environment
from translator.config.schema import TrainingConfig
from translator.environment import (
    available_memory,
    forget_peak_memory,
    gpu_names,
    has_bfloat16,
    has_gpu,
    peak_memory,
    resident_memory,
)
from translator.workflows.device import log_device

MIB = 2**20
NOT_ASKED = "raise AssertionError"
TWO_GPUS = """print('["A100", "A100"]')"""
NO_GPU = "print('warming up'); print('[]')"
WARNING = (
    "This machine has an NVIDIA GPU, but TensorFlow cannot use it. Install TensorFlow "
    "with CUDA (pip install 'translator-trainer[gpu]'), and check the driver with nvidia-smi.\n"
)


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


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What stands in for /dev."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(environment, "DEVICES", tmp_path)
    monkeypatch.setattr(environment, "num_threads", lambda: 2)
    monkeypatch.setattr("translator.workflows.device.num_threads", lambda: 2)
    gpu_names.cache_clear()
    yield tmp_path
    gpu_names.cache_clear()


@pytest.mark.parametrize(
    ("device", "hidden", "answer", "distribution", "said"),
    [
        (None, None, NOT_ASKED, "auto", "Training on the CPU, 2 threads.\n"),
        ("nvidiactl", None, NOT_ASKED, "auto", "Training on the CPU, 2 threads.\n"),
        ("nvidia0", None, TWO_GPUS, "auto", "Training on 2 GPUs: A100, A100.\n"),
        ("nvidia0", None, TWO_GPUS, "single", "Training on 1 GPU: A100.\n"),
        ("nvidia0", None, NO_GPU, "auto", f"Training on the CPU, 2 threads.\n{WARNING}"),
        ("nvidia0", None, NOT_ASKED, "auto", f"Training on the CPU, 2 threads.\n{WARNING}"),
        ("nvidia0", "-1", TWO_GPUS, "auto", "Training on the CPU, 2 threads.\n"),
        ("nvidia0", "0,1", TWO_GPUS, "auto", "Training on 2 GPUs: A100, A100.\n"),
        ("dxg", None, TWO_GPUS, "auto", "Training on 2 GPUs: A100, A100.\n"),
        ("dxg", None, NO_GPU, "auto", "Training on the CPU, 2 threads.\n"),
    ],
)
def test_the_device_is_the_one_that_tensorflow_can_use(
    devices: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    device: str | None,
    hidden: str | None,
    answer: str,
    distribution: Literal["auto", "single"],
    said: str,
) -> None:
    if device is not None:
        (devices / device).touch()
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setattr(environment, "_LIST_GPUS", answer)
    caplog.set_level("INFO", logger="translator")
    log_device(TrainingConfig(distribution=distribution, max_steps=1))
    assert "".join(f"{message}\n" for message in caplog.messages) == said
    assert has_gpu() == ("GPU: " in said or "GPUs: " in said)


@pytest.mark.slow
def test_tensorflow_is_asked_in_a_process_of_its_own(devices: Path) -> None:
    import tensorflow as tf

    (devices / "nvidia0").touch()
    assert len(gpu_names()) == len(tf.config.list_physical_devices("GPU"))


FORK = """
import os
from translator.environment import begin_threads
from translator.errors import RunError

def begins(library):
    child = os.fork()
    if child == 0:
        try:
            begin_threads(library)
        except RunError as error:
            print(error, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0

begin_threads("A")
begin_threads("A")
assert not begins("A")
assert begins("B")
begin_threads("B")
"""


def test_a_library_that_began_before_a_fork_is_refused_after_it() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("This process was forked from process ")
    assert "in which A had begun to work, so it cannot work here. Load the model only after" in (
        done.stdout
    )
