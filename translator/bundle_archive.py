"""Bundles: a run in one file. They are unpacked with care, since a stranger may have made them.

A bundle is a zip archive of uncompressed files with known names. So no file can end up outside of
its folder, or be larger than the archive.
"""

from __future__ import annotations

import logging
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from translator.cache import cache_folder, make_once
from translator.errors import RunError
from translator.files import BLOCK, sha256

NAMES = frozenset(
    {
        "README.md",
        "alignment.json",
        "best.safetensors",
        "config.yaml",
        "export.json",
        "golden.json",
        "lexicon.tsv",
        "source.model",
        "target.model",
        "tokenizer.model",
    }
)
"""Names of files that a bundle may contain."""

HEADERS, END = 30 + 46, 22
"""Bytes of an archive besides names and contents: per file, and at the end."""
LARGE, LARGE_HEADERS = 2 * 10**9, 200
"""In archives of at least LARGE bytes, headers may be larger by up to LARGE_HEADERS per file."""

_SAME_TIME = (1980, 1, 1, 0, 0, 0)


def pack(folder: Path, path: Path) -> None:
    """Write a bundle of the files in a folder. The same files always give the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.iterdir()):
            entry = zipfile.ZipInfo(file.name, _SAME_TIME)
            entry.file_size = file.stat().st_size
            with file.open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target)


def unpacked(path: Path) -> Path:
    """Unpack a bundle into the user's cache, and return the folder.

    Raises RunError if the file is not a valid bundle.
    """
    folder = cache_folder() / f"bundle-{sha256(path)[:32]}"
    with _opened(path) as archive:
        checksums: dict[str, int | None] = {
            entry.filename: entry.CRC for entry in archive.infolist()
        }

    def write(unfinished: Path) -> None:
        for name in checksums:
            with _opened(path) as archive:
                content = archive.read(name)
            (unfinished / name).write_bytes(content)

    def is_whole(folder: Path) -> bool:
        return checksums == {path.name: _checksum(path) for path in folder.iterdir()}

    make_once(folder, write, logging.getLogger(__name__).warning, is_whole)
    return folder


def _checksum(path: Path) -> int | None:
    """CRC-32 of a file; None for a folder."""
    if path.is_dir():
        return None
    found = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found = crc32(block, found)
    return found


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a bundle for reading. Raises RunError if it is not valid, or if reading it fails."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive.infolist(), path)
            yield archive
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError) as error:
        raise RunError(
            f"{path}: this is neither a run nor a bundle, or it is damaged: "
            f"{str(error).rstrip('.')}."
        ) from None


def _check(entries: list[zipfile.ZipInfo], path: Path) -> None:
    """Raise ValueError unless these are the entries of a valid bundle."""
    names = [entry.filename for entry in entries]
    for entry in entries:
        if entry.filename not in NAMES:
            raise ValueError(f"it holds {entry.filename!r}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ValueError(f"{entry.filename} is compressed")
    if len(set(names)) != len(names):
        raise ValueError("it holds a file twice")
    if not {"config.yaml", "best.safetensors", "export.json"} <= set(names):
        raise ValueError("it lacks a model")
    size = sum(entry.file_size + HEADERS + 2 * len(entry.filename) for entry in entries) + END
    spare = path.stat().st_size - size
    if not 0 <= spare <= (LARGE_HEADERS * len(entries) if size >= LARGE else 0):
        raise ValueError("its size is not that of its files")
