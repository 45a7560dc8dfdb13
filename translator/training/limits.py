"""How long a run lasts, and how much of it is over."""

from __future__ import annotations

from translator.config.schema import TrainingConfig
from translator.training.state import TrainingState


def total_steps(config: TrainingConfig, batches_per_epoch: int) -> int | None:
    """The last step by max_steps or max_epochs, whichever comes first; None without either."""
    limits = [config.max_steps, config.max_epochs and config.max_epochs * batches_per_epoch]
    return min((limit for limit in limits if limit is not None), default=None)


def shares_done(
    config: TrainingConfig, state: TrainingState, last_step: int | None
) -> tuple[float, float]:
    """The share of the run that is over (0 to 1, by steps or minutes), and the share lost to
    rollbacks.

    Minutes are extrapolated from the last row of metrics.jsonl, at the pace of the steps before it.
    So learning rates depend on what is recorded, and never on the clock.
    """
    shares = [(0.0, 0.0)]
    if last_step is not None:
        shares.append((state.step / last_step, 0.0))
    if config.max_minutes is not None:
        clock, limit = state.clock, 60 * config.max_minutes
        learning = clock.recorded_seconds - clock.lost - clock.all_validations
        pace = learning / max(1, clock.recorded_step)
        now = clock.recorded_seconds + (state.step - clock.recorded_step) * pace
        shares.append((now / limit, clock.lost / limit))
    done, lost = max(shares)
    return min(1.0, done), lost


def is_validation_due(config: TrainingConfig, state: TrainingState) -> bool:
    """Whether to validate after this step.

    A validation that would use up the time budget is skipped: the last step has one anyway.
    """
    is_due = state.step % config.validate_every == 0
    if config.max_minutes is None:
        return is_due
    return is_due and state.clock.seconds + state.clock.last_validation < 60 * config.max_minutes


def has_ended(config: TrainingConfig, state: TrainingState, last_step: int | None) -> bool:
    """Whether a limit is reached, or patience is over."""
    return (
        (last_step is not None and state.step >= last_step)
        or (config.max_minutes is not None and state.clock.seconds >= 60 * config.max_minutes)
        or (config.patience is not None and state.validations.num_stale >= config.patience)
    )
