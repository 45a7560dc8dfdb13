"""What a run writes down of its training: metrics.jsonl, TensorBoard, validation translations."""

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
from translator.training.checkpoint import TrainingState, is_recorded
from translator.training.loop import StepResult, Validation


class MetricsWriter:
    """Writes each StepResult into the run. Rows recorded after `position` are removed first."""

    def __init__(self, run: RunDirectory, position: TrainingState, keep_text: bool) -> None:
        self._run = run
        self._keep_text = keep_text
        self._open(position)

    def _open(self, position: TrainingState) -> None:
        self._speeds: list[float] = []
        _forget_after(self._run, position)
        self._run.metrics.touch()
        self._tensorboard = _EventFile(self._run, position.step)

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._tensorboard.close()

    def add(self, progress: StepResult) -> None:
        if progress.failure is not None:
            self._tensorboard.close()
            self._open(progress.position)
            return
        if progress.validation is not None:
            self._add_validation(progress, progress.validation)
            return
        self._speeds.append(progress.tokens_per_second)
        position = progress.position
        if is_recorded(position.step):
            self._write(
                "train",
                progress,
                loss=position.loss_sum / position.summed_steps,
                gradient_norm=progress.gradient_norm,
                learning_rate=progress.learning_rate,
                tokens_per_second=sum(self._speeds) / len(self._speeds),
            )
            self._speeds.clear()

    def _add_validation(self, progress: StepResult, validation: Validation) -> None:
        self._write(
            "validation",
            progress,
            bleu=validation.bleu,
            signature=validation.signature,
            loss=validation.loss,
            best=progress.is_best,
            validation_seconds=validation.seconds,
            **validation.symptoms,
        )
        if self._keep_text:
            text = "".join(f"{line}\n" for line in validation.translations)
            write_whole(self._run.validation(progress.position.step), text)

    def _write(self, kind: str, progress: StepResult, **values: Any) -> None:
        position = progress.position
        row = {
            "kind": kind,
            "step": position.step,
            "seconds": round(position.seconds, 3),
            "target_tokens": position.target_tokens,
            **values,
        }
        with naming(self._run.metrics), self._run.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        scalars = {f"{kind}/{k}": v for k, v in values.items() if isinstance(v, float)}
        self._tensorboard.write(position.step, scalars)


def read_metrics(run: RunDirectory) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl, without what a crash cut short."""
    text = run.metrics.read_text(encoding="utf-8", errors="replace")
    return list(filter(None, map(_row, text.splitlines())))


class _EventFile:
    """What TensorBoard reads: TFRecords of Event messages. TensorFlow's own writer for them lives
    in the tensorboard package; writing them needs no more than this."""

    def __init__(self, run: RunDirectory, step: int) -> None:
        now = time.time()
        self._writer = tf.io.TFRecordWriter(os.fsencode(run.event_file(now)))
        self._add(wall_time=now, file_version="brain.Event:2")
        # Tells TensorBoard to drop what an earlier session wrote after this step.
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


def _forget_after(run: RunDirectory, position: TrainingState) -> None:
    last = {"train": position.step, "validation": position.validated_step}
    if run.metrics.exists():
        rows = read_metrics(run)
        kept = "".join(json.dumps(row) + "\n" for row in rows if row["step"] <= last[row["kind"]])
        write_whole(run.metrics, kept)
    for path in run.validations():
        if step_of(path) > position.validated_step:
            path.unlink()


def _row(line: str) -> dict[str, Any] | None:
    """A row of metrics.jsonl; None if a crash cut it short, or it is none."""
    try:
        row = json.loads(line)
        return row if row["kind"] in ("train", "validation") and int(row["step"]) else None
    except (ValueError, TypeError, KeyError):
        return None
