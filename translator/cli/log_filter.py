"""Hide the log messages of native libraries from the user, but not the messages of a crash.

TensorFlow, oneDNN and CUDA log to file descriptor 2, some of it before they read any log level.
That descriptor becomes a pipe to a small child process, which drops the lines that match
NATIVE_LOG_LINE and passes on the rest. The child outlives a crash of this process, so nothing is
lost. Python's own sys.stderr still goes directly to the terminal or file.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import signal
import sys

from translator.cli.streams import message_stream

NATIVE_LOG_LINE = re.compile(
    rb"^[IWE]\d{4} \d\d:\d\d:\d\d"  # glog, e.g. I0401 12:00:00
    rb"|^[IWE]0000 00:00:\d"  # absl before its initialization
    rb"|^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] "  # TensorFlow's own
    rb"|^WARNING: All log messages before absl::InitializeLog"
    rb"|^To enable the following instructions:"
    rb"|^Additional GRPC error information from remote target "  # these when a worker is lost
    rb"|^:UNKNOWN:Error received from peer "
    rb"|^The error could be from a previous operation\. "
    rb"|^The tasks have crashed\. Check "
    rb"|^/job:worker/replica:\d+/task:\d+$"
    rb"|^\t \[\[\{\{node "
)


def filter_native_logs() -> None:
    """Filter file descriptor 2 until the process ends. A second call does nothing."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if _child() is not None:
        return
    sys.stderr.flush()
    original = os.dup(2)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        for unused in (0, 1, write_end):
            os.close(unused)
        _pass_on(read_end, original)
        os._exit(0)
    os.close(read_end)
    os.dup2(write_end, 2)
    os.close(write_end)
    sys.stderr = message_stream(original)
    sys.stderr.filtered_by = child  # type: ignore[attr-defined]
    atexit.register(finish)


def _pass_on(source: int, destination: int) -> None:
    """Copy lines until the last writer closes, except those that match NATIVE_LOG_LINE."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.setpgid(0, 0)
    with os.fdopen(source, "rb") as lines:
        for line in lines:
            if not NATIVE_LOG_LINE.match(line):
                try:
                    os.write(destination, line)
                except OSError:
                    return


def finish() -> None:
    """Wait until the child has written all lines."""
    child = _child()
    if child is None:
        return
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)


def _child() -> int | None:
    process = getattr(sys.stderr, "filtered_by", None)
    return process if isinstance(process, int) else None
