"""Progress of long tasks: lines in the log, or bars of the command line."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from translator.corpora.fetching import watched

log = logging.getLogger(__name__)

LOG_SECONDS = 10.0
"""Seconds between two lines about a task. Shorter tasks log nothing."""

LOG_STEPS = 100
"""Training steps between two lines."""

Update = Callable[[int, str], None]
"""Called with the amount that is done, and a text that describes it."""


class Progress:
    """Logs lines. The command line draws bars instead, in a subclass."""

    @contextmanager
    def task(self, name: str, total: int | None) -> Iterator[Update]:
        """Show a task such as "Reading the training text"; `total` is None if unknown."""
        logged = time.monotonic()

        def update(done: int, text: str) -> None:
            nonlocal logged
            if time.monotonic() - logged >= LOG_SECONDS:
                log.info(f"{name}: {text}")
                logged = time.monotonic()

        yield update

    @contextmanager
    def training(self, last_step: int | None) -> Iterator[Update]:
        """Show the steps of a training session; `last_step` is None if only time limits it."""
        first: int | None = None

        def update(step: int, text: str) -> None:
            nonlocal first
            first = first or step
            if step == first or step % LOG_STEPS == 0:
                log.info(f"step {step}  {text}")

        yield update


LOG_LINES = Progress()


@contextmanager
def counting(
    progress: Progress, name: str, total: int | None = None, unit: str = "pairs"
) -> Iterator[Callable[[int], None]]:
    """Show a task that counts. The context yields a function to call with the count.

    While a data set is being fetched, the task shows that instead.
    """
    done = 0
    first: tuple[int, float] | None = None
    with progress.task(name, total) as update:

        def show(now_done: int) -> None:
            nonlocal done, first
            done = now_done
            first = first or (done, time.monotonic())
            update(done, _text(done, total, unit, done - first[0], time.monotonic() - first[1]))

        with watched(lambda text: update(done, text)):
            yield show


def _text(done: int, total: int | None, unit: str, num_new: int, seconds: float) -> str:
    """Such as "5,000 of 10,000 pairs, 100 a second, 0:50 left"."""
    text = f"{done:,}{'' if total is None else f' of {total:,}'} {unit}"
    if num_new and seconds:
        text += f", {num_new / seconds:,.0f} a second"
        if total is not None:
            minutes, rest = divmod(round((total - done) * seconds / num_new), 60)
            text += f", {minutes}:{rest:02} left"
    return text
