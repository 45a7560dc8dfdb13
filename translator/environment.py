"""What a run was made with: a resume gives the same bits only if this is the same."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("tensorflow", "keras", "numpy", "sentencepiece")

SWITCHES = (
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"),
    *("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA"),
)
"""Environment variables that change how numbers are summed."""


def num_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def current() -> dict[str, str]:
    """Packages, Python, processor type and thread count."""
    return {
        **{name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": _processor(),
        "threads": str(num_threads()),
        **{name: os.environ.get(name, "not set") for name in SWITCHES},
    }


def changes(recorded: dict[str, str]) -> list[str]:
    """What is not as it was recorded, each as a phrase."""
    now = current()
    return [
        f"{name} {recorded[name]} → {now.get(name)}"
        for name in recorded
        if recorded[name] != now.get(name)
    ]


def record(path: Path) -> None:
    path.write_text(json.dumps(current(), indent=2) + "\n")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
