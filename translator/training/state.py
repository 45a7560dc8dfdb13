"""The state of a training run after a step: a few numbers, and their names in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, NamedTuple

from pydantic import TypeAdapter

RECORD_EVERY = 50
"""Steps between rows of metrics.jsonl. Before the first of these, powers of two have a row, too."""


def is_recorded(step: int) -> bool:
    """Whether a step has a row in metrics.jsonl."""
    return step % RECORD_EVERY == 0 or (step < RECORD_EVERY and step.bit_count() == 1)


@dataclass(frozen=True)
class Clock:
    """Seconds over all sessions of the run."""

    seconds: float = 0.0
    """Spent training, validations included."""
    last_validation: float = 0.0
    all_validations: float = 0.0
    lost: float = 0.0
    """Spent on steps that a rollback undid."""
    recorded_step: int = 0
    """Step of the last row of metrics.jsonl, of training or of a validation."""
    recorded_seconds: float = 0.0
    """Seconds in that row. A schedule that ends with the time continues from them."""


@dataclass(frozen=True)
class LossWindow:
    """The losses since the last row of metrics.jsonl."""

    sum: float = 0.0
    """The step after a row resets it; right after a row, it is still the sum for that row."""
    num_steps: int = 0
    lowest_mean: float | None = None
    """Lowest mean loss of a row that covers RECORD_EVERY steps."""

    @property
    def mean(self) -> float:
        return self.sum / self.num_steps


class Snapshot(NamedTuple):
    """Validated weights that are kept to be averaged."""

    step: int
    score: float


@dataclass(frozen=True)
class Validations:
    """What the validations found, by training.best_by; a higher score is better."""

    last_step: int = 0
    best_step: int = 0
    best_score: float | None = None
    num_stale: int = 0
    """Validations since the best one; patience counts them."""
    averaged_step: int = 0
    """Step at which the mean of the best weights was last tried (averaging.kind best)."""
    kept: tuple[Snapshot, ...] = ()


@dataclass(frozen=True)
class Rollbacks:
    """How often training diverged, and the steps that it would return to."""

    count: int = 0
    due_step: int = 0
    """Step of the last checkpoint that was due. A checkpoint that a signal caused is not due."""
    sound_step: int = 0
    """Step of the last due checkpoint that proved sound: by the losses after it, or by the best
    validation so far."""


@dataclass(frozen=True)
class TrainingState:
    """The state of a run after `step` updates."""

    step: int = 0
    target_tokens: int = 0
    clock: Clock = field(default_factory=Clock)
    losses: LossWindow = field(default_factory=LossWindow)
    validations: Validations = field(default_factory=Validations)
    rollbacks: Rollbacks = field(default_factory=Rollbacks)

    def forget_best(self) -> TrainingState:
        """The state if the best weights are lost: the next validation writes best weights again.

        If this step has a validation, it is repeated.
        """
        last_step = min(self.validations.last_step, self.step - 1)
        averaged_step = min(self.validations.averaged_step, self.step - 1)
        validations = replace(
            self.validations, best_score=None, last_step=last_step, averaged_step=averaged_step
        )
        return replace(self, validations=validations)


KEYS = {
    "step": "step",
    "target_tokens": "target_tokens",
    "seconds": "clock.seconds",
    "validation_seconds": "clock.last_validation",
    "all_validation_seconds": "clock.all_validations",
    "lost_seconds": "clock.lost",
    "recorded_step": "clock.recorded_step",
    "recorded_seconds": "clock.recorded_seconds",
    "loss_sum": "losses.sum",
    "summed_steps": "losses.num_steps",
    "lowest_loss": "losses.lowest_mean",
    "validated_step": "validations.last_step",
    "best_step": "validations.best_step",
    "best_score": "validations.best_score",
    "stale_validations": "validations.num_stale",
    "averaged_step": "validations.averaged_step",
    "kept": "validations.kept",
    "setbacks": "rollbacks.count",
    "due_step": "rollbacks.due_step",
    "sound_step": "rollbacks.sound_step",
}
"""The keys in a checkpoint, with the attributes of a TrainingState that they hold."""


def to_facts(state: TrainingState) -> dict[str, Any]:
    """A state as a checkpoint holds it."""
    return {key: attrgetter(attribute)(state) for key, attribute in KEYS.items()}


def from_facts(facts: Mapping[str, object]) -> TrainingState:
    """The inverse of `to_facts`. Raises ValueError if these are not the facts of a checkpoint."""
    if not isinstance(facts, Mapping) or facts.keys() != KEYS.keys():
        raise ValueError("these are not the keys of a checkpoint")
    nested: dict[str, Any] = {}
    for key, attribute in KEYS.items():
        group, _, name = attribute.rpartition(".")
        (nested.setdefault(group, {}) if group else nested)[name] = facts[key]
    return TypeAdapter(TrainingState).validate_python(nested)


def after_step(state: TrainingState, loss: float, num_tokens: int, seconds: float) -> TrainingState:
    """The state after the next step."""
    step, clock, losses = state.step + 1, state.clock, state.losses
    if is_recorded(state.step):
        losses = replace(losses, sum=0.0, num_steps=0)
    if is_recorded(step):
        clock = replace(clock, recorded_step=step, recorded_seconds=round(seconds, 3))
    return replace(
        state,
        step=step,
        target_tokens=state.target_tokens + num_tokens,
        clock=replace(clock, seconds=seconds),
        losses=replace(losses, sum=losses.sum + loss, num_steps=losses.num_steps + 1),
    )


def after_validation(
    state: TrainingState, validations: Validations, took: float, seconds: float
) -> TrainingState:
    """The state after a validation that took `took` seconds.

    A validation is a row of metrics.jsonl, so the schedule continues from its time.
    """
    clock = replace(
        state.clock,
        seconds=seconds,
        last_validation=took,
        all_validations=state.clock.all_validations + took,
        recorded_step=state.step,
        recorded_seconds=round(seconds, 3),
    )
    return replace(state, clock=clock, validations=validations)
