"""The process of a teacher: its reports, its failures, and how it continues.

A stub replaces the teacher in the child, so that no test needs TensorFlow.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from translator.errors import RunError, Stopped
from translator.runs import RunDirectory
from translator.workflows import teacher_process
from translator.workflows.teacher_process import Task, TranslationRequest, translating
from translator.workflows.train import interruptible

pytestmark = pytest.mark.slow

LINES = ["one", "two", "three", "four", "stop", "six"]
CHILD = """\
import os, time
from pathlib import Path

from translator.decoding import engine
from translator.errors import RunError
from translator.workflows import teacher_process
from translator.workflows.teacher_process import serve


class Teacher:
    def decided_by(self):
        return {"weights": "abc"}

    def engine(self):
        return self

    def stream(self, lines):
        for line in lines:
            with open("read", "a") as file:
                file.write(f"{line}\\n")
            if line == "stop":
                exec(os.environ.get("AT_STOP", ""))
            yield [engine.Translation(line.upper(), 0.0)]


engine.LINES_AT_ONCE = 2
teacher_process.open_run = lambda *_, **__: Teacher()
"""


@pytest.fixture(autouse=True)
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that translates into capital letters, and executes AT_STOP before the line "stop"."""
    (tmp_path / "stub_of_teacher.py").write_text(CHILD)
    (tmp_path / "in").write_text("".join(f"{line}\n" for line in LINES))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(teacher_process, "__name__", "stub_of_teacher")


def request(weights: str = "abc", tag: str | None = None) -> TranslationRequest:
    tasks = [Task(source=Path("in"), tag=tag, output=Path("out"))]
    decided_by = {"weights": weights}
    return TranslationRequest(
        teacher=Path("t"), engine="ctranslate2", decided_by=decided_by, tasks=tasks
    )


def translate(request: TranslationRequest) -> list[int | None]:
    """The reports until the task is done."""
    with translating(request) as reports:
        return list(iter(lambda: next(reports), None))


def lines_of(name: str) -> list[str]:
    return Path(name).read_text().splitlines()


def test_what_it_reports_and_writes() -> None:
    assert translate(request()) == [0, 2, 4, 6]
    assert lines_of("out") == [f"0\t{line.upper()}" for line in LINES]


def test_it_reads_a_tag_before_every_line() -> None:
    translate(request(tag="<x>"))
    assert lines_of("read") == [f"<x> {line}" for line in LINES]


def test_what_libraries_print_is_no_report(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AT_STOP", r"os.write(1, b'noise\n'); print('more', flush=True)")
    assert translate(request()) == [0, 2, 4, 6]
    assert "noise\nmore\n" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("at_stop", "message"),
    [
        (
            "os.kill(os.getpid(), 9)",
            "The process of the teacher was killed, as Linux does when memory is short. The same "
            "command continues.",
        ),
        (
            "os.kill(os.getpid(), 11)",
            "The process of the teacher was ended by signal 11. The same command continues.",
        ),
        (
            "raise ValueError('broken')",
            "The process of the teacher ended with code 1; its error is above.",
        ),
        ("raise RunError('t: the weights are damaged.')", "t: the weights are damaged."),
        ("open('nowhere/x')", "nowhere/x: No such file or directory."),
    ],
)
def test_its_failure_is_one_sentence_and_it_continues_in_the_middle_of_a_text(
    at_stop: str, message: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AT_STOP", at_stop)
    with pytest.raises(RunError) as caught:
        translate(request())
    assert str(caught.value) == message
    assert ("ValueError: broken" in capfd.readouterr().err) == ("broken" in at_stop)
    assert lines_of("read") == LINES[:5]
    Path("read").unlink()
    monkeypatch.delenv("AT_STOP")
    assert translate(request()) == [4, 6]
    assert lines_of("read") == LINES[4:]
    assert lines_of("out") == [f"0\t{line.upper()}" for line in LINES]


def test_it_refuses_a_teacher_that_changed_meanwhile() -> None:
    with pytest.raises(RunError, match=r"^t changed while it was being opened\. Try again\.$"):
        translate(request(weights="other"))
    assert not Path("out").exists()


def test_a_signal_to_the_parent_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AT_STOP", "Path('pid').write_text(str(os.getpid())); time.sleep(600)")
    run = RunDirectory(Path("runs/s"))
    with pytest.raises(Stopped), interruptible(run), translating(request()) as reports:
        assert [next(reports) for _ in range(3)] == [0, 2, 4]
        deadline = time.monotonic() + 60
        while not (Path("pid").exists() and Path("pid").read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        next(reports)
    with pytest.raises(ProcessLookupError):
        os.kill(int(Path("pid").read_text()), 0)
