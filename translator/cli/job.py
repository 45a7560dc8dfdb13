"""A long translation from file to file, which can be taken up where it was killed.

Beside its output lies a file that tells how much of it is done, and what decides the rest. It goes
when all is done.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from translator.data.lines import file_errors
from translator.digest import BLOCK
from translator.errors import ConfigError, RunError


def is_half_done(output: Path) -> bool:
    """Whether a translation that was stopped can be taken up."""
    return _state_of(output).exists()


class Job:
    """What is done of a translation, in input lines and in bytes of its output."""

    def __init__(self, source: Path, output: Path, decided_by: dict[str, Any]) -> None:
        """decided_by: all but the input that makes the output what it is."""
        self.output = output
        self.lines_done = self.bytes_done = 0
        self.num_lines: int | None = None
        """Of the input, if it is plain text."""
        self._decided_by = decided_by
        self._written = hashlib.sha256()
        self._path = _state_of(output)
        digest, num_lines = hashlib.sha256(), 0
        with file_errors(source), source.open("rb") as file:
            end = b"\n"
            while block := file.read(BLOCK):
                digest.update(block)
                num_lines += block.count(b"\n")
                end = block[-1:]
        if source.suffix.lower() != ".gz":
            self.num_lines = num_lines + (end != b"\n")
        decided_by["input"] = digest.hexdigest()

    def begin(self, resume: bool) -> None:
        """Find out what is done. Raises ConfigError if there is nothing to go on with, or it is
        another translation, or one would be lost; RunError if it is damaged."""
        if not self._path.exists():
            if resume and self.output.exists():
                raise ConfigError(
                    f"{self.output} is there without {self._path}, so it is done, or too little of "
                    "it is to go on with; without --resume it is made anew."
                )
            return
        try:
            state = json.loads(self._path.read_text(encoding="utf-8"))
            lines, size, digest = int(state["lines"]), int(state["bytes"]), state["sha256"]
            before = dict(state["decided_by"])
        except (OSError, ValueError, KeyError, TypeError):
            raise RunError(
                f"{self._path}: this file is damaged; delete it to begin anew."
            ) from None
        if not resume:
            raise ConfigError(
                f"{self.output} is half done, {lines:,} lines; go on with --resume, or delete "
                f"{self._path} to begin anew."
            )
        for key, value in self._decided_by.items():
            if before.get(key) != value:
                raise ConfigError(
                    f"{self.output} was begun with another {key}; go on with that one, or delete "
                    f"{self._path} to begin anew."
                )
        self._read_on(size)
        if (self.bytes_done, self._written.hexdigest()) != (size, digest):
            raise RunError(
                f"{self.output} is not what was written; delete {self._path} to begin anew."
            )
        self.lines_done = lines

    @contextmanager
    def opened(self) -> Iterator[TextIO]:
        """The output, to be written on. Raises ConfigError if another process does so."""
        with self.output.open("a", encoding="utf-8", newline="\n") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(f"{self.output}: another process is writing it.") from None
            file.truncate(self.bytes_done)
            yield file
        self._path.unlink(missing_ok=True)

    def save(self, file: TextIO, lines_done: int) -> None:
        """So many lines are in the file: put that on the disk."""
        file.flush()
        os.fsync(file.fileno())
        self._read_on()
        state = {
            "lines": lines_done,
            "bytes": self.bytes_done,
            "sha256": self._written.hexdigest(),
            "decided_by": self._decided_by,
        }
        unfinished = self._path.with_name(self._path.name + ".unfinished")
        with unfinished.open("w", encoding="utf-8") as record:
            json.dump(state, record)
            record.flush()
            os.fsync(record.fileno())
        unfinished.replace(self._path)

    def _read_on(self, end: int | None = None) -> None:
        """Take in what the output holds beyond what is known to be done, at most until `end`."""
        if not self.output.exists():
            return
        with self.output.open("rb") as file:
            file.seek(self.bytes_done)
            while block := file.read(BLOCK if end is None else min(BLOCK, end - self.bytes_done)):
                self._written.update(block)
                self.bytes_done += len(block)


def _state_of(output: Path) -> Path:
    """The file that tells how much of an output is done."""
    return output.with_name(output.name + ".resume")
