"""When learning fails: back to a checkpoint from before, and on at half the learning rate.

It fails when the loss or its gradient is no number, or when the loss leaps up. Where a run goes
back to follows from its position, as all that a step does: one that was stopped or killed meanwhile
goes back alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from translator.data.batches import Batch
from translator.models.weights import Arrays
from translator.runs import RunDirectory
from translator.training.checkpoint import RECORD_EVERY, TrainingState, read_checkpoint

MAX_ROLLBACKS = 3
"""How often a run goes back; when it fails once more, it ends."""

LOSS_JUMP = 2.0
"""Nats a target piece above the lowest mean loss of RECORD_EVERY steps, from which on the mean of
the last ones has leapt: seven times the perplexity. Batches do not differ by that, so many steps
together; a model that falls back to the frequencies of the pieces does."""


class Divergence(NamedTuple):
    """Why and where to a run is to go back."""

    back_to: int
    """The step of a checkpoint; 0 for the beginning."""
    leap: tuple[float, float] | None = None
    """The lowest mean loss and the last one; None if a number is none."""


class Failure(NamedTuple):
    """A step at which learning has failed, and what is known of it."""

    step: int
    loss: float
    gradient_norm: float
    learning_rate: float
    shards: list[Batch]
    gradient_norms: dict[str, float]
    """Of each weight, before this step; after it, if the loss has leapt."""
    back_to: int
    leap: tuple[float, float] | None


class Diverged(Exception):
    """A run has failed once more than it may go back."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"learning failed at step {failure.step}")
        self.failure = failure


def rate_factor(position: TrainingState) -> float:
    """What is left of the learning rate."""
    return 0.5**position.setbacks


def judge(
    before: TrainingState, after: TrainingState, loss: float, gradient_norm: float
) -> tuple[TrainingState, Divergence | None]:
    """The position after a step, with what it says of the loss; or that before it, and a fault."""
    if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
        return before, Divergence(before.due_step)
    if after.step % RECORD_EVERY:
        return after, None
    mean = after.loss_sum / after.summed_steps
    lowest = mean if after.lowest_loss is None else after.lowest_loss
    if mean > lowest + LOSS_JUMP:
        return before, Divergence(before.sound_step, (lowest, mean))
    return replace(after, lowest_loss=min(mean, lowest), sound_step=after.due_step), None


def after_due(position: TrainingState, is_best: bool = False) -> TrainingState:
    """The position with a checkpoint that is due now. It is sound if the losses behind it are known
    at the end of a row, or if its weights are the best so far, unless their loss has leapt."""
    step, lowest = position.step, position.lowest_loss
    has_leapt = (
        lowest is not None and position.loss_sum > (lowest + LOSS_JUMP) * position.summed_steps
    )
    is_sound = step % RECORD_EVERY == 0 or (is_best and not has_leapt)
    return replace(position, due_step=step, sound_step=step if is_sound else position.sound_step)


def roll_back(
    run: RunDirectory,
    step: int,
    failed: TrainingState,
    seconds: float,
    take_up: Callable[[int, Arrays | None], None],
) -> TrainingState:
    """Take up the state of an earlier step, and give its position, `seconds` being over in all.

    The best weights so far stay the best. If learning fails again before another checkpoint is due,
    a sound one is gone back to. On disk nothing changes before that is saved. Raises RunError if
    the checkpoint is damaged.
    """
    position, state = read_checkpoint(run.checkpoint(step)) if step else (TrainingState(), None)
    take_up(step, state)
    lost = seconds - position.seconds
    return replace(
        position,
        seconds=seconds,
        recorded_seconds=position.recorded_seconds + lost,
        lost_seconds=position.lost_seconds + lost,
        best_step=failed.best_step,
        best_score=failed.best_score,
        setbacks=failed.setbacks + 1,
        due_step=failed.sound_step,
        sound_step=failed.sound_step,
        validation_seconds=failed.validation_seconds,
    )
