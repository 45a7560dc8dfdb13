"""Stop at SIGINT, SIGTERM or SIGHUP (a closed terminal): at once, or at the next safe moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from translator.errors import Stopped


class Interruption:
    """While entered, a signal raises Stopped: at once, or inside `deferred` at the next `check`."""

    def __init__(self) -> None:
        self.received: int | None = None
        """Number of the last signal that was received, if any."""
        self._at_once = True
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            numbers = [signal.SIGINT, signal.SIGTERM]
            if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
                numbers.append(signal.SIGHUP)
            for number in numbers:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def check(self) -> None:
        """Raise Stopped if a signal was received."""
        if self.received is not None:
            raise Stopped(self.received)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a signal only takes effect at `check`."""
        with self._mode(at_once=False):
            yield

    @contextmanager
    def immediate(self) -> Iterator[None]:
        """Inside, a signal raises Stopped at once. For work that can be repeated."""
        with self._mode(at_once=True):
            self.check()
            yield

    @contextmanager
    def _mode(self, at_once: bool) -> Iterator[None]:
        outer, self._at_once = self._at_once, at_once
        try:
            yield
        finally:
            self._at_once = outer

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.received = number
        if self._at_once:
            raise Stopped(number)
