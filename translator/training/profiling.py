"""How long the operations of a step take: a profile for TensorBoard, and a table as text."""

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
from translator.training.results import StepResult

SKIPPED, PROFILED = 10, 5
"""Steps of a session before the profile starts, and steps in it."""

SHORTEST = 0.05
"""Operations that take fewer milliseconds a step are left out of the table."""

_OPERATION = re.compile(r"[\w./-]+:(\w+)")


def profiled(results: Iterator[StepResult], logs: Path, table: Path) -> Iterator[StepResult]:
    """Yield the results unchanged, and profile the steps between SKIPPED and SKIPPED + PROFILED.

    The folder `logs` gets the profile for TensorBoard, the file `table` a summary. A session that
    ends before writes neither.
    """
    number, tracing, started = 0, False, 0.0
    try:
        for result in results:
            yield result
            if result.validation is not None or result.failure is not None:
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
    """A section for each device, with a line for each kind of operation, the longest first."""
    lines = [
        f"A step took {milliseconds:.1f} milliseconds (mean of {PROFILED} profiled steps).",
        "Each line: a kind of operation, its milliseconds a step, its share, its runs a step.",
        "Operations run in parallel, so their times add up to more than the step's.",
    ]
    for plane in space.planes:
        if "CPU" not in plane.name and "GPU" not in plane.name:
            continue
        total: dict[str, float] = defaultdict(float)
        count: dict[str, int] = defaultdict(int)
        for line in plane.lines:
            for event in line.events:
                match = _OPERATION.fullmatch(plane.event_metadata[event.metadata_id].name)
                if match:
                    total[match[1]] += event.duration_ps / 1e9 / PROFILED
                    count[match[1]] += 1
        if not total:
            continue
        lines += ["", plane.name, f"{'operation':40} {'ms':>9} {'share':>6} {'times':>6}"]
        all_kinds = sum(total.values())
        for kind, time_ in sorted(total.items(), key=lambda item: -item[1]):
            if time_ < SHORTEST:
                break
            lines.append(
                f"{kind:40} {time_:9.1f} {time_ / all_kinds:6.1%} {count[kind] / PROFILED:6.0f}"
            )
    return "\n".join(lines) + "\n"
