"""One file in place of a run: packed, and opened as what a stranger may have made.

It is a zip archive of plain files, none of them compressed, all of known names: so nothing in it
can lie outside of its folder, nor be larger than the file that it came in.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from translator.cache import cache_folder, make_once
from translator.digest import sha256
from translator.errors import RunError

NAMES = frozenset(
    {
        "README.md",
        "best.safetensors",
        "config.yaml",
        "export.json",
        "golden.json",
        "source.model",
        "target.model",
        "tokenizer.model",
    }
)
"""Of all that may be in a bundle."""

_SAME_TIME = (1980, 1, 1, 0, 0, 0)


def pack(folder: Path, path: Path) -> None:
    """Make a bundle of the files in a folder: of the same files always the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.iterdir()):
            entry = zipfile.ZipInfo(file.name, _SAME_TIME)
            entry.file_size = file.stat().st_size
            with file.open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target)


def unpacked(path: Path) -> Path:
    """The folder of files that a bundle holds, in the user's cache. Raises RunError for a file that
    is none, or damaged."""
    folder = cache_folder() / f"bundle-{sha256(path)[:32]}"
    with _opened(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}

    def write(unfinished: Path) -> None:
        for name in sizes:
            with _opened(path) as archive:
                content = archive.read(name)
            (unfinished / name).write_bytes(content)

    if folder.exists():
        kept = {file.name: file.stat().st_size for file in folder.iterdir() if file.is_file()}
        if kept != sizes:
            shutil.rmtree(folder)
    make_once(folder, write, lambda _: None)
    return folder


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """A bundle, to be read. Raises RunError for one that may not be, and where reading fails."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive.infolist(), path)
            yield archive
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError) as error:
        raise RunError(f"{path}: neither a run nor a bundle, or damaged: {error}.") from None


def _check(entries: list[zipfile.ZipInfo], path: Path) -> None:
    """Raise ValueError unless a bundle may hold this."""
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
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ValueError("its files are larger than it is")
