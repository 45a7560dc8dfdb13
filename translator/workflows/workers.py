"""Several processes that train one run: how they come together, and what those do that follow.

The chief settles the run; the others wait for that, open what it has settled in the run's folder,
which all of them see, and take its steps with it. They write nothing into the run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
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
from translator.training.distributed.rendezvous import rendezvous, said_limit
from translator.training.distributed.worker_group import WorkerGroup
from translator.training.interruption import Interruption
from translator.workflows.preparation import say, settled

if TYPE_CHECKING:
    import tensorflow as tf

    from translator.workflows.training_session import TrainingSession

FOLDER_SECONDS = 90.0
"""How long a worker waits for the chief's files to appear: a network's file system may be late."""


@contextmanager
def join_workers(config: Config) -> Iterator[tuple[WorkerGroup, tf.distribute.Strategy | None]]:
    """All processes that train with this one, and the strategy that joins them; for one alone,
    itself and none. Raises UserError, on all of them, if they do not come together."""
    cluster = find_cluster(config.training.distribution, os.environ)
    if cluster is None:
        yield WorkerGroup(), None
        return
    import tensorflow as tf

    from translator.training.distributed.strategy import JOIN_SECONDS, join, losses_told

    name = f"Worker {cluster.index} of {len(cluster.addresses)}"
    name += ", the chief" if cluster.index == 0 else ""
    say(f"{name}: waiting for the others, at most {said_limit()} …")
    num_gpus = len(tf.config.list_physical_devices("GPU"))
    with rendezvous(cluster, _facts(config, cluster, num_gpus)) as group, losses_told(group):
        say(f"All workers are here; joining them, or giving up in {JOIN_SECONDS} seconds …")
        yield group, join(cluster)


def follow(
    config: Config,
    run: RunDirectory,
    group: WorkerGroup,
    strategy: tf.distribute.Strategy | None,
    interruption: Interruption,
) -> None:
    """Train with the chief until it ends. Raises UserError; Stopped when all were stopped."""
    from translator.training import loop
    from translator.workflows.training_session import TrainingSession

    step = group.hear()["settled"]
    checkpoint = run.checkpoint(step)
    _await(run.config)
    prepared = settled(config, run)
    state = None
    if step:
        _await(checkpoint)
        state, _ = load_arrays(checkpoint)
    group.tell(ready=True)
    group.hear()
    session = TrainingSession(prepared, strategy)
    session.take_up(run, step, state)
    say(f"Training {run.path} with the chief, which shows how it goes.")
    with interruption.deferred():
        loop.follow(
            session.learner,
            group.orders(interruption),
            session.batches,
            partial(_back, run, session),
        )
    say("Finished.")


def _back(run: RunDirectory, session: TrainingSession, step: int) -> None:
    state = load_arrays(run.checkpoint(step))[0] if step else None
    session.return_to(run, step, state)


def _facts(config: Config, cluster: Cluster, num_gpus: int) -> dict[str, Any]:
    """In what all workers must be alike; texts and checkpoints are compared later."""
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
                f"{path}: the chief has written it, but this worker does not see it. All workers "
                "must see the run's folder, on a file system that they share."
            )
        time.sleep(0.2)
