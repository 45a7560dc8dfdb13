"""Processes that take turns at the same work, so that a busy machine slows all of them equally."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any


class Process:
    """A child process that answers lines: a script, started with --serve and some arguments."""

    def __init__(self, script: str | Path, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(script), "--serve", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, *words: object) -> Any:
        """Send a line and wait for the answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(*words, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{' '.join(map(str, self._process.args))} ended without an answer")  # type: ignore[arg-type]
        return json.loads(answer)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def announce(what: str, number: int = 1, total: int = 1, end: float | None = None) -> None:
    """Print to stderr what starts now, with its number if there are several.

    end: when all will be done, on the clock of `time.monotonic`.
    """
    count = f" ({number} of {total})" if total > 1 else ""
    left = "" if end is None else f"; about {time_left(end - time.monotonic())} left"
    print(f"{time.strftime('%H:%M:%S')}  {what}{count} …{left}", file=sys.stderr, flush=True)


def time_left(seconds: float) -> str:
    """An estimate in words: seconds below a minute and a half, otherwise minutes."""
    return f"{max(0.0, seconds):.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the ratios round by round, which a busy round changes little."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def answer_lines(make: Callable[[], Callable[[str], Any]]) -> None:
    """Run the child: call `make` once, and its result on every line of standard input.

    Each answer is written to standard output as a line of JSON.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # keeps what libraries print out of the answers
    answer = make()
    for line in sys.stdin:
        answers.write(json.dumps(answer(line)) + "\n")
