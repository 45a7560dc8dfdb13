"""A dry run before the first step: how long the largest batch takes, and whether it fits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from translator.data.batches import Batch
from translator.environment import (
    available_memory,
    peak_memory,
    reset_peak_memory,
    resident_memory,
)
from translator.errors import DoesNotFit
from translator.training.train_step import TrainStep

SPARE = 0.1
"""Share of the available memory that is left to other processes."""


class DryRun(NamedTuple):
    """What a step on the largest batch costs."""

    seconds: float
    tokens_per_second: float
    """Target pieces, padding not counted."""
    peak_bytes: int
    """Peak memory of the process or, with GPUs, of the fullest GPU."""


def dry_run(
    train_step: TrainStep, cut: Callable[[int], list[Batch]], may_cut: bool = True
) -> DryRun:
    """Take a step on a batch at a learning rate of zero, and undo it.

    cut: `cut(n)` is the batch in n shards.

    First come steps on an eighth and a quarter of every shard (more if there are few pairs). They
    trace the step, allocate its memory, and show how memory grows. Raises DoesNotFit, with
    `may_cut`, if the whole batch would exceed main memory; OutOfMemory if a device runs out of
    memory. After either, the train step cannot be used.
    """
    gpus = tf.config.list_logical_devices("GPU")
    num_shards = train_step.num_shards
    sizes, peaks = [], []
    num_pairs = len(cut(1)[0].labels)
    divisor = next((each for each in (8, 4) if each * num_shards <= num_pairs), 2)
    for part_of_shard in (divisor, divisor // 2):
        part = cut(part_of_shard * num_shards)[:num_shards]
        reset_peak_memory()
        train_step.update(part, 1, 0.0)
        sizes.append(max(shard.labels.size for shard in part))
        peaks.append(peak_memory())
    if may_cut and not gpus and sizes[0] < sizes[1]:
        _check_main_memory(sizes, peaks, num_shards, cut)
    shards = cut(num_shards)
    started = time.perf_counter()
    train_step.update(shards, 1, 0.0)
    seconds = time.perf_counter() - started
    train_step.reset_moments()
    num_tokens = sum(shard.num_target_tokens for shard in shards)
    on_gpus = [tf.config.experimental.get_memory_info(gpu.name)["peak"] for gpu in gpus]
    return DryRun(seconds, num_tokens / seconds, max(on_gpus, default=peak_memory()))


def _check_main_memory(
    sizes: list[int], peaks: list[int], num_shards: int, cut: Callable[[int], list[Batch]]
) -> None:
    """Extrapolate peak memory from two sizes of a shard. Raises DoesNotFit if it is too much."""
    available = available_memory()
    if available is None:
        return
    limit = resident_memory() + (1 - SPARE) * available
    bytes_per_piece = (peaks[1] - peaks[0]) / (sizes[1] - sizes[0])

    def needed(num_shards: int) -> int:
        largest = max(shard.labels.size for shard in cut(num_shards))
        return int(peaks[1] + bytes_per_piece * (largest - sizes[1]))

    fitting, num_pairs = num_shards, len(cut(1)[0].labels)
    while needed(fitting) > limit and fitting < num_pairs:
        fitting *= 2
    if fitting > num_shards:
        raise DoesNotFit(fitting, needed(num_shards), int(limit))
