"""A validation that stands still while the training loss falls, and what that means: said from what
a run has written down."""

from __future__ import annotations

from statistics import fmean
from typing import Any, NamedTuple

from translator.runs import RunDirectory
from translator.training.checkpoint import TrainingState
from translator.training.metrics_writer import read_metrics

STALE = 3
"""Validations without a better score after which it is asked, and again after as many more."""

FALL = 0.02
"""By which share the training loss must have fallen meanwhile: more than its noise."""

LATE = 2000
"""Steps after which BLEU shows something of what is learnt from pairs that translate each other.
Measured: after 500, it was 10 to 29 on Multi30k."""


class Overfitting(NamedTuple):
    """A validation that stands still while the training loss falls."""

    best_step: int
    num_stale: int
    """Validations since."""
    loss_then: float
    """Mean training loss of the time before the best validation, and as long a time before now."""
    loss_now: float

    def __str__(self) -> str:
        return (
            f"for {self.num_stale} validations none was better than that of step "
            f"{self.best_step:,}, while the training loss fell from {self.loss_then:.3f} to "
            f"{self.loss_now:.3f}: the model learns its training text by heart. With "
            "training.patience a run ends then; in another run more text, a higher "
            "model.dropout_rate or a smaller model helps."
        )


class Unrelated(NamedTuple):
    """A BLEU of next to nothing that stays so while the training loss falls."""

    step: int
    loss_then: float
    """Training loss at first, and now."""
    loss_now: float

    def __str__(self) -> str:
        return (
            f"after {self.step:,} steps BLEU is still below 1, while the training loss fell from "
            f"{self.loss_then:.3f} to {self.loss_now:.3f}: so much can be learnt of lines that do "
            "not translate each other. Look whether they do, in data.train and data.validation."
        )


def find_plateau(run: RunDirectory, position: TrainingState) -> Overfitting | Unrelated | None:
    """Return what a plateau means, or None. Called after each validation."""
    rows = read_metrics(run)
    return _unrelated(rows, position) or _overfitting(rows, position)


def _unrelated(rows: list[dict[str, Any]], position: TrainingState) -> Unrelated | None:
    scores = [row["bleu"] for row in rows if row["kind"] == "validation"]
    losses = [row["loss"] for row in rows if row["kind"] == "train"]
    if position.step < LATE or len(scores) % STALE or max(scores) >= 1 or not losses:
        return None
    found = Unrelated(position.step, losses[0], losses[-1])
    return found if found.loss_now < found.loss_then else None


def _overfitting(rows: list[dict[str, Any]], position: TrainingState) -> Overfitting | None:
    """The validation loss must not have fallen either: else more may come of it."""
    num_stale = position.stale_validations
    if num_stale == 0 or num_stale % STALE:
        return None
    losses = {row["step"]: row["loss"] for row in rows if row["kind"] == "validation"}
    if position.best_step not in losses or losses[position.step] < losses[position.best_step]:
        return None
    train = [row for row in rows if row["kind"] == "train"]
    before = [row["loss"] for row in train if row["step"] <= position.best_step]
    since = [row["loss"] for row in train if row["step"] > position.best_step]
    num_rows = len(since) // num_stale
    if not before or num_rows == 0:
        return None
    found = Overfitting(
        position.best_step, num_stale, fmean(before[-num_rows:]), fmean(since[-num_rows:])
    )
    return found if found.loss_now < (1 - FALL) * found.loss_then else None
