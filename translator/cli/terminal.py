"""What a command draws on stderr: messages, and progress bars at a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn
from rich.progress import Progress as RichProgress

from translator.workflows.logs import MessageFormatter
from translator.workflows.progress import LOG_LINES, Progress, Update

_live: Console | None = None
"""The console of the current bar, if any; it prints messages above the bar."""


class MessageHandler(logging.Handler):
    """Writes messages to the current sys.stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if _live is not None:
            _live.print(text, markup=False, emoji=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)


@contextmanager
def shown_messages() -> Iterator[None]:
    """Inside, messages of the library appear on stderr only."""
    logger = logging.getLogger("translator")
    before = logger.handlers, logger.level, logger.propagate
    handler = MessageHandler()
    handler.setFormatter(MessageFormatter())
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers, level, logger.propagate = before
        logger.setLevel(level)


class Bars(Progress):
    """Draws a live bar for each task."""

    @contextmanager
    def task(self, name: str, total: int | None) -> Iterator[Update]:
        with _bar(TextColumn("{task.description}"), name, total, "", transient=True) as update:
            yield update

    @contextmanager
    def training(self, last_step: int | None) -> Iterator[Update]:
        with _bar(MofNCompleteColumn(), "", last_step, "first step …", transient=False) as update:
            yield update


def progress() -> Progress:
    """Bars at a terminal, and lines elsewhere."""
    return Bars() if Console(stderr=True).is_terminal else LOG_LINES


@contextmanager
def _bar(
    first_column: ProgressColumn, name: str, total: int | None, text: str, transient: bool
) -> Iterator[Update]:
    """A bar between a first column and a text; a transient one vanishes when it is done."""
    global _live
    console = Console(file=sys.stderr, highlight=False)
    columns = first_column, BarColumn(bar_width=20), TextColumn("{task.fields[text]}", markup=False)
    with RichProgress(*columns, console=console, transient=transient) as bar:
        task = bar.add_task(name, total=total, text=text)
        _live = console
        try:
            yield lambda done, text: bar.update(task, completed=done, text=text)
        finally:
            _live = None
