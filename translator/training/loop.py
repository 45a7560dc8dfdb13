"""The training loop: a generator that yields after every step, prints nothing and draws nothing.

Step n is the n-th update, counted from 1. What it does depends on the configuration, the seed and
n, and on the state that a checkpoint holds; so a run that was killed goes on as if it never had
been, but for what the clock says under a budget of minutes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from translator.config.schema import TrainingConfig
from translator.data.batches import Batch
from translator.errors import Stopped
from translator.models.weights import Arrays, load_arrays, save_arrays
from translator.runs import RunDirectory
from translator.training.checkpoint import TrainingState, is_recorded, mean_weights, save_checkpoint
from translator.training.distributed.worker_group import Message, WorkerGroup
from translator.training.interruption import Interruption
from translator.training.limits import has_ended, is_validation_due, shares_done, total_steps
from translator.training.optimizer import learning_rate
from translator.training.rollback import (
    MAX_ROLLBACKS,
    Diverged,
    Failure,
    after_due,
    judge,
    rate_factor,
    roll_back,
)
from translator.training.train_step import TrainStep


class Validation(NamedTuple):
    """How good some weights are on the validation pairs."""

    bleu: float
    signature: str
    loss: float
    """Nats a target piece, without smoothing."""
    seconds: float
    translations: list[str]
    symptoms: Mapping[str, float] = {}
    """Shares of the translations that are empty, copied … (evaluation/symptoms.py)."""


class StepResult(NamedTuple):
    """What the loop tells after a step or a validation."""

    position: TrainingState
    loss: float
    """Smoothed cross-entropy a target piece of this step's batch."""
    gradient_norm: float
    learning_rate: float
    tokens_per_second: float
    """Target pieces of this step's batch, over the time it took."""
    validation: Validation | None = None
    is_best: bool = False
    failure: Failure | None = None
    """Why `position` is an earlier one."""


def train(
    config: TrainingConfig,
    run: RunDirectory,
    learner: TrainStep,
    position: TrainingState,
    batches: Callable[[int], list[Batch]],
    batches_per_epoch: int,
    take_up: Callable[[int, Arrays | None], None],
    evaluate: Callable[[Arrays], Validation],
    interruption: Interruption,
    group: WorkerGroup,
) -> Iterator[StepResult]:
    """Train from `position` until a limit is reached or patience is over.

    batches(i) gives the shards of the i-th batch, from 0; take_up(n, state) gives the learner the
    state after step n, or None for its first. The group takes every step, too. When learning fails,
    it goes back to a checkpoint and on at half the learning rate. Raises Diverged when it has
    failed too often; Stopped, after saving, when a signal came; RunError when a checkpoint cannot
    be written; and what the group raises.
    """
    last_step = total_steps(config, batches_per_epoch)
    clock = _Clock(position.seconds)
    saved_step = position.step
    progress = StepResult(position, 0.0, 0.0, 0.0, 0.0)

    def save() -> None:
        nonlocal saved_step
        save_checkpoint(run, position, learner.state())
        saved_step = position.step

    with interruption.deferred():
        try:
            while True:
                interruption.check()
                ended = has_ended(config, position, last_step)
                due = is_validation_due(config, position)
                if position.step > position.validated_step and (due or ended):
                    with interruption.immediate():
                        validation, position, is_best = _validate(
                            config, run, learner.shipped_weights(), position, evaluate
                        )
                    position = _after_validation(position, validation.seconds, clock.read())
                    position = after_due(position, is_best)
                    # First told, then saved: a resume forgets what was told after its checkpoint.
                    yield progress._replace(
                        position=position, validation=validation, is_best=is_best
                    )
                    save()
                    ended = has_ended(config, position, last_step)
                if ended:
                    break
                started = time.monotonic()
                step = position.step + 1
                shares = shares_done(config, position, last_step)
                rate = learning_rate(config.optimizer, step, *shares) * rate_factor(position)
                shards = batches(position.step)
                group.begin_step(step, rate)
                update = learner.update(shards, step, rate)
                num_tokens = sum(shard.num_target_tokens for shard in shards)
                position, fault = judge(
                    position, _after(position, update.loss, num_tokens, clock.read()), *update
                )
                if fault is not None:
                    group.examine(step)
                    norms = learner.gradient_norms(shards, step)
                    failure = Failure(step, *update, rate, shards, norms, *fault)
                    if position.setbacks == MAX_ROLLBACKS:
                        raise Diverged(failure)
                    group.roll_back(failure.back_to)
                    position = roll_back(run, failure.back_to, position, clock.read(), take_up)
                    yield StepResult(position, *update, rate, 0.0, failure=failure)
                    save()
                    continue
                if step % config.save_every == 0:
                    position = after_due(position)
                speed = num_tokens / (time.monotonic() - started)
                progress = StepResult(position, *update, rate, speed)
                yield progress
                if step % config.save_every == 0 and not is_validation_due(config, position):
                    save()
            if config.averaging.kind == "best" and position.averaged_step < position.step:
                with interruption.immediate():
                    validation, position, is_best = _try_mean_of_best(
                        config, run, position, evaluate
                    )
                yield progress._replace(position=position, validation=validation, is_best=is_best)
                save()
        except Stopped:
            if position.step > saved_step:
                save()
            raise


def follow(
    learner: TrainStep,
    orders: Iterable[Message],
    batches: Callable[[int], list[Batch]],
    take_up: Callable[[int], None],
) -> None:
    """Take part in another process's `train`, as it orders: the same updates, and nothing else."""
    for order in orders:
        match order:
            case {"step": step, "rate": rate}:
                learner.update(batches(step - 1), step, rate)
            case {"examine": step}:
                learner.gradient_norms(batches(step - 1), step)
            case {"back": step}:
                take_up(step)


def _after(position: TrainingState, loss: float, num_tokens: int, seconds: float) -> TrainingState:
    """The position after the next step."""
    step = position.step + 1
    if is_recorded(position.step):
        position = replace(position, loss_sum=0.0, summed_steps=0)
    if is_recorded(step):
        position = replace(position, recorded_step=step, recorded_seconds=round(seconds, 3))
    return replace(
        position,
        step=step,
        loss_sum=position.loss_sum + loss,
        summed_steps=position.summed_steps + 1,
        seconds=seconds,
        target_tokens=position.target_tokens + num_tokens,
    )


def _after_validation(position: TrainingState, took: float, seconds: float) -> TrainingState:
    """The position after a validation, which is a row of metrics.jsonl, too; it holds these times,
    so that a schedule follows from the rows."""
    return replace(
        position,
        seconds=seconds,
        validation_seconds=took,
        all_validation_seconds=position.all_validation_seconds + took,
        recorded_step=position.step,
        recorded_seconds=round(seconds, 3),
    )


def _validate(
    config: TrainingConfig,
    run: RunDirectory,
    weights: Arrays,
    position: TrainingState,
    evaluate: Callable[[Arrays], Validation],
) -> tuple[Validation, TrainingState, bool]:
    averaging, step = config.averaging, position.step
    kept = tuple(one for one in position.kept if one[0] != step)
    save_arrays(run.snapshot(step), weights, step=step)
    if averaging.kind != "best":
        kept = (*kept, (step, 0.0))[-averaging.count :]
    if averaging.kind == "last":
        weights = _mean_of(run, kept)
    validation = evaluate(weights)
    score = _score(config, validation)
    if averaging.kind == "best":
        kept = (*kept, (step, score))
        kept = tuple(sorted(kept, key=lambda k: (-k[1], k[0]))[: averaging.count])
    position = replace(position, validated_step=step, kept=kept)
    position, is_best = _compare(run, weights, position, score, validation)
    return validation, position, is_best


def _try_mean_of_best(
    config: TrainingConfig,
    run: RunDirectory,
    position: TrainingState,
    evaluate: Callable[[Arrays], Validation],
) -> tuple[Validation, TrainingState, bool]:
    weights = _mean_of(run, position.kept)
    validation = evaluate(weights)
    position = replace(position, averaged_step=position.step)
    position, is_best = _compare(run, weights, position, _score(config, validation), validation)
    return validation, position, is_best


def _score(config: TrainingConfig, validation: Validation) -> float:
    return validation.bleu if config.best_by == "bleu" else -validation.loss


def _compare(
    run: RunDirectory,
    weights: Arrays,
    position: TrainingState,
    score: float,
    validation: Validation,
) -> tuple[TrainingState, bool]:
    """Ship these weights if they are the best so far."""
    if not math.isfinite(score) or (
        position.best_score is not None and score <= position.best_score
    ):
        return replace(position, stale_validations=position.stale_validations + 1), False
    facts = {"bleu": validation.bleu, "signature": validation.signature, "loss": validation.loss}
    save_arrays(run.best, weights, step=position.step, **facts)
    for path in (run.tuned, run.averaged):  # What was tuned was other weights.
        path.unlink(missing_ok=True)
    position = replace(position, best_step=position.step, best_score=score, stale_validations=0)
    return position, True


def _mean_of(run: RunDirectory, kept: tuple[tuple[int, float], ...]) -> Arrays:
    return mean_weights([load_arrays(run.snapshot(step))[0] for step, _ in kept])


class _Clock:
    """Seconds of training over all sessions."""

    def __init__(self, before: float) -> None:
        self._start = time.monotonic() - before

    def read(self) -> float:
        return time.monotonic() - self._start
