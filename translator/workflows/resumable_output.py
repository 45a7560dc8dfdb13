"""A long translation from file to file, which can be resumed after an interruption.

OUTPUT.resume, beside the output, records how much is done, and all that determines the rest. It is
deleted at the end.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel

from translator.config.keys import differences
from translator.config.schema import DecodingConfig, ModelConfig
from translator.corpora.lines import file_errors, is_gzip
from translator.decoding import engine
from translator.errors import ConfigError, RunError
from translator.files import BLOCK, write_whole

Result = TypeVar("Result")


def is_half_done(output: Path) -> bool:
    """Whether an interrupted translation can be resumed."""
    return _state_file(output).exists()


class _State(BaseModel):
    """The content of OUTPUT.resume."""

    lines: int
    """Lines of the input whose translations are written."""
    bytes: int
    """Length of these translations."""
    read_sha256: str
    """Digest of these lines."""
    written_sha256: str
    """Digest of their translations."""
    decided_by: dict[str, Any]
    """What determines the output, apart from the input."""


class ResumableOutput:
    """The finished part of a translation, in lines of the input and bytes of the output."""

    def __init__(self, source: Path, output: Path, decided_by: dict[str, Any]) -> None:
        """decided_by: what determines the output, apart from the input. Raises DataError."""
        self.path = output
        self.lines_done = self.bytes_done = 0
        self.num_lines: int | None = None
        """Number of lines of the input; None if it is compressed."""
        self._state_file = _state_file(output)
        self._decided_by = decided_by
        self._read, self._written = hashlib.sha256(), hashlib.sha256()
        self._read_until = {0: self._read.hexdigest()}
        """Digest of the input up to a line, for each line after which the output may be saved."""
        if not is_gzip(source):
            self.num_lines = count_lines(source)

    def start(self, lines: Iterator[str], resume: bool) -> Iterator[str]:
        """Find the lines that are done, and return the remaining lines of the input.

        Raises ConfigError if there is nothing to resume, if input or settings have changed, or if
        a half-finished output would be lost; RunError if a file is damaged; DataError.
        """
        lines = self._watch(lines)
        if not self._state_file.exists():
            if resume and self.path.exists() and self.path.stat().st_size:
                raise ConfigError(
                    f"No interrupted translation found for {self.path}: there is no "
                    f"{self._state_file}. Run without --resume to overwrite it."
                )
            return lines
        state = self._read_state()
        if not state.lines:
            return lines
        if not resume:
            raise ConfigError(
                f"{self.path} is half finished ({state.lines:,} lines). Continue with --resume, or "
                f"delete {self._state_file} to start over."
            )
        if change := find_change(state.decided_by, self._decided_by):
            raise self._refusal(f"{change}. Use the original value")
        for _ in islice(lines, state.lines):
            pass
        if self._read.hexdigest() != state.read_sha256:
            change = f"the input has changed within its first {state.lines:,} lines"
            raise self._refusal(f"{change}. Restore it")
        self._read_output(until=state.bytes)
        if (self.bytes_done, self._written.hexdigest()) != (state.bytes, state.written_sha256):
            raise RunError(
                f"Cannot resume {self.path}: the file has changed since it was written. Delete "
                f"{self._state_file} to start over."
            )
        self.lines_done = state.lines
        return lines

    def _refusal(self, reason: str) -> ConfigError:
        return ConfigError(
            f"Cannot resume {self.path}: {reason}, or delete {self._state_file} to start over."
        )

    def _read_state(self) -> _State:
        try:
            return _State.model_validate_json(self._state_file.read_bytes())
        except (OSError, ValueError):
            raise RunError(
                f"{self._state_file}: this file is damaged; delete it to start over."
            ) from None

    def write(
        self,
        results: Iterable[Result],
        write_result: Callable[[TextIO, int, Result], None],
        show: Callable[[int], None],
    ) -> None:
        """Write the results of the remaining lines, and save the state after every block of them.

        write_result: gets the output, the number of the line, and its result.
        show: gets the number of lines that are done.
        """
        with self.opened() as file:
            for number, result in enumerate(results, start=self.lines_done + 1):
                write_result(file, number, result)
                if number % engine.LINES_AT_ONCE == 0:
                    self.save(file, number)
                    show(number)

    @contextmanager
    def opened(self) -> Iterator[TextIO]:
        """The output, open for appending. Raises ConfigError if another process writes it."""
        self.path.open("a").close()  # an error names the output, and not its lock
        with self._locked():
            with self.path.open("a", encoding="utf-8", newline="\n") as file:
                file.truncate(self.bytes_done)
                if not self.lines_done:
                    self.save(file, 0)
                yield file
            self._state_file.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold a lock file beside the output, and remove it afterwards."""
        path = self._state_file.with_name(self._state_file.name + ".lock")
        lock = FileLock(path)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise ConfigError(f"{self.path}: another process is writing it.") from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            lock.release()

    def save(self, file: TextIO, lines_done: int) -> None:
        """Record on disk that the file holds the translations of `lines_done` lines."""
        file.flush()
        os.fsync(file.fileno())
        self._read_output()
        state = _State(
            lines=lines_done,
            bytes=self.bytes_done,
            read_sha256=self._read_until.pop(lines_done),
            written_sha256=self._written.hexdigest(),
            decided_by=self._decided_by,
        )
        write_whole(self._state_file, state.model_dump_json())

    def _watch(self, lines: Iterator[str]) -> Iterator[str]:
        """Yield the lines of the input unchanged, and digest them."""
        for number, line in enumerate(lines, start=1):
            self._read.update(f"{line}\n".encode())
            if number % engine.LINES_AT_ONCE == 0:
                self._read_until[number] = self._read.hexdigest()
            yield line

    def _read_output(self, until: int | None = None) -> None:
        """Digest the output after `bytes_done`, at most up to the byte `until`."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.bytes_done)
            while block := file.read(
                BLOCK if until is None else min(BLOCK, until - self.bytes_done)
            ):
                self._written.update(block)
                self.bytes_done += len(block)


def count_lines(path: Path) -> int:
    """Number of lines of a file that is not compressed. Raises DataError."""
    count, end = 0, b"\n"
    with file_errors(path), path.open("rb") as file:
        while block := file.read(BLOCK):
            count += block.count(b"\n")
            end = block[-1:]
    return count + (end != b"\n")


def _state_file(output: Path) -> Path:
    return output.with_name(output.name + ".resume")


def find_change(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """The first change in what decides an output, such as "decoding.beam_size was 5 and is now 4".

    None if nothing has changed.
    """
    for key, *values in differences(_with_defaults(before), now):
        old, new = ("none" if value is None else str(value) for value in values)
        return f"{key} was {old} and is now {new}" if len(old + new) < 40 else f"{key} changed"
    return None


def _with_defaults(decided_by: dict[str, Any]) -> dict[str, Any]:
    """What decided an output, with the defaults of keys that earlier versions did not have."""
    sections = {"decoding": DecodingConfig(), "model": ModelConfig()}
    return decided_by | {
        name: section.model_dump() | decided_by[name]
        for name, section in sections.items()
        if isinstance(decided_by.get(name), dict)
    }
