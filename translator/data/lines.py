"""Lines of UTF-8 text, from files and streams.

One line too many on one side of a corpus shifts every pair after it. So a line ends at a line feed
and nowhere else (not at U+2028, U+0085 or a lone carriage return), and whoever reads text reads it
through `read_lines` or `read_stream`.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from translator.data.encodings import (
    EVIDENCE,
    LONGEST_FIRST_LINE,
    not_utf8,
    without_line_feeds,
    wrong_start,
)
from translator.errors import DataError
from translator.files import check_name

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_INVISIBLE = re.compile(
    r"[\s\0-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]*"
)
"""White space, control characters, those that Unicode calls Default_Ignorable_Code_Point, the empty
Braille pattern, and marks of annotations."""


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen: no character, white space, or zero-width ones alone.

    Combining marks without a letter can be seen; variation selectors without one cannot.
    """
    return _INVISIBLE.fullmatch(text) is not None


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


def read_stream(stream: BinaryIO, name: str) -> Iterator[str]:
    """The lines of a binary stream, which errors call `name`.

    Without their line feeds (or CRLF), and without the byte order mark some files start with.
    Raises DataError for what is no text in UTF-8, and says what it seems to be.
    """
    after_utf8 = False
    for number, raw in enumerate(_raw_lines(stream, name), start=1):
        line = raw[:-1].removesuffix(b"\r") if raw.endswith(b"\n") else raw
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            follows = raw[len(line) :] + _ahead(stream)
            problem = not_utf8(error, follows, after_utf8)
            raise DataError(f"{name}, line {number}: {problem}") from error
        after_utf8 = after_utf8 or not text.isascii()
        yield text


def _raw_lines(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """The lines as they are, but for a byte order mark."""
    first = stream.readline(LONGEST_FIRST_LINE)
    if problem := wrong_start(first + _ahead(stream)) or without_line_feeds(first):
        raise DataError(f"{name} {problem}")
    if len(first) == LONGEST_FIRST_LINE and not first.endswith(b"\n"):
        first += stream.readline()
    if first:
        yield first.removeprefix(_BYTE_ORDER_MARK)
    yield from stream  # binary streams split at b"\n" only


def _ahead(stream: BinaryIO) -> bytes:
    """Some of what comes next in a file; nothing of a pipe, which might make us wait."""
    if not stream.seekable():
        return b""
    place = stream.tell()
    found = stream.read(EVIDENCE)
    stream.seek(place)
    return found


def decode_line(line: bytes, name: str, number: int) -> str:
    """The text of a line that stands alone."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        problem = not_utf8(error, follows=b"", after_utf8=False)
        raise DataError(f"{name}, line {number}: {problem}") from error


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Says in one sentence why a file cannot be read."""
    check_name(path, DataError)
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
