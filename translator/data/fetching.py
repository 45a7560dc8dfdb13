"""What TensorFlow Datasets does while it fetches and prepares a set, which may take hours.

Its progress bars are kept from the terminal; what they would show is passed on as one line of text.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

REPORT_EVERY = 1.0
"""Seconds between two reports."""

_DOING = {
    "Dl Size...": "downloaded",
    "Extraction completed...": "unpacked",
    "Generating": "converted",
    "Shuffling": "sorted",
}
"""The bars that say something, by the first words of their description."""

_watch: Callable[[str], None] | None = None


@contextmanager
def watched(watch: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile, `watch` hears every second how far a set is that is being fetched.

    It is called by a thread of its own.
    """
    global _watch
    before, _watch = _watch, watch
    try:
        yield
    finally:
        _watch = before


@contextmanager
def reported(name: str) -> Iterator[None]:
    """Report the progress of TensorFlow Datasets to whoever watches; `name` is that of the set."""
    if _watch is None:
        yield
        return
    watch, started, done = _watch, time.monotonic(), threading.Event()
    latest = [f"fetching {name}"]

    def report() -> None:
        while not done.wait(REPORT_EVERY):
            minutes, seconds = divmod(round(time.monotonic() - started), 60)
            watch(f"{latest[0]}, {minutes}:{seconds:02} so far")

    def hear(text: str) -> None:
        latest[0] = text

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        with _bars(hear):
            yield
    finally:
        done.set()
        reporter.join()


@contextmanager
def _bars(hear: Callable[[str], None]) -> Iterator[None]:
    """Let `hear` have in words what the bars of TensorFlow Datasets would show."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.utils import tqdm_utils

    before = tqdm_utils.tqdm_lib

    class Bar(before.tqdm):  # type: ignore[name-defined]
        """Draws nothing."""

        monitor_interval = 0  # no thread of its own

        def display(self, *_: object, **__: object) -> None:
            if text := _in_words(self.format_dict):
                hear(text)

    tqdm_utils.tqdm_lib = SimpleNamespace(tqdm=Bar)
    tfds.enable_progress_bar()
    try:
        yield
    finally:
        tfds.disable_progress_bar()
        tqdm_utils.tqdm_lib = before


def _in_words(bar: dict[str, Any]) -> str:
    """downloaded 12 of 100 MiB, 3.2 a second"""
    found = [words for begin, words in _DOING.items() if bar["prefix"].startswith(begin)]
    if not found or bar["unit"] == " splits" or not bar["n"]:
        return ""
    total = f" of {bar['total']:,}" if bar["total"] else ""
    rate = bar["n"] / max(bar["elapsed"], 1e-3)
    speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
    return f"{found[0]} {bar['n']:,}{total}{bar['unit']}, {speed} a second"
