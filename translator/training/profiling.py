"""Where the time of a step goes: TensorFlow's profile, and a table that anybody can read."""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

from translator.files import write_whole
from translator.training.loop import StepResult

SKIPPED, PROFILED = 10, 5
"""Steps of a session before the profile, and in it."""

SHORTEST = 0.05
"""Milliseconds a step that a kind of operation takes at least, to be in the table."""

_OPERATION = re.compile(r"[\w./-]+:(\w+)")


def profiled(steps: Iterator[StepResult], logs: Path, table: Path) -> Iterator[StepResult]:
    """The steps, unchanged; some are profiled into the folder `logs`, for TensorBoard, and `table`.

    A session that ends before these are done leaves no profile.
    """
    number, tracing, started = 0, False, 0.0
    try:
        for step in steps:
            yield step
            if step.validation is not None or step.failure is not None:
                continue
            number += 1
            if number == SKIPPED:
                tf.profiler.experimental.start(os.fsencode(logs))
                tracing, started = True, time.perf_counter()
            elif number == SKIPPED + PROFILED:
                milliseconds = 1000 * (time.perf_counter() - started) / PROFILED
                tf.profiler.experimental.stop()
                tracing = False
                newest = max(logs.glob("plugins/profile/*/*.xplane.pb"))
                space = XSpace.FromString(newest.read_bytes())
                write_whole(table, _table(space, milliseconds))
    finally:
        if tracing:
            tf.profiler.experimental.stop(save=False)


def _table(space: XSpace, milliseconds: float) -> str:
    """A section for each device, a line for each kind of operation, the longest first."""
    lines = [
        f"A step took {milliseconds:.1f} milliseconds; mean of {PROFILED} steps, being profiled.",
        "By kind of operation: milliseconds a step, share of all, and how often a step runs it.",
        "Operations run side by side, so that all together take longer than the step.",
    ]
    for plane in space.planes:
        if "CPU" not in plane.name and "GPU" not in plane.name:
            continue
        total: dict[str, float] = defaultdict(float)
        count: dict[str, int] = defaultdict(int)
        for line in plane.lines:
            for event in line.events:
                found = _OPERATION.fullmatch(plane.event_metadata[event.metadata_id].name)
                if found:
                    total[found[1]] += event.duration_ps / 1e9 / PROFILED
                    count[found[1]] += 1
        if not total:
            continue
        lines += ["", plane.name, f"{'operation':40} {'ms':>9} {'share':>6} {'times':>6}"]
        everything = sum(total.values())
        for kind, spent in sorted(total.items(), key=lambda item: -item[1]):
            if spent < SHORTEST:
                break
            lines.append(
                f"{kind:40} {spent:9.1f} {spent / everything:6.1%} {count[kind] / PROFILED:6.0f}"
            )
    return "\n".join(lines) + "\n"
