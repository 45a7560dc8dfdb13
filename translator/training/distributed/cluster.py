"""The processes that train together, as TF_CONFIG or Slurm describes them. No TensorFlow.

TFConfigClusterResolver of tf.distribute does not validate what it reads. SlurmClusterResolver
orders hosts as text (n10 before n9), unlike Slurm's ranks, fails on machines without a GPU, and
uses the same ports for every job.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

from pydantic import BaseModel, NonNegativeInt, ValidationError

from translator.errors import ConfigError

FIRST_PORT, NUM_PORTS = 12_000, 16_000
"""Under Slurm, the first port follows from the job's number, so that jobs on one machine use
different ports."""

EXAMPLE = '{"cluster": {"worker": ["HOST:PORT", …]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """The addresses of all workers, as HOST:PORT, and the index of this process among them."""

    addresses: tuple[str, ...]
    index: int

    def name(self, index: int) -> str:
        """What messages call a worker."""
        return f"Worker {index}{'' if index else ', the chief,'} at {self.addresses[index]}"


def find_cluster(
    distribution: Literal["auto", "single", "mirrored", "workers"], environment: Mapping[str, str]
) -> Cluster | None:
    """Return the workers that train together, or None if this process trains alone.

    Raises ConfigError if the environment describes them wrongly, or if `distribution` is "workers"
    and the environment does not describe several.
    """
    if distribution in ("single", "mirrored"):
        return None
    if environment.get("TF_CONFIG"):
        cluster = _from_tf_config(environment["TF_CONFIG"])
    else:
        cluster = _from_slurm(environment)
    if cluster is not None and len(cluster.addresses) > 1:
        return cluster
    if distribution == "workers":
        raise ConfigError(
            "training.distribution is workers, but neither TF_CONFIG nor Slurm names several "
            f"workers. Set TF_CONFIG to {EXAMPLE} for each, or start them with srun."
        )
    return None


def split_address(address: str) -> tuple[str, int]:
    """Split HOST:PORT or [IPv6]:PORT into host and port. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65_536):
        raise ValueError
    return host.strip("[]"), int(port)


class _Task(BaseModel, strict=True):
    type: Literal["chief", "worker"] = "worker"
    index: NonNegativeInt | None = None


class _TfConfig(BaseModel, strict=True):
    cluster: dict[Literal["chief", "worker"], list[str]] = {}
    task: _Task = _Task()


def _from_tf_config(text: str) -> Cluster | None:
    try:
        config = _TfConfig.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise _invalid(f"{key}: {first['msg']}" if key else first["msg"]) from None
    chiefs, workers = config.cluster.get("chief", []), config.cluster.get("worker", [])
    addresses, task = (*chiefs, *workers), config.task
    if not addresses:
        return None
    for address in addresses:
        try:
            split_address(address)
        except ValueError:
            raise _invalid(f"the address {address!r} is not HOST:PORT") from None
    if len(set(addresses)) < len(addresses):
        raise _invalid("two workers have the same address")
    if task.index is None or task.index >= len(config.cluster.get(task.type, [])):
        raise _invalid("the task must be in the cluster, and its index counts from 0")
    return Cluster(addresses, task.index + (len(chiefs) if task.type == "worker" else 0))


def _invalid(reason: str) -> ConfigError:
    return ConfigError(f"TF_CONFIG: {reason}. It must look like {EXAMPLE}.")


def _from_slurm(environment: Mapping[str, str]) -> Cluster | None:
    """Read the tasks of a step that srun started. A batch script alone is not such a step."""
    try:
        if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) < 2:
            return None
        rank = int(environment["SLURM_PROCID"])
        hosts = _expand_hosts(environment["SLURM_STEP_NODELIST"])
        counts = _expand_counts(environment["SLURM_STEP_TASKS_PER_NODE"])
        first_port = FIRST_PORT + int(environment["SLURM_JOB_ID"]) % NUM_PORTS
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"Slurm's variables do not describe the workers ({error}). Set TF_CONFIG instead."
        ) from None
    addresses = tuple(
        f"{host}:{first_port + task}"
        for host, count in zip(hosts, counts, strict=False)
        for task in range(count)
    )
    own_host = environment.get("SLURMD_NODENAME")
    if rank >= len(addresses) or own_host not in (None, addresses[rank].rpartition(":")[0]):
        raise ConfigError(
            "Slurm did not number its tasks host by host. Start them with "
            "`srun --distribution=block`, or set TF_CONFIG."
        )
    return Cluster(addresses, rank)


def _expand_hosts(hosts: str) -> list[str]:
    """Expand Slurm's short form: node[01-03,7],login → node01, node02, node03, node7, login."""
    expanded = []
    for item in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", hosts):
        parts = re.findall(r"([^\[]+)|\[([^\]]*)\]", item)
        choices = [[text] if text else _expand_numbers(numbers) for text, numbers in parts]
        expanded += ["".join(chosen) for chosen in product(*choices)]
    return expanded


def _expand_numbers(numbers: str) -> list[str]:
    """Expand 01-03,7 → 01, 02, 03, 7."""
    return [
        f"{number:0{len(first)}}"
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", numbers)
        for number in range(int(first), int(last or first) + 1)
    ]


def _expand_counts(counts: str) -> list[int]:
    """Expand 2(x3),1 → 2, 2, 2, 1."""
    return [
        int(count)
        for count, repeated in re.findall(r"(\d+)(?:\(x(\d+)\))?", counts)
        for _ in range(int(repeated or 1))
    ]
