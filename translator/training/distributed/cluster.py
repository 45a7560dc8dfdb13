"""Which processes train together, as the environment tells: TF_CONFIG or Slurm. No TensorFlow."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from translator.errors import ConfigError

FIRST_PORT, NUM_PORTS = 12_000, 16_000
"""Under Slurm, ports follow from the job's number, so that jobs on one machine do not meet."""

NO_CLUSTER = (
    "training.distribution is workers, but neither TF_CONFIG nor Slurm names several of them; set "
    "TF_CONFIG for each (the README shows how), or start them with srun."
)


@dataclass(frozen=True)
class Cluster:
    """The addresses of all workers, as HOST:PORT, and which one this process is."""

    addresses: tuple[str, ...]
    index: int


def find_cluster(
    distribution: Literal["auto", "single", "mirrored", "workers"], environment: Mapping[str, str]
) -> Cluster | None:
    """The workers that train together; None if this process trains alone.

    Raises ConfigError if the environment describes them wrongly, or not at all though
    training.distribution is workers.
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
        raise ConfigError(NO_CLUSTER)
    return None


def split_address(address: str) -> tuple[str, int]:
    """HOST:PORT (or [IPv6]:PORT) as host and port. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65_536):
        raise ValueError
    return host.strip("[]"), int(port)


def expand_hosts(hosts: str) -> list[str]:
    """Slurm's short form: node[01-03,7],login → node01, node02, node03, node7, login."""
    expanded = []
    for item in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", hosts):
        names = [""]
        for text, ranges in re.findall(r"([^\[]+)|\[([^\]]*)\]", item):
            parts = [text] if text else [n for r in ranges.split(",") for n in _numbers(r)]
            names = [name + part for name in names for part in parts]
        expanded += names
    return expanded


def _numbers(numbers: str) -> list[str]:
    """01-03 → 01, 02, 03; 7 → 7."""
    first, _, last = numbers.partition("-")
    return [f"{n:0{len(first)}}" for n in range(int(first), int(last or first) + 1)]


def _from_tf_config(text: str) -> Cluster | None:
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"TF_CONFIG is not JSON: {error}.") from None
    if not isinstance(config, dict) or not _names_addresses(jobs := config.get("cluster", {})):
        raise ConfigError('TF_CONFIG: "cluster" must be {"worker": ["HOST:PORT", …]}.')
    if not jobs:
        return None
    if others := jobs.keys() - {"chief", "worker"}:
        raise ConfigError(
            f"TF_CONFIG names a cluster with {', '.join(sorted(others))}; only workers (and a "
            "chief) train here."
        )
    chiefs, workers = jobs.get("chief", []), jobs.get("worker", [])
    task = config.get("task")
    kind, index = (task.get("type"), task.get("index")) if isinstance(task, dict) else (None, None)
    own = {"chief": chiefs, "worker": workers}.get(str(kind), [])
    if type(index) is not int or not 0 <= index < len(own):
        raise ConfigError(
            'TF_CONFIG: "task" must say which worker this is: {"type": "worker", "index": N}, N '
            f"from 0 to {max(0, len(workers) - 1)}."
        )
    addresses = (*chiefs, *workers)
    for address in addresses:
        try:
            split_address(address)
        except ValueError:
            raise ConfigError(f"TF_CONFIG: the address {address!r} must be HOST:PORT.") from None
    if len(set(addresses)) < len(addresses):
        raise ConfigError("TF_CONFIG gives the same address to two workers.")
    return Cluster(addresses, index + (len(chiefs) if kind == "worker" else 0))


def _names_addresses(jobs: Any) -> bool:
    return isinstance(jobs, dict) and all(
        isinstance(addresses, list) and all(isinstance(address, str) for address in addresses)
        for addresses in jobs.values()
    )


def _from_slurm(environment: Mapping[str, str]) -> Cluster | None:
    """The tasks of a step that srun started. A batch script is none, though the job has tasks."""
    try:
        if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) < 2:
            return None
        rank = int(environment["SLURM_PROCID"])
        hosts = expand_hosts(environment["SLURM_STEP_NODELIST"])
        counts = _task_counts(environment["SLURM_STEP_TASKS_PER_NODE"])
        first_port = FIRST_PORT + int(environment["SLURM_JOB_ID"]) % NUM_PORTS
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"Slurm's variables do not tell who trains together ({error}); set TF_CONFIG instead."
        ) from None
    addresses = tuple(
        f"{host}:{first_port + task}"
        for host, count in zip(hosts, counts, strict=False)
        for task in range(count)
    )
    own_host = environment.get("SLURMD_NODENAME")
    if rank >= len(addresses) or own_host not in (None, addresses[rank].rpartition(":")[0]):
        raise ConfigError(
            "Slurm's tasks are not laid out host by host; start them with "
            "`srun --distribution=block`, or set TF_CONFIG."
        )
    return Cluster(addresses, rank)


def _task_counts(counts: str) -> list[int]:
    """Slurm's short form: 2(x3),1 → 2, 2, 2, 1."""
    expanded = []
    for item in counts.split(","):
        count, _, repeated = item.partition("(x")
        expanded += [int(count)] * int(repeated.rstrip(")") or 1)
    return expanded
