"""The environment of this process: packages, processor, threads, GPUs and memory.

A resumed run gives the same bits only if `current` returns what it returned when the run began.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

from translator.errors import RunError
from translator.files import write_whole

PACKAGES = ("tensorflow", "keras", "numpy", "sentencepiece")

SWITCHES = (
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"),
    *("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"),
)
"""Environment variables that change the order of summation."""

DEVICES = Path("/dev")

GPU_QUERY_TIMEOUT = 300.0
"""Seconds to wait for TensorFlow to list GPUs."""


def num_threads() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0))


def freeze_weights(frozen: bool) -> None:
    """Set whether the weights of all models in this process are constant.

    If they are, oneDNN rearranges each matrix once. In bfloat16 this halves the time of a product
    with bias and ReLU; in float32 it may change the order of summation. TensorFlow reads the
    variable when it computes the first such product, and never again.
    """
    os.environ["TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"] = str(int(frozen))


def begin_threads(library: str) -> None:
    """Record that a library starts its threads in this process.

    Raises RunError if it did so in the process that this one was forked from. A fork copies no
    threads, so the library would hang.
    """
    owner = _thread_owners.setdefault(library, os.getpid())
    if owner != os.getpid():
        raise RunError(
            f"This process was forked from process {owner} after {library} had started there, so "
            f"{library} cannot run here. Load the model after the fork (gunicorn: without "
            "--preload), or start processes without forking (multiprocessing: start method "
            "'spawn')."
        )


_thread_owners: dict[str, int] = {}
"""Process that started the threads of each library."""


def has_gpu() -> bool:
    """Whether TensorFlow can use a GPU. Another process finds out, so that this one need not import
    TensorFlow; once it has, `processors.has_gpu` is quicker."""
    return bool(gpu_names())


@cache
def gpu_names() -> tuple[str, ...]:
    """Names of the GPUs that TensorFlow can use.

    If the machine may have one, a separate process imports TensorFlow to list them. This process
    then need not spend half a GiB on TensorFlow.
    """
    if not _gpu_devices("nvidia[0-9]*", "nvhost-gpu", "dxg", "kfd"):
        return ()
    try:
        process = subprocess.run(
            [sys.executable, "-c", _LIST_GPUS, json.dumps(sys.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=GPU_QUERY_TIMEOUT,
            check=True,
        )
    except subprocess.SubprocessError:
        return ()
    return tuple(json.loads(process.stdout.splitlines()[-1]))


_LIST_GPUS = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
import tensorflow as tf
gpus = tf.config.list_physical_devices("GPU")
details = map(tf.config.experimental.get_device_details, gpus)
print(json.dumps([each.get("device_name", "unknown") for each in details]))
"""


def has_nvidia_gpu() -> bool:
    """Whether the machine has an NVIDIA GPU that is not hidden, usable or not."""
    return bool(_gpu_devices("nvidia[0-9]*"))


def _gpu_devices(*patterns: str) -> list[Path]:
    """Devices that match these patterns; none if CUDA_VISIBLE_DEVICES hides all.

    dxg is a GPU of Windows as WSL shows it, kfd one by AMD, nvhost-gpu that of NVIDIA's Jetson.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1", "NoDevFiles"):
        return []
    return [device for pattern in patterns for device in DEVICES.glob(pattern)]


def has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether bfloat16 is fast: with a GPU, or a processor that has instructions for it.

    True if the processor's flags are unknown. Without such instructions, a training step is slower
    in bfloat16 than in float32.
    """
    with suppress(OSError):
        if flags := re.search(r"^flags\s*:(.*)$", cpuinfo.read_text(), re.M):
            return has_gpu() or not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags[1].split())
    return True


def available_memory() -> int | None:
    """Bytes that this process can still allocate in its machine or container; None if unknown."""
    limits = []
    with suppress(OSError, ValueError):
        limits.append(_kibibytes("/proc/meminfo", "MemAvailable"))
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            group = path.lstrip("/")
            if number == "0":
                limits += _free_in_group(
                    Path("/sys/fs/cgroup"), group, "memory.max", "memory.current"
                )
            elif controllers == "memory":
                root = Path("/sys/fs/cgroup/memory")
                limits += _free_in_group(
                    root, group, "memory.limit_in_bytes", "memory.usage_in_bytes"
                )
    return min(limits, default=None)


def _free_in_group(root: Path, group: str, limit: str, usage: str) -> list[int]:
    """Bytes that a control group leaves free, its file cache included; empty without a limit.

    Inside a container, its own group is often mounted at the root.
    """
    for folder in (root / group, root):
        with suppress(OSError, ValueError):  # "max" means no limit
            free = int((folder / limit).read_text()) - int((folder / usage).read_text())
            cache = re.search(r"^inactive_file (\d+)", (folder / "memory.stat").read_text(), re.M)
            return [max(0, free + (int(cache[1]) if cache else 0))]
    return []


def resident_memory() -> int:
    """Bytes of memory that this process uses."""
    return _kibibytes("/proc/self/status", "VmRSS")


def peak_memory() -> int:
    """Largest `resident_memory` so far, or since `reset_peak_memory` if the system supports it."""
    return _kibibytes("/proc/self/status", "VmHWM")


def reset_peak_memory() -> None:
    """Make `peak_memory` start from now, if the system supports it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _kibibytes(path: str, name: str) -> int:
    """A value of a file under /proc, in bytes. Raises ValueError if the file lacks it."""
    match = re.search(rf"^{name}: *([0-9]+) kB", Path(path).read_text().expandtabs(1), re.M)
    if match is None:
        raise ValueError(f"{path} has no {name}")
    return 1024 * int(match[1])


def current() -> dict[str, str]:
    """Versions, processor, number of threads and relevant environment variables."""
    return {
        **{name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": _processor(),
        "threads": str(num_threads()),
        **{name: os.environ.get(name, "not set") for name in SWITCHES},
    }


def changes(recorded: dict[str, str]) -> list[str]:
    """Differences from a recorded environment, such as "threads 4 → 2"."""
    now = current()
    return [
        f"{name} {recorded[name]} → {now.get(name)}"
        for name in recorded
        if recorded[name] != now.get(name)
    ]


def record(path: Path) -> None:
    """Write the current environment as JSON."""
    write_whole(path, json.dumps(current(), indent=2) + "\n")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
