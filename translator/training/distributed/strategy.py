"""The devices that train together: one, the GPUs of a machine, or those of several workers.

A replica is a device with a copy of all variables. This module decides which shards of a step each
replica computes, and sums over replicas. tf.distribute does the rest.
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
from translator.processors import has_gpu
from translator.training.distributed.cluster import Cluster
from translator.training.distributed.worker_group import WorkerGroup

MAX_PARALLEL_SHARDS = 8
"""Each shard takes memory for the gradients of all weights."""

JOIN_SECONDS = 60
"""How long TensorFlow may take to join the workers after the rendezvous."""

Item = TypeVar("Item")


def local_strategy(
    distribution: Literal["auto", "single", "mirrored", "workers"],
) -> tf.distribute.Strategy:
    """Return the strategy of a process that trains alone: all its GPUs, or one device."""
    num_gpus = len(tf.config.list_physical_devices("GPU"))
    if distribution == "mirrored" or (distribution == "auto" and num_gpus > 1):
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def shards_at_once(config: TrainingConfig, alone: bool) -> int:
    """Return how many shards a replica computes at the same time.

    A process that trains alone without a GPU computes one shard on each processor, because most
    matrix products of a narrow model are too small for two. In all other cases, and if
    `accumulation_steps` saves memory, it is one.
    """
    one_by_one = config.accumulation_steps != 1 or config.distribution == "mirrored"
    if not alone or one_by_one or has_gpu():
        return 1
    return min(MAX_PARALLEL_SHARDS, num_threads())


def join(cluster: Cluster) -> tf.distribute.Strategy:
    """Return the strategy of one of several workers, before any TensorFlow operation has run."""
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": cluster.addresses}),
        task_type="worker",
        task_id=cluster.index,
        rpc_layer="grpc",
    )
    with _signals_blocked():
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Inside, signals wait, because TensorFlow replaces our SIGTERM handler by one that ignores it.

    If a worker is lost between the rendezvous and this, the process exits with code 1 after
    JOIN_SECONDS. TensorFlow would wait for an hour, whatever cluster_register_timeout_in_ms is, and
    Python cannot run meanwhile.
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
def lost_workers_named(group: WorkerGroup) -> Iterator[None]:
    """Inside, the errors that TensorFlow raises for a lost worker become UserErrors."""
    try:
        yield
    except (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
    ) as error:
        match = re.search(r"aborted by: (.*)", error.message)
        reason = match[1] if match else error.message.partition("\n")[0]
        raise group.lost_worker_error(reason) from None


class Replicas:
    """The replicas of the strategy in whose scope this is created."""

    def __init__(self) -> None:
        self._strategy = tf.distribute.get_strategy()
        self.count = self._strategy.num_replicas_in_sync
        resolver = self._strategy.cluster_resolver
        num_workers = len(resolver.cluster_spec().as_dict()["worker"]) if resolver else 1
        num_local = self.count // num_workers
        first = num_local * (resolver.task_id if resolver else 0)
        self.local = range(first, first + num_local)
        """The numbers of the replicas in this process."""

    def run(self, function: Callable[..., Any], *arguments: Sequence[Any]) -> Any:
        """Call a function on every local replica, and return the result of the first one.

        arguments: sequences with one item for each local replica.
        """
        spread = [
            self._strategy.experimental_distribute_values_from_function(
                lambda context, each=each: each[context.replica_id_in_sync_group - self.local[0]]
            )
            for each in arguments
        ]
        return self._strategy.experimental_local_results(self._strategy.run(function, spread))[0]

    def sum(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Return the sums over all replicas of all workers. Every replica must call this."""
        if self.count == 1:
            return tensors
        return tf.distribute.get_replica_context().all_reduce("SUM", tensors)


def deal(
    items: Sequence[Item], num_slots: int, local: range, filler: Item
) -> list[tuple[Item, ...]]:
    """Split items among slots, in order; return rounds with one item for each local slot.

    A slot with fewer items than another gets `filler` in the last round. There is always a round.
    """
    cuts = [len(items) * i // num_slots for i in range(num_slots + 1)]
    shares = [items[cuts[slot] : cuts[slot + 1]] for slot in local]
    return list(zip_longest(*shares, fillvalue=filler)) or [(filler,) * len(local)]
