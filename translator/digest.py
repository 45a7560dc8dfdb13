"""SHA-256 of files, by which one tells whether they are the same."""

from __future__ import annotations

import hashlib
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
