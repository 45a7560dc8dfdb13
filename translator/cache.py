"""Folders that are made once and kept: prepared text, vocabularies, opened bundles.

Each is made beside its place, by one process at a time, and renamed when whole.
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
"""Seconds after which an unfinished folder that nobody took up is removed."""


def cache_folder() -> Path:
    """Where they are kept. Raises DataError if there is no home directory to keep them in."""
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
    say: Callable[[str], None],
    is_whole: Callable[[Path], bool],
) -> None:
    """Make `folder` unless it is there; wait for another process that is making it.

    `make` fills an unfinished folder, in which an interrupted call may have left something to go on
    from; what a failed call left has been removed. A folder that is not whole is made anew, and
    `say` hears of it. Raises DataError if nothing can be kept there.
    """
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    try:
        if folder.exists() and is_whole(folder):
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        with _alone(folder.with_name(f"{folder.name}.unfinished-lock"), say):
            if folder.exists():
                if is_whole(folder):
                    return
                say(f"{folder}: this part of the cache is damaged or incomplete; making it anew.")
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
def _alone(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock file, which is removed afterwards.

    It is removed while it is still locked: whoever waited for it finds a file without a name, and
    opens the path again.
    """
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say("Another process is making the same; waiting for it …")
        lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob("*unfinished*"):
        with suppress(FileNotFoundError):  # another process was faster
            if time.time() - path.stat().st_mtime > ABANDONED_AFTER:
                _remove(path)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
