"""Standard streams, whatever they are: files, terminals, a notebook's, closed or full ones."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, BinaryIO, TextIO


def reserve_closed() -> None:
    """Put the null device where a standard stream is closed.

    Else the next file that is opened gets its number, and with it what libraries print; and Python
    prints on standard output what is meant for a standard error that is None.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        os.set_inheritable(descriptor, True)
        descriptor = os.dup(descriptor)
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


class _Lenient(io.FileIO):
    """A file that takes what it cannot write, as on a full disk or a terminal that has gone."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def message_stream(descriptor: int) -> TextIO:
    """A stream for messages, line by line. A command's work goes on where nobody can hear them."""
    binary = io.BufferedWriter(_Lenient(descriptor, "w"))
    return io.TextIOWrapper(binary, "utf-8", errors="backslashreplace", line_buffering=True)


def is_terminal(stream: object) -> bool:
    isatty = getattr(stream, "isatty", None)
    return isatty is not None and bool(isatty())


class _EncodedLines(io.RawIOBase):
    """The bytes of a text stream, line by line."""

    def __init__(self, text: TextIO) -> None:
        self._text, self._line = text, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._line:
            self._line = self._text.readline().encode("utf-8", "surrogateescape")
        part, self._line = self._line[: len(buffer)], self._line[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def input_stream() -> BinaryIO:
    """Standard input in bytes; a notebook or IDLE has it as text alone."""
    binary: BinaryIO | None = getattr(sys.stdin, "buffer", None)
    return io.BufferedReader(_EncodedLines(sys.stdin)) if binary is None else binary


def text_output() -> TextIO:
    """Standard output, in UTF-8 where it is a file."""
    if (reconfigure := getattr(sys.stdout, "reconfigure", None)) is not None:
        reconfigure(encoding="utf-8")
    return sys.stdout
