"""Standard input and output in UTF-8, whether they are files, terminals or a notebook's."""

from __future__ import annotations

import io
import sys
from typing import Any, BinaryIO, TextIO


def is_terminal(stream: object) -> bool:
    """Whether a stream is a terminal."""
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
    """Standard input as bytes, even where it offers only text, as in a notebook."""
    binary: BinaryIO | None = getattr(sys.stdin, "buffer", None)
    return io.BufferedReader(_EncodedLines(sys.stdin)) if binary is None else binary


def text_output() -> TextIO:
    """Standard output, in UTF-8 where its encoding can be set."""
    if (reconfigure := getattr(sys.stdout, "reconfigure", None)) is not None:
        reconfigure(encoding="utf-8")
    return sys.stdout
