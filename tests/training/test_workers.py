"""Two processes train a run to the same result as one, even if one of them is lost meanwhile.

Each is started through the command line, as a user would, with TF_CONFIG in its environment.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from test_rendezvous import free_ports
from test_resume import WITH_A_SIGNAL, Folder, assert_same_run

pytestmark = pytest.mark.slow

ONE_MORE_SHARD = {"accumulation_steps: 2": "accumulation_steps: 3"}
"""More shards than workers, and sometimes more than pairs in a batch, so shares are uneven."""

CHANGES = ONE_MORE_SHARD | {
    "max_steps: 120": "max_steps: 50",
    "tokens_per_step: 400": "tokens_per_step: 120",
    "validate_every: 30": "validate_every: 25",
}

LOGGING = """
import json, sys
from translator.cli.app import main
from translator.training.train_step import TrainStep

file, update = open(sys.argv.pop(1), "w"), TrainStep.update

def logged(self, shards, step, rate):
    result = update(self, shards, step, rate)
    if rate:  # not in the dry run
        print(json.dumps([result.loss, len(shards)]), file=file, flush=True)
    return result

TrainStep.update = logged
main()
"""
"""Writes the loss and the number of shards of every step into a file."""

IMPATIENT = """
from translator.cli.app import main
from translator.training.distributed import rendezvous
rendezvous.RENDEZVOUS_SECONDS = 1.0
main()
"""

ELSEWHERE = """
import sys
from translator.cli.app import main
sys.argv += ["--set", "data.folder=other"]
main()
"""

NOTHING_LOST = (
    "Nothing is lost up to the last checkpoint: "
    "the same command on all workers continues from it.\n"
)

SHORT_SILENCE = "12"
"""SILENCE_SECONDS with which a worker counts as lost sooner; for the programs of `signal_at`."""

NEVER = ("nowhere", 1, 0)
"""A place for `signal_at` that a command does not reach."""

LOST_SECONDS = 60.0
"""All workers end within this time when one of them, or the link between them, is lost."""


class Workers(Folder):
    """A working directory in which two processes train."""

    def __init__(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        super().__init__(path)
        config = path / "c.yaml"
        for old, new in CHANGES.items():
            assert old in config.read_text()
            config.write_text(config.read_text().replace(old, new))

    def start_both(
        self, chief: list[str], worker: list[str], **environment: str
    ) -> "list[subprocess.Popen[str]]":
        ports = free_ports(2)
        return [
            self.start_one(i, ports, *options, **environment)
            for i, options in enumerate((chief, worker))
        ]

    def start_one(
        self, index: int, ports: list[int], *options: str, **environment: str
    ) -> "subprocess.Popen[str]":
        addresses = [f"127.0.0.1:{port}" for port in ports]
        tf_config = describe(addresses, index)
        return self.start(*options or ("-m", "translator"), TF_CONFIG=tf_config, **environment)

    def train_both(
        self,
        chief: list[str] | None = None,
        worker: list[str] | None = None,
        **environment: str,
    ) -> list[tuple[int, str]]:
        """Exit codes and outputs of a session."""
        processes = self.start_both(chief or [], worker or [], **environment)
        outputs = [process.communicate(timeout=300)[0] for process in processes]
        return [(p.returncode, output) for p, output in zip(processes, outputs, strict=True)]


def describe(addresses: list[str], index: int) -> str:
    """TF_CONFIG of one worker."""
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


def await_stop(process: "subprocess.Popen[str]") -> None:
    """Wait until a process has received the SIGSTOP that it sends to itself."""
    deadline = time.monotonic() + 200
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def signal_at(place: str, count: int, number: int) -> list[str]:
    return ["-c", WITH_A_SIGNAL, place, str(count), str(number)]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Workers:
    folder = Workers(tmp_path_factory.mktemp("workers") / "two")
    chief, worker = folder.train_both(["-c", LOGGING, "losses"])
    assert (chief[0], worker[0]) == (0, 0), chief[1] + worker[1]
    assert "; 2 devices." in chief[1]
    assert worker[1].splitlines()[-1] == "Finished."
    assert len(worker[1].splitlines()) == 5  # no messages of TensorFlow's
    return folder


def losses(folder: Workers) -> list[list[float]]:
    return [json.loads(line) for line in (folder.path / "losses").read_text().splitlines()]


def test_two_workers_compute_the_same_losses_and_weights_as_one_process(
    unbroken: Workers, tmp_path: Path
) -> None:
    alone = Workers(tmp_path / "one")
    code, output = alone.train("-c", LOGGING, "losses")
    assert code == 0, output
    assert len(losses(alone)) == 50
    assert {shards for _, shards in losses(alone)} >= {1, 3}
    np.testing.assert_allclose(losses(unbroken), losses(alone), rtol=1e-5)
    ours, theirs = unbroken.last(), alone.last()
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], atol=1e-5, err_msg=name)
    assert unbroken.translations() == alone.translations()
    assert len(unbroken.metrics()) == len(alone.metrics())


def test_lost_and_stopped_workers_resume_to_the_same_bits(
    unbroken: Workers, tmp_path: Path
) -> None:
    folder = Workers(tmp_path / "broken")

    (code, output), (killed, _) = folder.train_both([], signal_at("step", 20, signal.SIGKILL))
    assert (code, killed) == (2, -signal.SIGKILL), output
    assert "Error: Worker 1 at 127.0.0.1:" in output.splitlines()[-1]
    assert output.endswith(f"has disconnected. {NOTHING_LOST}")
    assert "Traceback" not in output
    assert folder.run.checkpoints()[-1].name == "step-00000016.safetensors"

    chief, worker = folder.train_both([], signal_at("step", 12, signal.SIGTERM))
    for code, output in (chief, worker):
        assert code == 128 + signal.SIGTERM, output
        assert output.endswith("Stopped. The same command continues runs/c.\n")
    assert "Continuing runs/c after step 16." in chief[1]
    stopped_at = int(folder.run.checkpoints()[-1].stem.rpartition("-")[2])
    assert 28 <= stopped_at <= 30

    for code, output in folder.train_both():
        assert code == 0, output
    assert_same_run(folder, unbroken)


def test_workers_roll_back_together(unbroken: Workers, tmp_path: Path) -> None:
    both, alone = Workers(tmp_path / "both"), Workers(tmp_path / "alone")
    options = signal_at(*NEVER)
    for code, output in both.train_both(options, options, FAILS_AT="21"):
        assert code == 0, output
    code, output = alone.train(*options, FAILS_AT="21")
    assert code == 0, output
    assert "Training returns to step 16 " in output
    ours, theirs = both.last(), alone.last()
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], atol=1e-5, err_msg=name)
    assert any((array != unbroken.last()[name]).any() for name, array in ours.items())
    incidents = [json.loads(w.run.incident(21, 1).read_text()) for w in (both, alone)]
    norms, expected = (incident["gradient_norms"] for incident in incidents)
    assert norms == pytest.approx(expected, rel=1e-4)


def test_a_missing_worker_is_named(tmp_path: Path) -> None:
    folder = Workers(tmp_path / "c")
    ports = free_ports(2)
    chief, worker = (
        folder.start_one(index, [port, other], "-c", IMPATIENT)
        for index, port, other in ((0, *ports), (1, *free_ports(2)))
    )
    output = chief.communicate(timeout=100)[0]
    assert chief.returncode == 2
    assert output.splitlines()[-1].startswith(
        f"Error: Worker 1 at 127.0.0.1:{ports[1]} did not connect in 1 seconds. Start the same"
    )
    output = worker.communicate(timeout=100)[0]
    assert worker.returncode == 2
    assert "Error: Worker 0, the chief, at 127.0.0.1:" in output
    assert "could not be reached in 1 seconds (connection refused)" in output


def test_sigterm_ends_the_wait_for_a_missing_worker(tmp_path: Path) -> None:
    process = Workers(tmp_path / "c").start_one(0, free_ports(2))
    assert process.stdout is not None
    assert "waiting for the others, at most 300 seconds" in process.stdout.readline()
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=100)[0]
    assert process.returncode == 128 + signal.SIGTERM, output
    assert output.endswith("Stopped before anything began.\n")


def test_a_worker_with_other_text_is_refused(tmp_path: Path) -> None:
    folder = Workers(tmp_path / "c")
    (folder.path / "other").mkdir()
    for path in folder.path.glob("*.tsv"):
        (folder.path / "other" / path.name).write_text("One\tEins\n" * 20)
    (chief, chief_output), (worker, output) = folder.train_both(worker=["-c", ELSEWHERE])
    assert (chief, worker) == (2, 2)
    reason = "runs/c: the training or validation text is not the one that this run began with."
    assert f"Error: {reason}" in output
    assert f"ended: {reason}" in chief_output.splitlines()[-1]


def test_a_frozen_worker_is_named(tmp_path: Path) -> None:
    options = signal_at(*NEVER), signal_at("step", 20, signal.SIGSTOP)
    chief, worker = Workers(tmp_path / "c").start_both(*options, SILENCE_SECONDS=SHORT_SILENCE)
    try:
        await_stop(worker)
        output = chief.communicate(timeout=LOST_SECONDS)[0]
    finally:
        worker.kill()
        worker.communicate()
    assert chief.returncode == 2, output
    assert "Error: Worker 1 at 127.0.0.1:" in output.splitlines()[-1]
    assert output.endswith(f"does not answer. {NOTHING_LOST}")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def link() -> Iterator[Sequence[str]]:
    """Names of two linked network namespaces, with addresses 10.77.0.1 and 10.77.0.2."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command ip")
    names = [f"translator-{os.getpid()}-{index}" for index in range(2)]
    try:
        for name in names:
            ip("netns", "add", name)
        pair = ("name", "veth", "netns", names[0], "type", "veth", "peer", "name", "veth")
        ip("link", "add", *pair, "netns", names[1])
        for index, name in enumerate(names):
            ip("-n", name, "address", "add", f"10.77.0.{index + 1}/24", "dev", "veth")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "veth", "up")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces cannot be made here: {error.stderr.strip()}")
    else:
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def test_if_a_link_goes_down_both_end_and_nothing_is_lost(
    link: Sequence[str], unbroken: Workers, tmp_path: Path
) -> None:
    folder = Workers(tmp_path / "c")
    addresses = ["10.77.0.1:12345", "10.77.0.2:12345"]

    def start(index: int, *options: str) -> "subprocess.Popen[str]":
        inside = ("ip", "netns", "exec", link[index])
        tf_config = describe(addresses, index)
        return folder.start(
            *options, before=inside, TF_CONFIG=tf_config, SILENCE_SECONDS=SHORT_SILENCE
        )

    processes = [
        start(0, *signal_at("step", 20, signal.SIGSTOP)),
        start(1, *signal_at(*NEVER)),
    ]
    await_stop(processes[0])
    ip("-n", link[0], "link", "set", "veth", "down")
    processes[0].send_signal(signal.SIGCONT)
    for process in processes:
        output = process.communicate(timeout=LOST_SECONDS)[0]
        assert process.returncode == 2, output
        assert "Traceback" not in output
        assert output.endswith(f"does not answer. {NOTHING_LOST}")
    assert folder.run.checkpoints()[-1].name == "step-00000016.safetensors"

    ip("-n", link[0], "link", "set", "veth", "up")
    for process in [start(index, "-m", "translator") for index in range(2)]:
        output = process.communicate(timeout=300)[0]
        assert process.returncode == 0, output
    assert_same_run(folder, unbroken)
