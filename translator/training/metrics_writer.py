"""What training writes into a run: metrics.jsonl, TensorBoard, translations of each validation."""

from __future__ import annotations

import json
import os
import time
from types import TracebackType
from typing import Any

import tensorflow as tf

from translator.errors import RunError
from translator.files import naming, write_whole
from translator.runs import RunDirectory, step_of
from translator.training.results import StepResult, Validation
from translator.training.state import TrainingState, is_recorded


class MetricsWriter:
    """Writes each StepResult into the run. It first deletes what was written after `state`."""

    def __init__(self, run: RunDirectory, state: TrainingState, keep_text: bool) -> None:
        self._run = run
        self._keep_text = keep_text
        self._open(state)

    def _open(self, state: TrainingState) -> None:
        self._speeds: list[float] = []
        _delete_after(self._run, state)
        self._run.metrics.touch()
        self._tensorboard = _EventFile(self._run, state.step)

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._tensorboard.close()

    def add(self, result: StepResult) -> None:
        """Write a result. Raises OSError or RunError if that fails."""
        if result.failure is not None:
            self._tensorboard.close()
            self._open(result.state)
        elif result.validation is not None:
            self._add_validation(result, result.validation)
        else:
            self._add_step(result)

    def _add_step(self, result: StepResult) -> None:
        self._speeds.append(result.tokens_per_second)
        if is_recorded(result.state.step):
            self._write(
                "train",
                result.state,
                loss=result.state.losses.mean,
                gradient_norm=result.gradient_norm,
                learning_rate=result.learning_rate,
                tokens_per_second=sum(self._speeds) / len(self._speeds),
            )
            self._speeds.clear()

    def _add_validation(self, result: StepResult, validation: Validation) -> None:
        self._write(
            "validation",
            result.state,
            **validation.facts(),
            best=result.is_best,
            validation_seconds=validation.seconds,
            **validation.symptoms,
        )
        if self._keep_text:
            text = "".join(f"{line}\n" for line in validation.translations)
            path = self._run.validation(result.state.step)
            path.parent.mkdir(exist_ok=True)
            write_whole(path, text)

    def _write(self, kind: str, state: TrainingState, **values: Any) -> None:
        row = {
            "kind": kind,
            "step": state.step,
            "seconds": round(state.clock.seconds, 3),
            "target_tokens": state.target_tokens,
            **values,
        }
        with naming(self._run.metrics), self._run.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        scalars = {f"{kind}/{k}": v for k, v in values.items() if isinstance(v, float)}
        self._tensorboard.write(state.step, scalars)


def read_metrics(run: RunDirectory) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl, without incomplete ones that a crash may have left."""
    text = run.metrics.read_text(encoding="utf-8", errors="replace")
    return list(filter(None, map(_row, text.splitlines())))


class _EventFile:
    """A file for TensorBoard: TFRecords of Event messages.

    TensorFlow's own writer needs the tensorboard package; this does not.
    """

    def __init__(self, run: RunDirectory, step: int) -> None:
        now = time.time()
        run.tensorboard.mkdir(exist_ok=True)
        self._writer = tf.io.TFRecordWriter(os.fsencode(run.event_file(now)))
        self._add(wall_time=now, file_version="brain.Event:2")
        # TensorBoard drops what an earlier session wrote after this step.
        start = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
        self._add(wall_time=now, step=step + 1, session_log=start)

    def write(self, step: int, scalars: dict[str, float]) -> None:
        value = tf.compat.v1.Summary.Value
        values = [value(tag=tag, simple_value=number) for tag, number in scalars.items()]
        self._add(wall_time=time.time(), step=step, summary=tf.compat.v1.Summary(value=values))

    def close(self) -> None:
        self._writer.close()

    def _add(self, **fields: Any) -> None:
        try:
            self._writer.write(tf.compat.v1.Event(**fields).SerializeToString())
            self._writer.flush()
        except tf.errors.OpError as error:
            raise RunError(f"TensorBoard's file cannot be written: {error.message}.") from None


def _delete_after(run: RunDirectory, state: TrainingState) -> None:
    last = {"train": state.step, "validation": state.validations.last_step}
    if run.metrics.exists():
        rows = read_metrics(run)
        kept = "".join(json.dumps(row) + "\n" for row in rows if row["step"] <= last[row["kind"]])
        write_whole(run.metrics, kept)
    for path in run.validations():
        if step_of(path) > state.validations.last_step:
            path.unlink()


def _row(line: str) -> dict[str, Any] | None:
    """A row of metrics.jsonl; None if the line is incomplete."""
    try:
        row = json.loads(line)
        return row if row["kind"] in ("train", "validation") and int(row["step"]) else None
    except (ValueError, TypeError, KeyError):
        return None
