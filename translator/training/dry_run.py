"""A dry run before the first step: how long the largest batch takes, and whether it fits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from translator.data.batches import Batch
from translator.environment import (
    available_memory,
    forget_peak_memory,
    peak_memory,
    resident_memory,
)
from translator.errors import DoesNotFit
from translator.training.train_step import TrainStep

SPARE = 0.1
"""Share of the available memory that is left to others."""


class DryRun(NamedTuple):
    """What a step on a batch takes."""

    seconds: float
    tokens_per_second: float
    """Target pieces, without padding."""
    peak_bytes: int
    """The most that the process held meanwhile or, with GPUs, the fullest of them."""


def dry_run(learner: TrainStep, cut: Callable[[int], list[Batch]], may_cut: bool = True) -> DryRun:
    """A step on a batch, and the learner as new again; `cut` gives the batch in so many shards.

    Before it, steps on an eighth and a quarter of every shard, or more where the pairs are few, do
    what is done only once, and tell how memory grows. Raises DoesNotFit, if `may_cut`, when the
    whole would take more main memory than there is; OutOfMemory when a device has said so. The
    learner is then good for nothing.
    """
    gpus = tf.config.list_logical_devices("GPU")
    num_shards = learner.num_shards
    sizes, peaks = [], []
    num_pairs = len(cut(1)[0].labels)
    divisor = next((each for each in (8, 4) if each * num_shards <= num_pairs), 2)
    for part_of_shard in (divisor, divisor // 2):
        part = cut(part_of_shard * num_shards)[:num_shards]
        forget_peak_memory()
        learner.update(part, 1, 0.0)
        sizes.append(max(shard.labels.size for shard in part))
        peaks.append(peak_memory())
    if may_cut and not gpus and sizes[0] < sizes[1]:
        _check_main_memory(sizes, peaks, num_shards, cut)
    shards = cut(num_shards)
    started = time.perf_counter()
    learner.update(shards, 1, 0.0)
    seconds = time.perf_counter() - started
    learner.forget()
    num_tokens = sum(shard.num_target_tokens for shard in shards)
    on_gpus = [tf.config.experimental.get_memory_info(gpu.name)["peak"] for gpu in gpus]
    return DryRun(seconds, num_tokens / seconds, max(on_gpus, default=peak_memory()))


def _check_main_memory(
    sizes: list[int], peaks: list[int], num_shards: int, cut: Callable[[int], list[Batch]]
) -> None:
    """Raise DoesNotFit if the growth from one size of a shard to another, drawn on, is too much."""
    available = available_memory()
    if available is None:
        return
    limit = resident_memory() + (1 - SPARE) * available
    a_piece = (peaks[1] - peaks[0]) / (sizes[1] - sizes[0])

    def needed(num_shards: int) -> int:
        largest = max(shard.labels.size for shard in cut(num_shards))
        return int(peaks[1] + a_piece * (largest - sizes[1]))

    fitting, num_pairs = num_shards, len(cut(1)[0].labels)
    while needed(fitting) > limit and fitting < num_pairs:
        fitting *= 2
    if fitting > num_shards:
        raise DoesNotFit(fitting, needed(num_shards), int(limit))
