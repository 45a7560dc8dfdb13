"""Files: check names, compute SHA-256, write atomically."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from translator.errors import UserError

BLOCK = 2**20
"""Number of bytes to read at a time."""


def check_name(path: Path, kind: type[UserError]) -> None:
    """Raise an error of class `kind` if no file can have this name."""
    if "\0" in str(path):
        raise kind(f"{str(path)!r}: a file name cannot hold a NUL character.")


def check_utf8_name(path: Path, kind: type[UserError]) -> None:
    """`check_name` of a path that JSON or YAML will contain, so that it must be UTF-8."""
    check_name(path, kind)
    try:
        str(path.resolve()).encode()
    except UnicodeEncodeError:
        raise kind(
            f"{path.resolve()}: this name is not UTF-8. Rename the file or folder."
        ) from None


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the name of a file to an OSError from the block that has none, as on a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file atomically; text is written in UTF-8.

    A crash at any moment leaves the old file or the new one. On an error, such as OSError on a full
    disk, the old file stays.
    """
    with opened_whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def opened_whole(path: Path) -> Iterator[BinaryIO]:
    """Like `write_whole`, for content that is written in parts. Raises OSError with a file name."""
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        if error.filename in (None, str(unfinished)):
            error.filename = str(path)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
