"""The process in which a teacher translates for `distill`.

It computes as `translate` does: with constant weights and one batch on each processor. TensorFlow
cannot change that later, so training happens in another process, which thereby also gets the
teacher's memory back. A stop is quick, because the process can simply be killed.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from pydantic import BaseModel

from translator.corpora.lines import is_blank, read_lines
from translator.decoding.engine import Engine, Translation
from translator.environment import freeze_weights, num_threads
from translator.errors import RunError, UserError
from translator.files import naming
from translator.runs import is_export
from translator.workflows.open_run import open_run
from translator.workflows.resumable_output import ResumableOutput, is_half_done
from translator.workflows.teacher import find_teacher_change

Report: TypeAlias = Callable[[int | str | None], None]
"""Sends the parent a number of lines done, None at the end of a task, or an error."""


class Task(BaseModel):
    """A file to translate."""

    source: Path
    tag: str | None
    """Tag that is put in front of every line."""
    output: Path
    """One line per input line: 1 if truncated or else 0, a tab, the translation."""


class TranslationRequest(BaseModel):
    """All that the process needs to know."""

    teacher: Path
    engine: str | None
    decided_by: dict[str, Any]
    """What determines the translations, as the run recorded it."""
    tasks: list[Task]


@contextmanager
def translating(request: TranslationRequest) -> Iterator[Iterator[int | None]]:
    """Start the process, if there is something to translate, and end it with the context.

    The context yields an iterator over its reports: the number of lines done, again and again, and
    None at the end of each task. It raises RunError if the process fails.
    """
    if not request.tasks:
        yield iter(())
        return
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,  # Ctrl-C at the terminal reaches only the parent
    )
    assert process.stdin is not None
    try:
        with suppress(BrokenPipeError):  # a process that ends early is reported below
            process.stdin.write(request.model_dump_json() + "\n")
            process.stdin.flush()
        yield _reports(process)
    finally:
        process.kill()  # no effect on a process that has ended
        process.communicate()


def _reports(process: subprocess.Popen[str]) -> Iterator[int | None]:
    assert process.stdout is not None
    for line in process.stdout:
        report = json.loads(line)
        if isinstance(report, str):
            raise RunError(report)
        yield report
    code = process.wait()
    what = f"ended with code {code}; its error is above"
    if code < 0:
        what = f"was ended by signal {-code}. The same command continues"
    if code == -signal.SIGKILL:
        what = "was killed, as Linux does when memory is short. The same command continues"
    raise RunError(f"The process of the teacher {what}.")


def serve() -> None:
    """Run the process: read a request from standard input, write reports to standard output."""
    reports = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # keeps what libraries print out of the reports

    def report(value: int | str | None) -> None:
        reports.write(json.dumps(value) + "\n")

    request = TranslationRequest.model_validate_json(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger("translator").addHandler(logging.NullHandler())  # the parent has warned
    try:
        engine = _load(request)
        for task in request.tasks:
            _translate(engine, task, request.decided_by, report)
            report(None)
    except UserError as error:
        report(str(error))
    except OSError as error:
        report(f"{error.filename or request.teacher}: {error.strerror or error}.")
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)  # a normal exit would wait for the threads that search


def _load(request: TranslationRequest) -> Engine:
    freeze_weights(True)
    if request.engine == "savedmodel" or (
        request.engine is None and not is_export(request.teacher)
    ):
        from translator.processors import share_processors

        share_processors(num_threads())
    opened = open_run(request.teacher, engine=request.engine)
    if find_teacher_change(request.decided_by, opened.decided_by()):
        raise RunError(f"{request.teacher} changed while it was being opened. Try again.")
    return opened.engine()


def _translate(engine: Engine, task: Task, decided_by: dict[str, Any], report: Report) -> None:
    output = ResumableOutput(task.source, task.output, decided_by)
    lines = output.start(read_lines(task.source), resume=is_half_done(task.output))
    results = engine.stream(lines if task.tag is None else _tagged(lines, task.tag))
    report(output.lines_done)
    with naming(task.output):
        output.write(results, _write, report)


def _tagged(lines: Iterable[str], tag: str) -> Iterator[str]:
    for line in lines:
        yield line if is_blank(line) else f"{tag} {line}"


def _write(file: TextIO, _: int, translations: list[Translation]) -> None:
    best = translations[0]
    print(int(best.at_limit or best.num_unread > 0), best.text, sep="\t", file=file)


def _end_with_parent() -> None:
    """Exit when the parent has ended, which closes standard input even if it was killed."""
    with suppress(OSError):
        sys.stdin.read()
    os._exit(1)
