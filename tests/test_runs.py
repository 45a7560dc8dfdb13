"""One training process at a time locks a run; the next learns whether it was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from translator.errors import RunError
from translator.runs import RunDirectory

ROOT = Path(__file__).parents[1]
HOLDER = """
import sys
from pathlib import Path
from translator.runs import RunDirectory

with RunDirectory(Path(sys.argv[1])).locked() as was_killed:
    print(was_killed, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "run")
    run.create()
    return run


def test_getters_of_paths_create_nothing(run: RunDirectory) -> None:
    before = sorted(run.path.rglob("*"))
    (
        run.event_file(0.0),
        run.validation(1),
        run.incident(1, 1),
        run.export("x"),
        run.result("x", "y"),
    )
    assert sorted(run.path.rglob("*")) == before


def hold(run: RunDirectory) -> "subprocess.Popen[str]":
    """A process that holds the run until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run.path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "False\n"
    return process


def was_killed(run: RunDirectory) -> bool:
    with run.locked() as killed:
        return killed


def test_only_one_process_can_lock_a_run(run: RunDirectory) -> None:
    with hold(run) as process:
        for _ in range(2):  # refusing one changes nothing for the next
            with pytest.raises(RunError, match=r"run: another process is training this run\.$"):
                was_killed(run)
        process.communicate()
    assert not was_killed(run)


def test_only_a_killed_process_leaves_its_session_file(run: RunDirectory) -> None:
    with pytest.raises(ZeroDivisionError), run.locked():
        raise ZeroDivisionError
    assert not was_killed(run)
    with hold(run) as process:
        process.send_signal(signal.SIGKILL)
    assert was_killed(run)
    assert not was_killed(run)


def test_a_process_id_in_the_lock_file_counts_as_killed(run: RunDirectory) -> None:
    lock = run.path / ".lock"
    lock.write_text("4711\n")
    assert was_killed(run)
    assert not was_killed(run)
    lock.write_text("")
    assert not was_killed(run)


def test_the_message_names_a_lock_file_that_cannot_be_opened(run: RunDirectory) -> None:
    (run.path / ".lock").mkdir()
    with pytest.raises(RunError, match=r"\.lock: cannot lock this file: Is a directory\.$"):
        was_killed(run)
