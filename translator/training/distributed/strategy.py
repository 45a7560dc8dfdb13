"""The devices that learn together, by tf.distribute: one, the GPUs of a machine, or many machines'.

A replica is a device with a copy of all variables. What is special about having several of them is
in here: which of a step's shards each one computes, and how their sums become one.
"""

from __future__ import annotations

import faulthandler
import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any, Literal, TypeVar

import tensorflow as tf

from translator.config.schema import TrainingConfig
from translator.environment import num_threads
from translator.training.distributed.cluster import Cluster
from translator.training.distributed.worker_group import WorkerGroup

MOST_AT_ONCE = 8
"""Shards; each takes memory for gradients of all weights."""
JOIN_SECONDS = 60
"""How long TensorFlow may take to join those who have met."""

Item = TypeVar("Item")


def local_strategy(
    distribution: Literal["auto", "single", "mirrored", "workers"],
) -> tf.distribute.Strategy:
    """The strategy of a process that trains alone: all GPUs, or TensorFlow's default for one."""
    num_gpus = len(tf.config.list_physical_devices("GPU"))
    if distribution == "mirrored" or (distribution == "auto" and num_gpus > 1):
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def shards_at_once(config: TrainingConfig, alone: bool) -> int:
    """Shards that a replica computes at the same time: on a machine without GPU, whose process
    trains alone, one for each processor, as most products of narrow models are too small for two.

    One, too, where `accumulation_steps` is to save memory.
    """
    one_by_one = config.accumulation_steps != 1 or config.distribution == "mirrored"
    if not alone or one_by_one or tf.config.list_physical_devices("GPU"):
        return 1
    return min(MOST_AT_ONCE, num_threads())


def join(cluster: Cluster) -> tf.distribute.Strategy:
    """The strategy of one of several workers. No TensorFlow operation may have run before."""
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": cluster.addresses}),
        task_type="worker",
        task_id=cluster.index,
        rpc_layer="grpc",
    )
    with _undisturbed():
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Inside, signals wait, for TensorFlow puts a handler that swallows SIGTERM in place of ours.

    After JOIN_SECONDS the process exits with code 1, if one who was at the meeting went before
    joining: TensorFlow would wait for it for ever, and leave Python no moment to say so.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(JOIN_SECONDS, exit=True, file=nowhere)
        signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, handlers)


@contextmanager
def losses_told(group: WorkerGroup) -> Iterator[None]:
    """Inside, what TensorFlow raises when another worker is gone becomes a sentence."""
    try:
        yield
    except _LOSSES as error:
        found = re.search(r"aborted by: (.*)", error.message)
        raise group.loss(found[1] if found else error.message.partition("\n")[0]) from None


_LOSSES = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


class Replicas:
    """Those of the strategy in whose scope this is made."""

    def __init__(self) -> None:
        self._strategy = tf.distribute.get_strategy()
        self.count = self._strategy.num_replicas_in_sync
        resolver = self._strategy.cluster_resolver
        num_workers = len(resolver.cluster_spec().as_dict()["worker"]) if resolver else 1
        num_local = self.count // num_workers
        first = num_local * (resolver.task_id if resolver else 0)
        self.local = range(first, first + num_local)
        """The numbers of those in this process."""

    def run(self, function: Callable[..., Any], *arguments: Sequence[Any]) -> list[Any]:
        """Call a function on each local replica, and give what each returned.

        An argument is a sequence with a value for each. To be traced by tf.function.
        """
        distributed = [
            self._strategy.experimental_distribute_values_from_function(
                lambda context, values=values: values[
                    context.replica_id_in_sync_group - self.local[0]
                ]
            )
            for values in arguments
        ]
        results = self._strategy.run(function, distributed)
        return list(self._strategy.experimental_local_results(results))

    def sum(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """The sums over all replicas of all workers. To be called on each."""
        if self.count == 1:
            return tensors
        return tf.distribute.get_replica_context().all_reduce("SUM", tensors)


def deal(
    items: Sequence[Item], num_places: int, local: range, nothing: Item
) -> list[tuple[Item, ...]]:
    """Deal out items in order to places; what the local ones get in every round, an item each.

    One that gets fewer than another gets `nothing` in the end. There is always a round.
    """
    cuts = [len(items) * i // num_places for i in range(num_places + 1)]
    shares = [items[cuts[place] : cuts[place + 1]] for place in local]
    return list(zip_longest(*shares, fillvalue=nothing)) or [(nothing,) * len(local)]
