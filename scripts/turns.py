"""Processes that take turns at the same work, so that a busy machine slows all of them alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Process:
    """A process of a script, started with --serve and some arguments, that answers lines."""

    def __init__(self, script: str | Path, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(script), "--serve", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, *words: object) -> Any:
        """Send a line, and wait for the answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(*words, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{' '.join(map(str, self._process.args))} has ended")  # type: ignore[arg-type]
        return json.loads(answer)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def tell(what: str, number: int = 1, total: int = 1) -> None:
    """Say on stderr what is being measured now, and how much of how much that is."""
    count = f" ({number} of {total})" if total > 1 else ""
    print(f"{time.strftime('%H:%M:%S')}  {what}{count} …", file=sys.stderr, flush=True)


def answer_lines(make: Callable[[], Callable[[str], Any]]) -> None:
    """What such a process does: make what answers, then answer every line on standard input."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print does not mix with the answers
    answer = make()
    for line in sys.stdin:
        answers.write(json.dumps(answer(line)) + "\n")
