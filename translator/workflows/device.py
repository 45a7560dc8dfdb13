"""Messages about the device that a command computes on."""

from __future__ import annotations

import logging

from translator.config.schema import TrainingConfig
from translator.environment import gpu_names, has_nvidia_gpu, num_threads

log = logging.getLogger(__name__)


def log_device(config: TrainingConfig) -> None:
    """Log what training runs on."""
    names = gpu_names()[: 1 if config.distribution == "single" else None]
    if names:
        device = f"{len(names)} GPU{'s' if len(names) > 1 else ''}: {', '.join(names)}"
    else:
        count = num_threads()
        device = f"the CPU, {count} thread{'s' if count > 1 else ''}"
    log.info(f"Training on {device}.")
    warn_of_unusable_gpu(bool(names))


def warn_of_unusable_gpu(is_used: bool) -> None:
    """Warn if this machine has an NVIDIA GPU but TensorFlow uses none."""
    if has_nvidia_gpu() and not is_used:
        log.warning(
            "This machine has an NVIDIA GPU, but TensorFlow cannot use it. Install TensorFlow with "
            "CUDA (pip install '.[gpu]' in the checkout), and check the driver with nvidia-smi."
        )
