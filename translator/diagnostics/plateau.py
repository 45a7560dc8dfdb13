"""Validations that stop improving while the training loss falls, and what that means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

CHECK_EVERY = 3
"""A plateau is looked for when the number of validations without a better score is a multiple of
this."""

MIN_FALL = 0.02
"""Share by which the training loss must have fallen in the meantime: more than its noise."""

MIN_STEPS = 2000
"""Steps after which BLEU is clearly above zero if the pairs are translations. On Multi30k it was 10
to 29 after 500 steps."""


class Overfitting(NamedTuple):
    """Validations stopped improving while the training loss fell."""

    best_step: int
    num_stale: int
    """Validations since the best one."""
    loss_then: float
    """Mean training loss before the best validation, over as many rows as `loss_now`."""
    loss_now: float
    """Mean training loss of the last rows."""

    def __str__(self) -> str:
        return (
            f"The last {self.num_stale} validations were no better than that of step "
            f"{self.best_step:,}, while the training loss fell from {self.loss_then:.3f} to "
            f"{self.loss_now:.3f}: the model is overfitting. Set training.patience to end a run "
            "then. More text, a higher model.dropout_rate or a smaller model helps in another run."
        )


class Unrelated(NamedTuple):
    """BLEU stays near zero while the training loss falls."""

    step: int
    loss_then: float
    """Training loss of the first row."""
    loss_now: float
    """Training loss of the last row."""

    def __str__(self) -> str:
        return (
            f"BLEU is still below 1 after {self.step:,} steps, while the training loss fell from "
            f"{self.loss_then:.3f} to {self.loss_now:.3f}. A model learns that much even from "
            "lines that do not translate each other. Check that they do in data.train and "
            "data.validation."
        )


def find_plateau(
    rows: Sequence[Mapping[str, Any]], step: int, best_step: int, num_stale: int
) -> Overfitting | Unrelated | None:
    """What the rows of metrics.jsonl show after the validation at `step`; usually None.

    num_stale: validations since the best one, which was at `best_step`.
    """
    return _unrelated(rows, step) or _overfitting(rows, step, best_step, num_stale)


def _unrelated(rows: Sequence[Mapping[str, Any]], step: int) -> Unrelated | None:
    scores = [row["bleu"] for row in rows if row["kind"] == "validation"]
    losses = [row["loss"] for row in rows if row["kind"] == "train"]
    if step < MIN_STEPS or len(scores) % CHECK_EVERY or max(scores) >= 1 or not losses:
        return None
    found = Unrelated(step, losses[0], losses[-1])
    return found if found.loss_now < found.loss_then else None


def _overfitting(
    rows: Sequence[Mapping[str, Any]], step: int, best_step: int, num_stale: int
) -> Overfitting | None:
    """Also None while the validation loss still falls, because the score may follow."""
    if num_stale == 0 or num_stale % CHECK_EVERY:
        return None
    losses = {row["step"]: row["loss"] for row in rows if row["kind"] == "validation"}
    if best_step not in losses or losses[step] < losses[best_step]:
        return None
    train = [row for row in rows if row["kind"] == "train"]
    before = [row["loss"] for row in train if row["step"] <= best_step]
    since = [row["loss"] for row in train if row["step"] > best_step]
    num_rows = len(since) // num_stale
    if not before or num_rows == 0:
        return None
    found = Overfitting(best_step, num_stale, fmean(before[-num_rows:]), fmean(since[-num_rows:]))
    return found if found.loss_now < (1 - MIN_FALL) * found.loss_then else None
