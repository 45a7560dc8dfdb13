"""Whether a model learns its training text by heart: said from what a run has written down."""

from __future__ import annotations

from statistics import fmean
from typing import NamedTuple

from translator.runs import RunDirectory
from translator.training.checkpoint import Position
from translator.training.records import read_metrics

STALE = 3
"""Validations without a better score after which it is asked, and again after as many more."""

FALL = 0.02
"""By which share the training loss must have fallen meanwhile: more than its noise."""


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


def overfitting(run: RunDirectory, position: Position) -> Overfitting | None:
    """Asked after each validation; mostly None.

    The validation loss must not have fallen either: early on, a BLEU of zero that stays one says
    nothing.
    """
    num_stale = position.stale_validations
    if num_stale == 0 or num_stale % STALE:
        return None
    rows = read_metrics(run)
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
