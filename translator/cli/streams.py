"""Standard streams of a command, which may be closed or full."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO


def reserve_closed() -> None:
    """Open the null device in place of each standard stream that is closed.

    Otherwise the next file that is opened gets its number, and libraries print into that file.
    Python also prints to standard output if standard error is None.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        os.set_inheritable(descriptor, True)
        descriptor = os.dup(descriptor)
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


class _Lenient(io.FileIO):
    """A file that drops what it cannot write, as on a full disk or a closed terminal."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def message_stream(descriptor: int) -> TextIO:
    """A line-buffered stream for messages that ignores errors, so that they never stop the work."""
    binary = io.BufferedWriter(_Lenient(descriptor, "w"))
    return io.TextIOWrapper(binary, "utf-8", errors="backslashreplace", line_buffering=True)
