"""When training diverges, it returns to an earlier checkpoint and halves the learning rate.

Training diverges when the loss or its gradient is not finite, or when the loss jumps. The training
state alone decides which checkpoint it returns to, so a run that was stopped or killed in between
returns to the same one.
"""

from __future__ import annotations

import math
from dataclasses import replace

from translator.training.results import Divergence, LossJump, Update
from translator.training.state import RECORD_EVERY, TrainingState

MAX_ROLLBACKS = 3
"""Rollbacks of a run. If it diverges once more, it ends."""

LOSS_JUMP = 2.0
"""Training diverged if the mean loss of the last RECORD_EVERY steps is more than this above the
lowest such mean, in nats a target piece: seven times the perplexity. Batches never differ so much
over that many steps, but a model that falls back to the frequencies of the pieces does."""


def rate_factor(state: TrainingState) -> float:
    """The share of the learning rate that is left after the rollbacks."""
    return 0.5**state.rollbacks.count


def find_divergence(
    before: TrainingState, after: TrainingState, update: Update
) -> Divergence | None:
    """The divergence in a step, if any, from the states before and after it."""
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

    Every RECORD_EVERY steps, the mean loss shows that the last due checkpoint is sound.
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

    The checkpoint is sound if its step is a multiple of RECORD_EVERY: the mean loss before it is
    known. It is also sound if its weights are the best so far, unless their losses have jumped.
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

    The best weights stay the best. If training diverges again before the next due checkpoint, it
    returns to a sound one.
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
