"""Lines of UTF-8 text, from files and streams.

One extra line on one side of a corpus shifts every pair after it. So a line ends at a line feed and
nowhere else (not at U+2028, U+0085 or a lone carriage return), and all text is read by `read_lines`
or `read_stream`.

Whether text is empty is decided here, too: it is if `is_blank`.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from translator.corpora.encodings import (
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
"""White space, control characters, Unicode's Default_Ignorable_Code_Point, the empty Braille
pattern, and interlinear annotation characters."""


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: it is empty, or has only white space and zero-width characters.

    A combining mark without a letter shows; a variation selector without one does not.
    """
    return _INVISIBLE.fullmatch(text) is not None


def one_line(text: str) -> str:
    """The text with spaces for line breaks, which a model may spell in bytes."""
    return text.replace("\r", " ").replace("\n", " ")


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, decompressed if its name ends in .gz. Raises DataError."""
    with (
        file_errors(path),
        cast(BinaryIO, gzip.open(path)) if is_gzip(path) else path.open("rb") as stream,
    ):
        yield from read_stream(stream, str(path))


def read_nonempty(path: Path) -> Iterator[str]:
    """`read_lines` of a file that must have lines. Raises DataError."""
    line = None
    for line in read_lines(path):
        yield line
    if line is None:
        raise DataError(f"{path} has no lines; name a file with text")


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed, by its name."""
    return path.suffix.lower() == ".gz"


def read_stream(stream: BinaryIO, name: str) -> Iterator[str]:
    """Yield the lines of a binary stream without LF or CRLF, and without a byte order mark.

    Errors call the stream `name`. Raises DataError if it is not UTF-8 text, with what it seems to
    be instead.
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
    """Yield the lines with their ends, without a byte order mark."""
    first = stream.readline(LONGEST_FIRST_LINE)
    if problem := wrong_start(first + _ahead(stream)) or without_line_feeds(first):
        raise DataError(f"{name} {problem}")
    if len(first) == LONGEST_FIRST_LINE and not first.endswith(b"\n"):
        first += stream.readline()
    if first:
        yield first.removeprefix(_BYTE_ORDER_MARK)
    yield from stream  # binary streams split at b"\n" only


def _ahead(stream: BinaryIO) -> bytes:
    """The next bytes of a file; none of a pipe, where reading ahead could block."""
    if not stream.seekable():
        return b""
    offset = stream.tell()
    following = stream.read(EVIDENCE)
    stream.seek(offset)
    return following


def decode_line(line: bytes, name: str, number: int) -> str:
    """The text of a single line. Raises DataError if it is not UTF-8."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        problem = not_utf8(error, follows=b"", after_utf8=False)
        raise DataError(f"{name}, line {number}: {problem}") from error


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn an error from reading a file into a DataError of one sentence."""
    check_name(path, DataError)
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is damaged or not a gzip file; download it again, or remove .gz from its name"
        ) from error
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; check its name and folder") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder; name the files in it") from error
    except PermissionError as error:
        raise DataError(f"{path} may not be read; change its permissions") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
