"""Environment: GPUs, bfloat16, memory, and libraries that do not survive a fork."""

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
    gpu_names,
    has_bfloat16,
    has_gpu,
    peak_memory,
    reset_peak_memory,
    resident_memory,
)
from translator.workflows.device import log_device

MIB = 2**20
NOT_ASKED = "raise AssertionError"
TWO_GPUS = """print('["A100", "A100"]')"""
NO_GPU = "print('warming up'); print('[]')"
WARNING = (
    "This machine has an NVIDIA GPU, but TensorFlow cannot use it. Install TensorFlow "
    "with CUDA (pip install '.[gpu]' in the checkout), and check the driver with nvidia-smi.\n"
)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="it is for these processors")
@pytest.mark.parametrize("given", [{}, {"TF_ENABLE_ONEDNN_OPTS": "0"}])
def test_onednn_is_on_unless_the_user_turns_it_off(given: dict[str, str]) -> None:
    code = "import os, translator; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    environ = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    process = subprocess.run(
        [sys.executable, "-c", code], env=environ | given, stdout=subprocess.PIPE
    )
    assert process.stdout.decode().strip() == given.get("TF_ENABLE_ONEDNN_OPTS", "1")


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("flags\t\t: fpu avx2 fma\n", False),
        ("flags\t\t: fpu avx512_bf16 fma\n", True),
        ("flags\t\t: amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd\n", True),  # no x86 flags: unknown
    ],
)
def test_flags_of_the_processor_decide_whether_it_has_bfloat16(
    cpuinfo: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "has_gpu", lambda: False)
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert has_bfloat16(tmp_path / "cpuinfo") == expected
    assert has_bfloat16(tmp_path / "missing")


def test_peak_memory_stays_until_it_is_reset() -> None:
    block = np.ones(100 * MIB, np.uint8)
    full = resident_memory()  # The kernel updates its counts late, so the bounds have some slack.
    assert full > 100 * MIB
    assert peak_memory() > full - MIB
    del block
    assert resident_memory() < full - 90 * MIB
    assert peak_memory() > full - MIB
    reset_peak_memory()
    assert peak_memory() < full - 90 * MIB


@pytest.mark.parametrize(
    ("limit", "usage", "expected"),
    [("1000", "700", [300 + 50]), ("1000", "2000", [0]), ("max", "700", [])],
)
def test_free_memory_in_a_group_is_limit_minus_usage_plus_file_cache(
    tmp_path: Path, limit: str, usage: str, expected: list[int]
) -> None:
    files = {
        "memory.max": limit,
        "memory.current": usage,
        "memory.stat": "file 90\ninactive_file 50",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    found = environment._free_in_group(
        tmp_path, "not/seen/from/inside", "memory.max", "memory.current"
    )
    assert found == expected


def test_some_memory_is_available() -> None:
    available = available_memory()
    assert available is not None and available > MIB


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in place of /dev."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(environment, "DEVICES", tmp_path)
    monkeypatch.setattr(environment, "num_threads", lambda: 2)
    monkeypatch.setattr("translator.workflows.device.num_threads", lambda: 2)
    gpu_names.cache_clear()
    yield tmp_path
    gpu_names.cache_clear()


@pytest.mark.parametrize(
    ("device", "visible", "gpu_query", "distribution", "messages"),
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
def test_training_uses_the_device_that_tensorflow_can_use(
    devices: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    device: str | None,
    visible: str | None,
    gpu_query: str,
    distribution: Literal["auto", "single"],
    messages: str,
) -> None:
    if device is not None:
        (devices / device).touch()
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(environment, "_LIST_GPUS", gpu_query)
    caplog.set_level("INFO", logger="translator")
    log_device(TrainingConfig(distribution=distribution, max_steps=1))
    assert "".join(f"{message}\n" for message in caplog.messages) == messages
    assert has_gpu() == ("GPU: " in messages or "GPUs: " in messages)


@pytest.mark.slow
def test_gpu_names_are_those_of_tensorflow(devices: Path) -> None:
    import tensorflow as tf

    (devices / "nvidia0").touch()
    assert len(gpu_names()) == len(tf.config.list_physical_devices("GPU"))


FORK = """
import os
from translator.environment import begin_threads
from translator.errors import RunError

def starts_in_fork(library):
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
assert not starts_in_fork("A")
assert starts_in_fork("B")
begin_threads("B")
"""


def test_a_library_that_started_before_a_fork_is_refused_in_the_child() -> None:
    process = subprocess.run([sys.executable, "-c", FORK], stdout=subprocess.PIPE, text=True)
    assert process.returncode == 0
    assert process.stdout.startswith("This process was forked from process ")
    assert (
        " after A had started there, so A cannot run here. Load the model after" in process.stdout
    )
