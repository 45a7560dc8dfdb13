"""How long a run goes on, and how much of it is over."""

from __future__ import annotations

from translator.config.schema import TrainingConfig
from translator.training.checkpoint import TrainingState


def total_steps(config: TrainingConfig, batches_per_epoch: int) -> int | None:
    """The step that max_steps or max_epochs ends at, whichever comes first; None without either."""
    limits = [config.max_steps, config.max_epochs and config.max_epochs * batches_per_epoch]
    return min((limit for limit in limits if limit is not None), default=None)


def shares_done(
    config: TrainingConfig, position: TrainingState, last_step: int | None
) -> tuple[float, float]:
    """Of the steps or the minutes that the run may take, the share that is over, 0 to 1, and the
    share that rollbacks have cost.

    Minutes are not read from the clock, but drawn on from the last row of metrics.jsonl at the pace
    of the steps until there: so the learning rates follow from what is recorded.
    """
    shares = [(0.0, 0.0)]
    if last_step is not None:
        shares.append((position.step / last_step, 0.0))
    if config.max_minutes is not None:
        lost, limit = position.lost_seconds, 60 * config.max_minutes
        learning = position.recorded_seconds - lost - position.all_validation_seconds
        pace = learning / max(1, position.recorded_step)
        now = position.recorded_seconds + (position.step - position.recorded_step) * pace
        shares.append((now / limit, lost / limit))
    done, lost = max(shares)
    return min(1.0, done), lost


def is_validation_due(config: TrainingConfig, position: TrainingState) -> bool:
    """Whether this step has a validation. If it would take what time is left, it is left to the
    last step, and the time to learning."""
    is_due = position.step % config.validate_every == 0
    if config.max_minutes is None:
        return is_due
    return is_due and position.seconds + position.validation_seconds < 60 * config.max_minutes


def has_ended(config: TrainingConfig, position: TrainingState, last_step: int | None) -> bool:
    return (
        (last_step is not None and position.step >= last_step)
        or (config.max_minutes is not None and position.seconds >= 60 * config.max_minutes)
        or (config.patience is not None and position.stale_validations >= config.patience)
    )
