"""Progress of TensorFlow Datasets while it downloads and prepares a set, which may take hours.

The library's progress bars are not drawn. Their state is passed on as a line of text.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

REPORT_EVERY = 1.0
"""Seconds between reports."""

_DOING = {
    "Dl Size...": "downloaded",
    "Extraction completed...": "unpacked",
    "Generating": "converted",
    "Shuffling": "sorted",
}
"""Verbs for the informative progress bars, by the start of the bar's description."""

_watch: Callable[[str], None] | None = None


@contextmanager
def watched(watch: Callable[[str], None]) -> Iterator[None]:
    """Call `watch` with a line of progress every second while a set is being prepared.

    The calls come from another thread.
    """
    global _watch
    before, _watch = _watch, watch
    try:
        yield
    finally:
        _watch = before


@contextmanager
def reported(name: str) -> Iterator[None]:
    """Report the progress of the set `name` to the function given to `watched`, if any."""
    if _watch is None:
        yield
        return
    watch, started, done = _watch, time.monotonic(), threading.Event()
    latest = [f"preparing {name}"]

    def report() -> None:
        while not done.wait(REPORT_EVERY):
            minutes, seconds = divmod(round(time.monotonic() - started), 60)
            watch(f"{latest[0]}, {minutes}:{seconds:02} so far")

    def keep(text: str) -> None:
        latest[0] = text

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        with _bars(keep):
            yield
    finally:
        done.set()
        reporter.join()


@contextmanager
def _bars(show: Callable[[str], None]) -> Iterator[None]:
    """Pass the state of the library's progress bars to `show`, in words."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.utils import tqdm_utils

    before = tqdm_utils.tqdm_lib

    class Bar(before.tqdm):  # type: ignore[name-defined]
        """A bar that is not drawn."""

        monitor_interval = 0  # starts no thread

        def display(self, *_: object, **__: object) -> None:
            if text := _in_words(self.format_dict):
                show(text)

    tqdm_utils.tqdm_lib = SimpleNamespace(tqdm=Bar)
    tfds.enable_progress_bar()
    try:
        yield
    finally:
        tfds.disable_progress_bar()
        tqdm_utils.tqdm_lib = before


def _in_words(bar: dict[str, Any]) -> str:
    """For example: downloaded 12 of 100 MiB, 3.2 per second."""
    found = [words for begin, words in _DOING.items() if bar["prefix"].startswith(begin)]
    if not found or bar["unit"] == " splits" or not bar["n"]:
        return ""
    total = f" of {bar['total']:,}" if bar["total"] else ""
    rate = bar["n"] / max(bar["elapsed"], 1e-3)
    speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
    return f"{found[0]} {bar['n']:,}{total}{bar['unit']}, {speed} per second"
