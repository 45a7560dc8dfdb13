"""The training loop.

It yields a result after each step, validation and rollback; it prints nothing. Step n is the n-th
update, counted from 1. It depends only on the configuration, the seed, n and the training state, so
a killed run resumes to the same bits. A budget of minutes makes it depend on the clock, too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from translator.config.schema import TrainingConfig
from translator.data.batches import Batch
from translator.errors import Stopped
from translator.models.weights import Arrays, load_arrays, save_arrays
from translator.runs import RunDirectory
from translator.training.checkpoint import mean_weights, read_checkpoint, save_checkpoint
from translator.training.distributed.worker_group import Message, WorkerGroup
from translator.training.interruption import Interruption
from translator.training.limits import has_ended, is_validation_due, shares_done
from translator.training.optimizer import learning_rate
from translator.training.results import Diverged, Failure, StepResult, Validation
from translator.training.rollback import (
    MAX_ROLLBACKS,
    after_due,
    after_rollback,
    after_sound_step,
    find_divergence,
    rate_factor,
)
from translator.training.state import (
    Snapshot,
    TrainingState,
    Validations,
    after_step,
    after_validation,
)
from translator.training.train_step import TrainStep


class Session(Protocol):
    """The train step of a process and its batches."""

    @property
    def train_step(self) -> TrainStep: ...

    @property
    def last_step(self) -> int | None:
        """By max_steps or max_epochs, if there is such a limit."""

    def batches(self, index: int) -> list[Batch]:
        """The shards of a batch, counted from 0."""

    def restore(self, step: int, arrays: Arrays | None) -> None:
        """Set the train step to a checkpoint's arrays, or to its first weights for None."""


class Trainer:
    """Trains a run from its state until a limit is reached or patience is over.

    evaluate: scores weights on the validation split.
    group: the workers, which take every step, too.

    `state` is always that after the last step, validation or rollback.
    """

    def __init__(
        self,
        config: TrainingConfig,
        run: RunDirectory,
        session: Session,
        state: TrainingState,
        evaluate: Callable[[Arrays], Validation],
        interruption: Interruption,
        group: WorkerGroup,
    ) -> None:
        self.state = state
        self._config = config
        self._run = run
        self._session = session
        self._evaluate = evaluate
        self._interruption = interruption
        self._group = group
        self._stopwatch = Stopwatch(state.clock.seconds)
        self._saved_step = state.step

    def loop(self) -> Iterator[StepResult]:
        """Train, and yield what happened.

        Raises Diverged if training diverged too often, Stopped (after saving) if a signal was
        received, RunError if a checkpoint cannot be written, and what the worker group raises.
        """
        with self._interruption.deferred():
            try:
                while True:
                    self._interruption.check()
                    if self._is_validation_due():
                        result = self.validate()
                    elif self._has_ended():
                        break
                    else:
                        result = self.step()
                        if result.failure is not None:
                            result = self.roll_back(result, result.failure)
                    # Yield first, then save: a resume deletes metrics written after its checkpoint.
                    yield result
                    if self._is_save_due(result):
                        self.save()
                if self._is_mean_due():
                    yield self.validate_mean_of_best()
                    self.save()
            except Stopped:
                if self.state.step > self._saved_step:
                    self.save()
                raise

    def step(self) -> StepResult:
        """Learn from the next batch. If training diverges, the state stays as before the step."""
        config, before, train_step = self._config, self.state, self._session.train_step
        started = time.monotonic()
        step = before.step + 1
        shares = shares_done(config, before, self._session.last_step)
        rate = learning_rate(config.optimizer, step, *shares) * rate_factor(before)
        shards = self._session.batches(before.step)
        self._group.begin_step(step, rate)
        update = train_step.update(shards, step, rate)
        num_tokens = sum(shard.num_target_tokens for shard in shards)
        after = after_step(before, update.loss, num_tokens, self._stopwatch.read())
        if divergence := find_divergence(before, after, update):
            self._group.examine(step)
            norms = train_step.gradient_norms(shards, step)
            failure = Failure(step, update, rate, shards, norms, divergence)
            return StepResult(before, *update, rate, failure=failure)
        self.state = after_sound_step(after)
        if step % config.save_every == 0:
            self.state = after_due(self.state)
        speed = num_tokens / (time.monotonic() - started)
        return StepResult(self.state, *update, rate, speed)

    def roll_back(self, result: StepResult, failure: Failure) -> StepResult:
        """Return to the checkpoint that a failure names; nothing changes on disk before `save`.

        Raises Diverged after MAX_ROLLBACKS rollbacks, RunError if the checkpoint is damaged.
        """
        if self.state.rollbacks.count == MAX_ROLLBACKS:
            raise Diverged(failure)
        step = failure.divergence.back_to
        self._group.roll_back(step)
        checkpoint, arrays = TrainingState(), None
        if step:
            checkpoint, arrays = read_checkpoint(self._run.checkpoint(step))
        self._session.restore(step, arrays)
        self.state = after_rollback(checkpoint, self.state, self._stopwatch.read())
        return result._replace(state=self.state)

    def validate(self) -> StepResult:
        """Score the weights of this step, averaged as configured. Ship the best so far."""
        averaging, step = self._config.averaging, self.state.step
        weights = self._session.train_step.shipped_weights()
        save_arrays(self._run.snapshot(step), weights, step=step)
        kept = tuple(one for one in self.state.validations.kept if one.step != step)
        if averaging.kind != "best":
            kept = (*kept, Snapshot(step, 0.0))[-averaging.count :]
        if averaging.kind == "last":
            weights = self._mean(kept)
        validation = self._interruptible_evaluation(weights)
        if averaging.kind == "best":
            kept = (*kept, Snapshot(step, validation.rank))
            kept = tuple(sorted(kept, key=lambda one: (-one.score, one.step))[: averaging.count])
        is_best = self._is_better(validation)
        validations = self._ship(weights, validation) if is_best else self._stale()
        validations = replace(validations, last_step=step, kept=kept)
        seconds = self._stopwatch.read()
        state = after_validation(self.state, validations, validation.seconds, seconds)
        self.state = after_due(state, is_best)
        return StepResult(self.state, validation=validation, is_best=is_best)

    def validate_mean_of_best(self) -> StepResult:
        """Score the mean of the best weights. Ship it if it scores higher than the best so far."""
        weights = self._mean(self.state.validations.kept)
        validation = self._interruptible_evaluation(weights)
        is_best = self._is_better(validation)
        validations = self._ship(weights, validation) if is_best else self._stale()
        validations = replace(validations, averaged_step=self.state.step)
        self.state = replace(self.state, validations=validations)
        return StepResult(self.state, validation=validation, is_best=is_best)

    def save(self) -> None:
        """Write a checkpoint. Raises RunError if that fails."""
        save_checkpoint(self._run, self.state, self._session.train_step.state())
        self._saved_step = self.state.step

    def _has_ended(self) -> bool:
        return has_ended(self._config, self.state, self._session.last_step)

    def _is_validation_due(self) -> bool:
        is_new = self.state.step > self.state.validations.last_step
        return is_new and (is_validation_due(self._config, self.state) or self._has_ended())

    def _is_mean_due(self) -> bool:
        is_new = self.state.step > self.state.validations.averaged_step
        return self._config.averaging.kind == "best" and is_new

    def _is_save_due(self, result: StepResult) -> bool:
        if result.validation is not None or result.failure is not None:
            return True
        is_due = self.state.step % self._config.save_every == 0
        return is_due and not is_validation_due(self._config, self.state)

    def _interruptible_evaluation(self, weights: Arrays) -> Validation:
        """Evaluate; a signal stops it at once, because it can be repeated."""
        with self._interruption.immediate():
            return self._evaluate(weights)

    def _is_better(self, validation: Validation) -> bool:
        best = self.state.validations.best_score
        return math.isfinite(validation.rank) and (best is None or validation.rank > best)

    def _ship(self, weights: Arrays, validation: Validation) -> Validations:
        """Make these the weights that `translate` uses."""
        step = self.state.step
        save_arrays(self._run.best, weights, step=step, **validation.facts())
        for path in (self._run.tuned, self._run.averaged):  # tuned for other weights
            path.unlink(missing_ok=True)
        return replace(
            self.state.validations, best_step=step, best_score=validation.rank, num_stale=0
        )

    def _stale(self) -> Validations:
        validations = self.state.validations
        return replace(validations, num_stale=validations.num_stale + 1)

    def _mean(self, kept: Iterable[Snapshot]) -> Arrays:
        return mean_weights([load_arrays(self._run.snapshot(one.step))[0] for one in kept])


def follow_chief(session: Session, run: RunDirectory, orders: Iterable[Message]) -> None:
    """As a worker: repeat the updates and rollbacks that the chief's trainer orders."""
    for order in orders:
        match order:
            case {"step": step, "rate": rate}:
                session.train_step.update(session.batches(step - 1), step, rate)
            case {"examine": step}:
                session.train_step.gradient_norms(session.batches(step - 1), step)
            case {"back": step}:
                arrays = load_arrays(run.checkpoint(step))[0] if step else None
                session.restore(step, arrays)


class Stopwatch:
    """Seconds of training over all sessions."""

    def __init__(self, seconds_before: float) -> None:
        self._start = time.monotonic() - seconds_before

    def read(self) -> float:
        return time.monotonic() - self._start
