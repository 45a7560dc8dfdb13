"""What training reports: steps, validations and failures. No TensorFlow here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from translator.data.batches import Batch
from translator.training.state import TrainingState


class Score(NamedTuple):
    """A score with its signature."""

    name: str
    value: float
    signature: str

    def __str__(self) -> str:
        return f"{self.name} {self.value:.2f}  {self.signature}"


class Validation(NamedTuple):
    """How good some weights are on the validation pairs."""

    scores: Mapping[str, Score]
    """By the keys of evaluation/metrics.py; always with "bleu"."""
    loss: float
    """Cross-entropy without smoothing, in nats a target piece."""
    rank: float
    """The score (a mean if there are several) or loss that training.best_by names, negated if lower
    is better."""
    seconds: float
    translations: list[str]
    symptoms: Mapping[str, float] = {}
    """Shares of the translations that are empty, copied … (diagnostics/symptoms.py)."""

    def facts(self) -> dict[str, float | str]:
        """Scores, signatures and loss, by their keys in files."""
        facts: dict[str, float | str] = {}
        for key, score in self.scores.items():
            facts[key] = score.value
            facts["signature" if key == "bleu" else f"{key}_signature"] = score.signature
        return facts | {"loss": self.loss}


class Update(NamedTuple):
    """Loss and gradient norm of a step."""

    loss: float
    """Smoothed cross-entropy in nats a target token; with R-Drop the mean of both passes. NaN if
    the computed value is lower than a cross-entropy can be: the logits are too far apart for
    float32."""
    gradient_norm: float
    """Global norm, before clipping."""


class LossJump(NamedTuple):
    """Mean losses over RECORD_EVERY steps."""

    lowest: float
    """The lowest so far."""
    last: float


class Divergence(NamedTuple):
    """Why training diverged at a step, and the step that it returns to."""

    back_to: int
    """Step of a checkpoint; 0 for the beginning of the run."""
    jump: LossJump | None = None
    """None if the loss or the gradient norm is not finite."""


class Failure(NamedTuple):
    """A step at which training diverged."""

    step: int
    update: Update
    learning_rate: float
    shards: list[Batch]
    gradient_norms: dict[str, float]
    """Of each weight; computed before the update, or after it if the loss jumped (the update was
    then made)."""
    divergence: Divergence


class Diverged(Exception):
    """Training diverged after MAX_ROLLBACKS rollbacks."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"training diverged at step {failure.step}")
        self.failure = failure


class StepResult(NamedTuple):
    """What happened: a step, a validation, or a rollback."""

    state: TrainingState
    """The state afterwards."""
    loss: float = 0.0
    """Smoothed cross-entropy of the step's batch, in nats a target piece."""
    gradient_norm: float = 0.0
    learning_rate: float = 0.0
    tokens_per_second: float = 0.0
    """Target pieces of the step's batch, divided by the time that the step took."""
    validation: Validation | None = None
    is_best: bool = False
    """Whether the validation is the best so far."""
    failure: Failure | None = None
    """What caused a rollback."""
