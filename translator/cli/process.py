"""Settings of a command's process: native logs, signals, threads and exit."""

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
    """A process that trains, or does more than translate."""
    from translator.cli.terminal import shown_messages

    filter_native_logs()
    with shown_messages():
        yield


@contextmanager
def inference_process(
    frozen: bool = True,
    tensorflow: bool = True,
    stop_message: Callable[[], str] = lambda: "Stopped.",
) -> Iterator[None]:
    """A process that only translates, and exits at the end of this context.

    frozen: the weights never change, so oneDNN may lay them out once.
    tensorflow: TensorFlow translates, one batch on each processor.
    stop_message: returns the message after Ctrl-C.
    """
    from translator.cli.terminal import shown_messages

    filter_native_logs()
    _exit_at_ctrl_c(stop_message)
    if frozen:
        freeze_weights(True)
    with shown_messages():
        if tensorflow:
            _share_processors()
        yield
    _exit()


def flush_output() -> None:
    """Flush standard output. Raises UserError if that fails."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        raise UserError(f"Standard output: {error.strerror}.") from None


def _share_processors() -> None:
    """Let each processor translate a batch: single operations are too small to be shared."""
    from translator.environment import num_threads
    from translator.processors import has_gpu, share_processors
    from translator.workflows.device import warn_of_unusable_gpu

    share_processors(num_threads())
    warn_of_unusable_gpu(has_gpu())


def _exit_at_ctrl_c(stop_message: Callable[[], str]) -> None:
    """Let Ctrl-C exit at once: nothing needs saving, and a library could catch an exception."""

    def exit(number: int, _: object) -> None:
        with suppress(Exception):
            flush_output()
        with suppress(Exception):
            sys.stderr.write(f"{stop_message()}\n")
            sys.stderr.flush()
        os._exit(128 + number)

    signal.signal(signal.SIGINT, exit)


def _exit() -> None:
    """Exit at once: all output is written, and TensorFlow would need a second to shut down."""
    flush_output()
    sys.stderr.flush()
    finish()
    os._exit(0)
