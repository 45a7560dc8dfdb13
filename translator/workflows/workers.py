"""Several processes that train one run.

The chief prepares the run. The other workers wait for it, open the run's folder on a shared file
system, and take the same steps. Only the chief writes into the run.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from translator import __version__
from translator.config import Config
from translator.config.resume_rules import PLACES
from translator.environment import PACKAGES
from translator.errors import RunError
from translator.models.weights import load_arrays
from translator.runs import RunDirectory
from translator.training.distributed.cluster import Cluster, find_cluster
from translator.training.distributed.rendezvous import RENDEZVOUS_SECONDS, rendezvous
from translator.training.distributed.worker_group import WorkerGroup
from translator.training.interruption import Interruption
from translator.workflows.resumed_run import read_prepared

if TYPE_CHECKING:
    import tensorflow as tf

log = logging.getLogger(__name__)

FOLDER_SECONDS = 90.0
"""How long a worker waits for the chief's files to appear on a network file system."""


@contextmanager
def join_workers(config: Config) -> Iterator[tuple[WorkerGroup, tf.distribute.Strategy | None]]:
    """Wait for all workers, and join their devices by a strategy.

    A process that trains alone gets a group of one and no strategy. Raises UserError on all workers
    if one is missing or does not fit.
    """
    cluster = find_cluster(config.training.distribution, os.environ)
    if cluster is None:
        yield WorkerGroup(), None
        return
    import tensorflow as tf

    from translator.training.distributed.strategy import JOIN_SECONDS, join, lost_workers_named

    name = f"Worker {cluster.index} of {len(cluster.addresses)}"
    name += ", the chief" if cluster.index == 0 else ""
    log.info(f"{name}: waiting for the others, at most {RENDEZVOUS_SECONDS:g} seconds …")
    num_gpus = len(tf.config.list_physical_devices("GPU"))
    with rendezvous(cluster, _facts(config, cluster, num_gpus)) as group, lost_workers_named(group):
        log.info(f"All workers have connected; joining them, at most {JOIN_SECONDS} seconds …")
        yield group, join(cluster)


def run_worker(
    config: Config,
    run: RunDirectory,
    group: WorkerGroup,
    strategy: tf.distribute.Strategy | None,
    interruption: Interruption,
) -> None:
    """Train with the chief until it has finished.

    Raises UserError if the chief fails or is lost, Stopped if a signal stopped all workers.
    """
    from translator.training.trainer import follow_chief
    from translator.workflows.training_session import TrainingSession

    step = group.broadcast()
    checkpoint = run.checkpoint(step)
    _await(run.config)
    prepared = read_prepared(config, run)
    arrays = None
    if step:
        _await(checkpoint)
        arrays, _ = load_arrays(checkpoint)
    group.barrier()
    session = TrainingSession(run, prepared, strategy)
    if arrays is not None:
        session.restore(step, arrays)
    log.info(f"Training {run.path} with the chief, which shows the progress.")
    with interruption.deferred():
        follow_chief(session, run, group.orders(interruption))
    log.info("Finished.")


def _facts(config: Config, cluster: Cluster, num_gpus: int) -> dict[str, Any]:
    """Return what must be equal on all workers. Texts and checkpoints are compared later."""
    return {
        "the list of workers": list(cluster.addresses),
        "the number of GPUs": num_gpus,
        "translator": __version__,
        **{name: version(name) for name in PACKAGES},
        **config.model_dump(mode="json", exclude={"data": PLACES}),
    }


def _await(path: Path) -> None:
    deadline = time.monotonic() + FOLDER_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise RunError(
                f"{path}: the chief has written this file, but this worker does not see it. The "
                "run's folder must be on a file system that all workers share."
            )
        time.sleep(0.2)
