"""What a command computes on, as a user is told."""

from __future__ import annotations

import sys

from translator.config.schema import TrainingConfig
from translator.environment import gpu_names, has_nvidia_gpu, num_threads


def describe_device(config: TrainingConfig) -> None:
    """Say what training runs on."""
    names = gpu_names()[: 1 if config.distribution == "single" else None]
    if names:
        device = f"{len(names)} GPU{'s' if len(names) > 1 else ''}: {', '.join(names)}"
    else:
        count = num_threads()
        device = f"the CPU, {count} thread{'s' if count > 1 else ''}"
    print(f"Training on {device}.", file=sys.stderr, flush=True)
    warn_of_unusable_gpu(bool(names))


def warn_of_unusable_gpu(is_used: bool) -> None:
    """Warn if this machine has a GPU of NVIDIA's and TensorFlow uses none."""
    if has_nvidia_gpu() and not is_used:
        print(
            "Warning: this machine has an NVIDIA GPU, but TensorFlow cannot use it. Install "
            "TensorFlow with CUDA (pip install 'translator-trainer[gpu]'), and check the driver "
            "with nvidia-smi.",
            file=sys.stderr,
            flush=True,
        )
