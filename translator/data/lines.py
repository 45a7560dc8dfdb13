"""Lines of UTF-8 text, from files and streams.

One line too many on one side of a corpus shifts every pair after it. So a line ends at a line feed
and nowhere else (not at U+2028, U+0085 or a lone carriage return), and whoever reads text reads it
through `read_lines` or `read_stream`.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from translator.errors import DataError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def one_line(text: str) -> str:
    """A translation is one line: bytes that spell a line break must not make two of it."""
    return text.replace("\r", " ").replace("\n", " ")


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, decompressed if its name ends in .gz."""
    with (
        file_errors(path),
        cast(BinaryIO, gzip.open(path)) if is_gzip(path) else path.open("rb") as stream,
    ):
        yield from read_stream(stream, str(path))


def is_gzip(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def read_stream(stream: Iterable[bytes], name: str) -> Iterator[str]:
    """The lines of a binary stream, which errors call `name`.

    Without their line feeds (or CRLF), and without the byte order mark some files start with.
    """
    for number, line in enumerate(stream, start=1):  # binary streams split at b"\n" only
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if line.endswith(b"\n"):
            line = line[:-1].removesuffix(b"\r")
        yield decode_line(line, name, number)


def decode_line(raw: bytes, name: str, number: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}, line {number}: not UTF-8 (byte {raw[error.start]:#04x}); convert the text, "
            "for example with: iconv -f LATIN1 -t UTF-8"
        ) from error


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Says in one sentence why a file cannot be read."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is damaged or not a gzip file; fetch it again, or take .gz off its name"
        ) from error
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; check its name and folder") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder; name the files in it") from error
    except PermissionError as error:
        raise DataError(f"{path} may not be read; change its permissions") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
