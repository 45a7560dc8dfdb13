"""When training diverges: go back to an earlier checkpoint, and on at half the learning rate.

Training diverges when the loss or its gradient is not finite, or when the loss jumps. Where it goes
back to follows from the training state alone, so a run that was stopped or killed in between goes
back to the same checkpoint.
"""

from __future__ import annotations

import math
from dataclasses import replace

from translator.training.results import Divergence, LossJump, Update
from translator.training.state import RECORD_EVERY, TrainingState

MAX_ROLLBACKS = 3
"""Rollbacks of a run. When it diverges once more, it ends."""

LOSS_JUMP = 2.0
"""Training diverged if the mean loss of the last RECORD_EVERY steps is so many nats a target piece
above the lowest such mean: seven times the perplexity. Batches do not differ by so much over that
many steps. A model that falls back to the frequencies of the pieces does."""


def rate_factor(state: TrainingState) -> float:
    """The share of the learning rate that is left after the rollbacks."""
    return 0.5**state.rollbacks.count


def find_divergence(
    before: TrainingState, after: TrainingState, update: Update
) -> Divergence | None:
    """Whether training diverged in a step, from the states before and after it."""
    if not all(map(math.isfinite, update)):
        return Divergence(before.rollbacks.due_step)
    if after.step % RECORD_EVERY:
        return None
    mean, lowest = after.losses.mean, after.losses.lowest_mean
    if lowest is not None and mean > lowest + LOSS_JUMP:
        return Divergence(before.rollbacks.sound_step, LossJump(lowest, mean))
    return None


def after_sound_step(state: TrainingState) -> TrainingState:
    """The state after a step that did not diverge.

    At the end of a row, its mean loss shows that the last due checkpoint is sound.
    """
    if state.step % RECORD_EVERY:
        return state
    mean, lowest = state.losses.mean, state.losses.lowest_mean
    lowest = mean if lowest is None else min(mean, lowest)
    return replace(
        state,
        losses=replace(state.losses, lowest_mean=lowest),
        rollbacks=replace(state.rollbacks, sound_step=state.rollbacks.due_step),
    )


def after_due(state: TrainingState, is_best: bool = False) -> TrainingState:
    """The state with a checkpoint due now.

    The checkpoint is sound if the losses before it are known, at the end of a row. It also is if
    its weights are the best so far, unless their losses have jumped.
    """
    step, losses = state.step, state.losses
    has_jumped = (
        losses.lowest_mean is not None
        and losses.sum > (losses.lowest_mean + LOSS_JUMP) * losses.num_steps
    )
    is_sound = step % RECORD_EVERY == 0 or (is_best and not has_jumped)
    sound_step = step if is_sound else state.rollbacks.sound_step
    return replace(state, rollbacks=replace(state.rollbacks, due_step=step, sound_step=sound_step))


def after_rollback(
    checkpoint: TrainingState, diverged: TrainingState, seconds: float
) -> TrainingState:
    """The state after a rollback to a checkpoint; `seconds` is the time spent so far.

    The best weights stay the best. Should training diverge again before the next due checkpoint,
    it goes back to a sound one.
    """
    lost = seconds - checkpoint.clock.seconds
    sound_step = diverged.rollbacks.sound_step
    return replace(
        checkpoint,
        clock=replace(
            checkpoint.clock,
            seconds=seconds,
            recorded_seconds=checkpoint.clock.recorded_seconds + lost,
            lost=checkpoint.clock.lost + lost,
            last_validation=diverged.clock.last_validation,
        ),
        validations=replace(
            checkpoint.validations,
            best_step=diverged.validations.best_step,
            best_score=diverged.validations.best_score,
        ),
        rollbacks=replace(
            diverged.rollbacks,
            count=diverged.rollbacks.count + 1,
            due_step=sound_step,
            sound_step=sound_step,
        ),
    )
