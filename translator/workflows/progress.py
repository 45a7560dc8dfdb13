"""What a person sees while text is read and prepared: how much of it is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from translator.data.fetching import watched

SAY_EVERY = 10.0
"""Seconds between lines where there is no terminal; what takes less says nothing."""


@contextmanager
def show_progress(
    doing: str, total: int | None = None, what: str = "pairs"
) -> Iterator[Callable[[int], None]]:
    """Give a function that shows how many are done, on stderr: a live bar at a terminal, else a
    line now and then. Of a set that must be fetched first, it shows how far that is."""
    console = Console(file=sys.stderr, highlight=False)
    bar = Progress(
        TextColumn(doing),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[text]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("", total=total, text="")
    said = time.monotonic()
    first: tuple[int, float] | None = None

    def show(done: int) -> None:
        nonlocal first
        first = first or (done, time.monotonic())
        text = _text(done, total, what, done - first[0], time.monotonic() - first[1])
        bar.update(task, completed=done)
        tell(text)

    def tell(text: str) -> None:
        nonlocal said
        bar.update(task, text=text)
        if not console.is_terminal and time.monotonic() - said >= SAY_EVERY:
            console.print(f"{doing}: {text}", markup=False, soft_wrap=True)
            said = time.monotonic()

    with bar, watched(tell):
        yield show


def _text(done: int, total: int | None, what: str, new: int, seconds: float) -> str:
    text = f"{done:,}{'' if total is None else f' of {total:,}'} {what}"
    if new and seconds:
        text += f", {new / seconds:,.0f} a second"
        if total is not None:
            minutes, rest = divmod(round((total - done) * seconds / new), 60)
            text += f", {minutes}:{rest:02} left"
    return text
