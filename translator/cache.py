"""Folders that are made once and kept: prepared text, vocabularies, unpacked bundles.

One process at a time makes a folder, under another name, and renames it when it is complete.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from translator.errors import DataError, Stopped

ABANDONED_AFTER = 7 * 24 * 3600
"""Seconds after which an unfinished folder is removed, if no process has continued it."""


def cache_folder() -> Path:
    """The folder of the cache. Raises DataError if the user has no home directory."""
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "translator"
    try:
        return Path.home() / ".cache/translator"
    except RuntimeError:
        raise DataError(
            "This user has no home directory to keep prepared text in; set XDG_CACHE_HOME to a "
            "folder for it."
        ) from None


def make_once(
    folder: Path,
    make: Callable[[Path], None],
    report: Callable[[str], None],
    is_whole: Callable[[Path], bool],
) -> None:
    """Make `folder` unless it exists; wait if another process is making it.

    `make` fills a folder in which an interrupted call may have left files to continue from; a
    failed call leaves none. A folder for which `is_whole` is false is made again, and `report`
    gets a message. Raises DataError if files cannot be written there.
    """
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    try:
        if folder.exists() and is_whole(folder):
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        with _alone(folder.with_name(f"{folder.name}.unfinished-lock"), report):
            if folder.exists():
                if is_whole(folder):
                    return
                report(
                    f"{folder}: this part of the cache is damaged or incomplete; making it again."
                )
                _remove(folder)
            unfinished.mkdir(exist_ok=True)
            try:
                make(unfinished)
                unfinished.rename(folder)
            except (Stopped, KeyboardInterrupt):
                raise
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
    except OSError as error:
        raise DataError(
            f"{folder.parent}: cannot keep files here: {error.strerror}. Free some space, "
            "or set XDG_CACHE_HOME to another folder."
        ) from None


@contextmanager
def _alone(path: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock file, and remove it afterwards.

    It is removed while it is still locked. A waiting process then locks a file without a name,
    notices that, and opens the path again.
    """
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        report("Another process is preparing the same files; waiting for it …")
        lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob("*unfinished*"):
        with suppress(FileNotFoundError):  # another process has removed it
            if time.time() - path.stat().st_mtime > ABANDONED_AFTER:
                _remove(path)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
