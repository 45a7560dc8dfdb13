"""Which processes train together, by TF_CONFIG and by Slurm."""

import json
from typing import Any, Literal

import pytest

from translator.errors import ConfigError
from translator.training.distributed.cluster import Cluster, find_cluster, split_address

SLURM = {
    "SLURM_JOB_ID": "16007",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_STEP_NODELIST": "gpu[1-2]",
    "SLURM_STEP_TASKS_PER_NODE": "2,1",
    "SLURM_PROCID": "2",
    "SLURMD_NODENAME": "gpu2",
}


def tf_config(cluster: Any, **task: Any) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


WORKERS = {"worker": ["a:1", "b:2"]}


def test_splits_addresses() -> None:
    assert split_address("host.example:80") == ("host.example", 80)
    assert split_address("[::1]:80") == ("::1", 80)


class TestTfConfig:
    def test_names_workers(self) -> None:
        environment = tf_config(WORKERS, type="worker", index=1)
        assert find_cluster("auto", environment) == Cluster(("a:1", "b:2"), 1)

    def test_with_a_chief_puts_it_first(self) -> None:
        jobs = {"worker": ["b:2", "c:3"], "chief": ["a:1"]}
        addresses = ("a:1", "b:2", "c:3")
        assert find_cluster("auto", tf_config(jobs, type="chief", index=0)) == Cluster(addresses, 0)
        assert find_cluster("auto", tf_config(jobs, type="worker", index=1)) == Cluster(
            addresses, 2
        )

    @pytest.mark.parametrize(
        "environment", [{}, {"TF_CONFIG": ""}, {"TF_CONFIG": "{}"}, tf_config({})]
    )
    def test_without_workers_is_no_cluster(self, environment: dict[str, str]) -> None:
        assert find_cluster("auto", environment) is None

    def test_with_one_worker_is_no_cluster(self) -> None:
        environment = tf_config({"worker": ["a:1"]}, type="worker", index=0)
        assert find_cluster("auto", environment) is None

    @pytest.mark.parametrize("distribution", ["single", "mirrored"])
    def test_is_not_read_when_one_process_trains(
        self, distribution: Literal["single", "mirrored"]
    ) -> None:
        assert find_cluster(distribution, {"TF_CONFIG": "{"}) is None

    @pytest.mark.parametrize(
        "environment, reason",
        [
            ({"TF_CONFIG": "{"}, "TF_CONFIG: Invalid JSON: EOF"),
            ({"TF_CONFIG": "[]"}, "TF_CONFIG: Input should be an object"),
            (tf_config([]), "TF_CONFIG: cluster: Input should be an object"),
            (tf_config({"worker": "a:1"}), "cluster.worker: Input should be a valid array"),
            (tf_config({"worker": [1]}), "cluster.worker.0: Input should be a valid string"),
            (tf_config(WORKERS), "the task must be in the cluster"),
            ({"TF_CONFIG": json.dumps({"cluster": WORKERS})}, "the task must be in the cluster"),
            (tf_config(WORKERS, type="worker", index=2), "the task must be in the cluster"),
            (tf_config(WORKERS, type="worker", index=-1), "task.index: Input should be greater"),
            (
                tf_config(WORKERS, type="worker", index="0"),
                "task.index: Input should be a valid int",
            ),
            (tf_config(WORKERS, type="chief", index=0), "the task must be in the cluster"),
            (
                tf_config({**WORKERS, "ps": ["c:3"]}),
                "ps.[key]: Input should be 'chief' or 'worker'",
            ),
            (tf_config({"worker": ["a:1", "b"]}, type="worker", index=0), "'b' is not HOST:PORT"),
            (
                tf_config({"worker": ["a:1", "a:1"]}, type="worker", index=0),
                "two workers have the same address",
            ),
        ],
    )
    def test_that_is_wrong_is_refused(self, environment: dict[str, str], reason: str) -> None:
        with pytest.raises(ConfigError) as caught:
            find_cluster("auto", environment)
        assert reason in str(caught.value)
        assert 'It must look like {"cluster": {"worker": ["HOST:PORT", …]}' in str(caught.value)


class TestSlurm:
    def test_names_the_tasks_of_a_step(self) -> None:
        assert find_cluster("auto", SLURM) == Cluster(("gpu1:12007", "gpu1:12008", "gpu2:12007"), 2)

    @pytest.mark.parametrize(
        "hosts, expanded",
        [
            ("a,b", ["a", "b"]),
            ("node[01-03,7],login", ["node01", "node02", "node03", "node7", "login"]),
            ("n[8-11]", ["n8", "n9", "n10", "n11"]),
            ("r[1-2]n[1,3]-ib", ["r1n1-ib", "r1n3-ib", "r2n1-ib", "r2n3-ib"]),
        ],
    )
    def test_expands_abbreviated_hosts(self, hosts: str, expanded: list[str]) -> None:
        step = {
            "SLURM_STEP_NUM_TASKS": str(len(expanded)),
            "SLURM_STEP_NODELIST": hosts,
            "SLURM_STEP_TASKS_PER_NODE": f"1(x{len(expanded)})",
            "SLURM_PROCID": "1",
            "SLURMD_NODENAME": expanded[1],
        }
        assert find_cluster("auto", SLURM | step) == Cluster(
            tuple(f"{host}:12007" for host in expanded), 1
        )

    def test_expands_abbreviated_counts_of_tasks(self) -> None:
        step = {
            "SLURM_STEP_NUM_TASKS": "5",
            "SLURM_STEP_NODELIST": "a,b,c",
            "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
            "SLURMD_NODENAME": "b",
        }
        cluster = find_cluster("workers", SLURM | step)
        assert cluster is not None
        assert [address[0] for address in cluster.addresses] == ["a", "a", "b", "b", "c"]

    def test_without_srun_is_no_cluster(self) -> None:
        job = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"}
        assert find_cluster("auto", job) is None

    def test_is_not_read_if_there_is_a_tf_config(self) -> None:
        environment = SLURM | tf_config(WORKERS, type="worker", index=0)
        assert find_cluster("auto", environment) == Cluster(("a:1", "b:2"), 0)

    def test_with_cyclic_distribution_of_tasks_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="--distribution=block"):
            find_cluster("auto", SLURM | {"SLURM_PROCID": "1"})

    def test_with_a_missing_variable_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"'SLURM_STEP_NODELIST'.*Set TF_CONFIG"):
            find_cluster("auto", {k: v for k, v in SLURM.items() if k != "SLURM_STEP_NODELIST"})


def test_distribution_workers_without_any_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^training\.distribution is workers, but neither"):
        find_cluster("workers", {})
