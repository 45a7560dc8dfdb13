"""What a run was made with: a resume gives the same bits only if this is the same."""

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
"""Environment variables that change how numbers are summed."""

DEVICES = Path("/dev")

LONGEST_START = 300.0
"""Seconds after which TensorFlow is not waited for any longer."""


def num_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def freeze_weights(frozen: bool) -> None:
    """Tell TensorFlow whether the weights of all models of this process stay what they are.

    If they do, oneDNN lays them out once, as its products like it best; in bfloat16 a product with
    bias and ReLU then takes half the time, and in float32 it may be summed otherwise. It is asked
    when the first of these is computed.
    """
    os.environ["TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"] = str(int(frozen))


def begin_threads(library: str) -> None:
    """Note that a library starts its threads in this process.

    Raises RunError if it did so in another, which this one was forked from: a fork copies no
    threads, and the library would wait for them for ever.
    """
    began = _threads_began.setdefault(library, os.getpid())
    if began != os.getpid():
        raise RunError(
            f"This process was forked from process {began}, in which {library} had begun to work, "
            "so it cannot work here. Load the model only after the fork (gunicorn: without "
            "--preload), or use processes that are not forked (multiprocessing: the start method "
            "'spawn')."
        )


_threads_began: dict[str, int] = {}


def has_gpu() -> bool:
    """Whether there is a GPU that TensorFlow can use."""
    return bool(gpu_names())


@cache
def gpu_names() -> tuple[str, ...]:
    """The GPUs that TensorFlow can use.

    It is asked only where there may be one, and in a process of its own: TensorFlow takes half a
    GiB that whatever comes next should not have to share.
    """
    if not _gpu_devices("nvidia[0-9]*", "nvhost-gpu", "dxg", "kfd"):
        return ()
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _LIST_GPUS, json.dumps(sys.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LONGEST_START,
            check=True,
        )
    except subprocess.SubprocessError:
        return ()
    return tuple(json.loads(asked.stdout.splitlines()[-1]))


_LIST_GPUS = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
import tensorflow as tf
gpus = tf.config.list_physical_devices("GPU")
details = map(tf.config.experimental.get_device_details, gpus)
print(json.dumps([each.get("device_name", "unknown") for each in details]))
"""


def has_nvidia_gpu() -> bool:
    """Whether there is an NVIDIA GPU that nobody hides, usable or not."""
    return bool(_gpu_devices("nvidia[0-9]*"))


def _gpu_devices(*patterns: str) -> list[Path]:
    """Devices of these names, unless all are hidden. (dxg is any GPU of Windows, in its Linux;
    kfd is AMD's, nvhost-gpu that of NVIDIA's Jetson.)"""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1", "NoDevFiles"):
        return []
    return [device for pattern in patterns for device in DEVICES.glob(pattern)]


def has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether a GPU or the processor has instructions for it, or might, as far as can be told.

    Without them single products can be faster in bfloat16, as they read less, and a whole step is
    slower.
    """
    with suppress(OSError):
        if flags := re.search(r"^flags\s*:(.*)$", cpuinfo.read_text(), re.M):
            return has_gpu() or not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags[1].split())
    return True


def available_memory() -> int | None:
    """Bytes that this process could still take without driving the machine, or its container, out
    of memory; None where that cannot be told."""
    found = []
    with suppress(OSError, ValueError):
        found.append(_kibibytes("/proc/meminfo", "MemAvailable"))
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            group = path.lstrip("/")
            if number == "0":
                found += _room(Path("/sys/fs/cgroup"), group, "memory.max", "memory.current")
            elif controllers == "memory":
                root = Path("/sys/fs/cgroup/memory")
                found += _room(root, group, "memory.limit_in_bytes", "memory.usage_in_bytes")
    return min(found, default=None)


def _room(root: Path, group: str, limit: str, usage: str) -> list[int]:
    """What a control group leaves, its cache of files counted as free; none without a limit.

    Inside a container, its own group often stands at the root.
    """
    for folder in (root / group, root):
        with suppress(OSError, ValueError):  # "max" where there is no limit
            left = int((folder / limit).read_text()) - int((folder / usage).read_text())
            cache = re.search(r"^inactive_file (\d+)", (folder / "memory.stat").read_text(), re.M)
            return [max(0, left + (int(cache[1]) if cache else 0))]
    return []


def resident_memory() -> int:
    """Bytes of memory that this process holds."""
    return _kibibytes("/proc/self/status", "VmRSS")


def peak_memory() -> int:
    """The most that it has held, since `forget_peak_memory` if that could be done."""
    return _kibibytes("/proc/self/status", "VmHWM")


def forget_peak_memory() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _kibibytes(path: str, name: str) -> int:
    found = re.search(rf"^{name}: *([0-9]+) kB", Path(path).read_text().expandtabs(1), re.M)
    if found is None:
        raise ValueError(f"{path} has no {name}")
    return 1024 * int(found[1])


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
    write_whole(path, json.dumps(current(), indent=2) + "\n")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
