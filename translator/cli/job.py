"""A long translation from file to file, which can be taken up where it was killed.

Beside its output lies a file that tells how much of it is done, and what decides the rest. It goes
when all is done.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, TextIO

from translator.data.lines import file_errors
from translator.errors import ConfigError, RunError
from translator.runs import read_json


class Job:
    """What is done of a translation, in input lines and in bytes of its output."""

    def __init__(self, source: Path, output: Path, decided_by: dict[str, Any]) -> None:
        """decided_by: all but the input that makes the output what it is."""
        self.output = output
        self.lines_done = self.bytes_done = 0
        self.num_lines: int | None = None
        """Of the input, if it is plain text."""
        self._decided_by = decided_by
        self._path = output.with_name(output.name + ".resume")
        digest, num_lines = hashlib.sha256(), 0
        with file_errors(source), source.open("rb") as file:
            end = b"\n"
            while block := file.read(2**20):
                digest.update(block)
                num_lines += block.count(b"\n")
                end = block[-1:]
        if source.suffix.lower() != ".gz":
            self.num_lines = num_lines + (end != b"\n")
        decided_by["input"] = digest.hexdigest()

    def resume(self) -> None:
        """Take up what is done. Raises ConfigError if there is no such translation, or another."""
        if not self._path.exists():
            if self.output.exists():
                raise ConfigError(
                    f"{self.output} is there and not half done; without --resume it is made anew."
                )
            return
        state: dict[str, Any] = read_json(self._path)
        try:
            self.lines_done, self.bytes_done = int(state["lines"]), int(state["bytes"])
            before = dict(state["decided_by"])
        except (KeyError, TypeError, ValueError):
            raise RunError(f"{self._path}: this file is damaged; begin without --resume.") from None
        for key, value in self._decided_by.items():
            if before.get(key) != value:
                raise ConfigError(
                    f"{self.output} was begun with another {key}; go on with that one, or begin "
                    "anew without --resume."
                )
        if not self.output.exists() or self.output.stat().st_size < self.bytes_done:
            raise RunError(f"{self.output} is not what was written; begin anew without --resume.")
        os.truncate(self.output, self.bytes_done)

    def save(self, file: TextIO, lines_done: int) -> None:
        """So many lines are in the file: put that on the disk."""
        file.flush()
        os.fsync(file.fileno())
        state = {
            "lines": lines_done,
            "bytes": file.buffer.tell(),
            "decided_by": self._decided_by,
        }
        unfinished = self._path.with_name(self._path.name + ".unfinished")
        unfinished.write_text(json.dumps(state), encoding="utf-8")
        unfinished.replace(self._path)

    def finish(self) -> None:
        self._path.unlink(missing_ok=True)
