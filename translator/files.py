"""Files, told apart by their SHA-256, and written whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from translator.errors import UserError

BLOCK = 2**20
"""Bytes that are read at a time."""


def check_name(path: Path, kind: type[UserError]) -> None:
    """Raise a `kind` of error for a name that no file can have."""
    if "\0" in str(path):
        raise kind(f"{str(path)!r}: a file name cannot hold a NUL character.")


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError from inside name this file, as one from a full disk names none."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Text in UTF-8; a crash at any moment leaves the old file or the new one, and an error, such
    as OSError on a full disk, the old one alone."""
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        error.filename = str(path)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
