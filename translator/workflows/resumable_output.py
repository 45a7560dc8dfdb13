"""A long translation from file to file, which can be taken up where it was killed.

Beside its output lies a file that tells how much of it is done, and what decides the rest. It goes
when all is done.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout

from translator.config.keys import differences
from translator.data.lines import file_errors, is_gzip
from translator.decoding import engine
from translator.errors import ConfigError, RunError
from translator.files import BLOCK, write_whole


def is_half_done(output: Path) -> bool:
    """Whether a translation that was stopped can be taken up."""
    return _state_of(output).exists()


class ResumableOutput:
    """What is done of a translation, in input lines and in bytes of its output."""

    def __init__(self, source: Path, output: Path, decided_by: dict[str, Any]) -> None:
        """decided_by: all but the input that makes the output what it is. Raises DataError."""
        self.output = output
        self.lines_done = self.bytes_done = 0
        self.num_lines: int | None = None
        """Of the input, if that is plain text."""
        self._decided_by = decided_by
        self._written, self._read = hashlib.sha256(), hashlib.sha256()
        self._read_until = {0: self._read.hexdigest()}
        """SHA-256 of the first lines of the input, for as many as may be saved next."""
        self._path = _state_of(output)
        if not is_gzip(source):
            self.num_lines = _num_lines(source)

    def begin(self, lines: Iterator[str], resume: bool) -> Iterator[str]:
        """Find out what is done, and return those lines of the input that are not.

        Raises ConfigError if nothing is half done, or another translation, or one would be lost;
        RunError if it is damaged; DataError.
        """
        lines = self._watched(lines)
        if not self._path.exists():
            if resume and self.output.exists() and self.output.stat().st_size:
                raise ConfigError(
                    f"{self.output} is there, and no {self._path}: nothing was broken off, so it "
                    "is done, or another's; without --resume it is made anew."
                )
            return lines
        try:
            state = json.loads(self._path.read_text(encoding="utf-8"))
            lines_done, read = int(state["lines"]), str(state["read_sha256"])
            size, written = int(state["bytes"]), str(state["written_sha256"])
            before = dict(state["decided_by"])
        except (OSError, ValueError, KeyError, TypeError):
            raise RunError(
                f"{self._path}: this file is damaged; delete it to begin anew."
            ) from None
        if not lines_done:
            return lines
        if not resume:
            raise ConfigError(
                f"{self.output} is half done, {lines_done:,} lines; go on with --resume, or delete "
                f"{self._path} to begin anew."
            )
        for key, then, now in differences(before, self._decided_by):
            then, now = ("none" if value is None else str(value) for value in (then, now))
            differ = f"was {then}, and is {now}" if len(then + now) < 40 else "differs"
            raise ConfigError(
                f"{self.output} was begun otherwise ({key} {differ}); go on as it was, or delete "
                f"{self._path} to begin anew."
            )
        for _ in islice(lines, lines_done):
            pass
        if self._read.hexdigest() != read:
            raise ConfigError(
                f"{self.output} was begun otherwise (the input differs within its first "
                f"{lines_done:,} lines); go on as it was, or delete {self._path} to begin anew."
            )
        self._take_output(size)
        if (self.bytes_done, self._written.hexdigest()) != (size, written):
            raise RunError(
                f"{self.output} is not what was written; delete {self._path} to begin anew."
            )
        self.lines_done = lines_done
        return lines

    @contextmanager
    def opened(self) -> Iterator[TextIO]:
        """The output, to be written on. Raises ConfigError if another process does so."""
        self.output.open("a").close()  # an error is about the output itself, not its lock
        with self._alone():
            with self.output.open("a", encoding="utf-8", newline="\n") as file:
                file.truncate(self.bytes_done)
                if not self.lines_done:
                    self.save(file, 0)
                yield file
            self._path.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold a lock file beside the output, which is removed afterwards."""
        path = self._path.with_name(self._path.name + ".lock")
        lock = FileLock(path)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise ConfigError(f"{self.output}: another process is writing it.") from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            lock.release()

    def save(self, file: TextIO, lines_done: int) -> None:
        """So many lines are in the file: put that on the disk."""
        file.flush()
        os.fsync(file.fileno())
        self._take_output()
        state = {
            "lines": lines_done,
            "bytes": self.bytes_done,
            "read_sha256": self._read_until.pop(lines_done),
            "written_sha256": self._written.hexdigest(),
            "decided_by": self._decided_by,
        }
        write_whole(self._path, json.dumps(state))

    def _watched(self, lines: Iterator[str]) -> Iterator[str]:
        """Pass the lines of the input on, having taken them in."""
        for number, line in enumerate(lines, start=1):
            self._read.update(f"{line}\n".encode())
            if number % engine.LINES_AT_ONCE == 0:
                self._read_until[number] = self._read.hexdigest()
            yield line

    def _take_output(self, end: int | None = None) -> None:
        """Take in what the output holds beyond what is known to be done, at most until `end`."""
        if not self.output.exists():
            return
        with self.output.open("rb") as file:
            file.seek(self.bytes_done)
            while block := file.read(BLOCK if end is None else min(BLOCK, end - self.bytes_done)):
                self._written.update(block)
                self.bytes_done += len(block)


def _num_lines(path: Path) -> int:
    """Of a text file."""
    count, end = 0, b"\n"
    with file_errors(path), path.open("rb") as file:
        while block := file.read(BLOCK):
            count += block.count(b"\n")
            end = block[-1:]
    return count + (end != b"\n")


def _state_of(output: Path) -> Path:
    """The file that tells how much of an output is done."""
    return output.with_name(output.name + ".resume")
