"""Files, told apart by their SHA-256, and written whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

BLOCK = 2**20
"""Bytes that are read at a time."""


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_whole(path: Path, text: str) -> None:
    """In UTF-8; a crash at any moment leaves the old file or the new one."""
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
