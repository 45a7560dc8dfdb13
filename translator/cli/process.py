"""Settings of the process of a command: native logs, signals, threads, how it ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from translator.cli.log_filter import filter_native_logs, finish
from translator.environment import freeze_weights
from translator.errors import UserError


@contextmanager
def training_process() -> Iterator[None]:
    """A process whose weights change, or that has more to do than to translate."""
    filter_native_logs()
    yield


@contextmanager
def inference_process(
    frozen: bool = True,
    tensorflow: bool = True,
    last_word: Callable[[], str] = lambda: "Stopped.",
) -> Iterator[None]:
    """A process that does nothing but translate, and ends with this context.

    frozen: the weights never change, so oneDNN may lay them out once.
    tensorflow: TensorFlow translates, a batch on each processor.
    last_word: gives the message after Ctrl-C.
    """
    filter_native_logs()
    _exit_at_ctrl_c(last_word)
    if frozen:
        freeze_weights(True)
    if tensorflow:
        _share_processors()
    yield
    _exit()


def flush_output() -> None:
    """Raise UserError if standard output cannot take all that was printed."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        raise UserError(f"Standard output: {error.strerror}.") from None


def _share_processors() -> None:
    """The operations of a single sentence are too small to be shared among processors."""
    from translator.environment import num_threads
    from translator.processors import has_gpu, share_processors
    from translator.workflows.device import warn_of_unusable_gpu

    share_processors(num_threads())
    warn_of_unusable_gpu(has_gpu())


def _exit_at_ctrl_c(last_word: Callable[[], str]) -> None:
    """Exit at once: there is nothing to save, and an exception could get lost in a library."""

    def exit(number: int, _: object) -> None:
        with suppress(Exception):
            flush_output()
        with suppress(Exception):
            sys.stderr.write(f"{last_word()}\n")
            sys.stderr.flush()
        os._exit(128 + number)

    signal.signal(signal.SIGINT, exit)


def _exit() -> None:
    """Exit at once: all is written, and TensorFlow would need a second to shut down."""
    flush_output()
    sys.stderr.flush()
    finish()
    os._exit(0)
