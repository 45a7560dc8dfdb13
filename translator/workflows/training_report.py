"""What the log and the progress bar show of a training session."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from translator.diagnostics.data_warnings import data_warnings
from translator.diagnostics.symptoms import describe_symptoms

if TYPE_CHECKING:
    from translator.config.schema import TrainingConfig
    from translator.data.corpus import Pair
    from translator.training.dry_run import DryRun
    from translator.training.results import StepResult, Validation
    from translator.training.state import TrainingState
    from translator.workflows.prepared import Prepared
    from translator.workflows.progress import Update
    from translator.workflows.training_session import TrainingSession

log = logging.getLogger(__name__)

NUM_SAMPLES = 3
"""Validation sentences that are shown with their translations."""

SMOOTHING = 0.95
"""Weight of the mean so far in the moving averages of loss and speed."""


def log_session(prepared: Prepared, session: TrainingSession) -> None:
    """Log the size of text and model, and warnings about the text."""
    config, tokenizer, facts = prepared.config, prepared.tokenizer, prepared.training.facts
    reasons = {
        "with an empty side": facts.num_empty,
        f"with more than {config.data.max_length} pieces": facts.num_long,
    }
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)
    pieces = f"{len(tokenizer.source):,}"
    if not tokenizer.joint:
        pieces += f" + {len(tokenizer.target):,}"
    log.info(
        f"{facts.num_pairs:,} pairs{f' ({left_out} left out)' if left_out else ''}, "
        f"{session.schedule.batches_per_epoch:,} batches an epoch; {pieces} pieces; "
        f"{session.train_step.model.count_params():,} parameters; {config.training.precision}"
        f"{f'; {session.num_replicas} devices' if session.num_replicas > 1 else ''}."
    )
    if len(prepared.training.stores) > 1:
        _log_corpora(prepared, session)
    warnings = data_warnings(
        config,
        tokenizer,
        prepared.training,
        prepared.validation,
        is_borrowed=prepared.start_weights is not None,
    )
    for warning in warnings:
        log.warning(warning)


def _log_corpora(prepared: Prepared, session: TrainingSession) -> None:
    """Log what each corpus contributes to an epoch."""
    corpora = prepared.config.data.corpora("train").values()
    shares = prepared.training.shares(session.schedule.repetitions())
    for corpus, share in zip(corpora, shares, strict=True):
        log.info(
            f"  {corpus.name}: {share.num_pairs:,} pairs, {share.tokens:.1%} of the target "
            f"pieces; each pair occurs {share.repetition:.2f} times an epoch."
        )


def log_dry_run(
    dry_run: DryRun, last_step: int | None, max_minutes: float | None, state: TrainingState
) -> None:
    """Log time and memory of a step on the largest batch, and when training would end."""
    end, seconds_left = "", math.inf
    if max_minutes is not None:
        seconds_left = 60 * max_minutes - state.clock.seconds
    if last_step is not None and (last_step - state.step) * dry_run.seconds < seconds_left:
        duration = timedelta(seconds=round((last_step - state.step) * dry_run.seconds))
        end = f" At that pace, step {last_step:,} is {duration} away, without validations."
    elif max_minutes is not None:
        num_steps = state.step + max(0, seconds_left) / dry_run.seconds
        end = f" At that pace, time is up near step {num_steps:,.0f}; a last validation follows."
    log.info(
        f"A step on the largest batch took {dry_run.seconds:.2f} s, "
        f"{dry_run.tokens_per_second:,.0f} target tokens a second; the process needs at most "
        f"{dry_run.peak_bytes / 2**30:.1f} GiB.{end}"
    )


class StepReport:
    """Shows the steps of a session in its progress bar, and logs validations."""

    def __init__(
        self,
        config: TrainingConfig,
        last_step: int | None,
        batches_per_epoch: int,
        validation_pairs: Sequence[Pair],
        update: Update,
    ) -> None:
        self._config = config
        self._last_step = last_step
        self._batches_per_epoch = batches_per_epoch
        self._pairs = validation_pairs
        self._update = update
        self._loss: float | None = None
        self._speed: float | None = None
        self._first: tuple[int, float] | None = None
        """Number and time of the first step of this session, or after a rollback."""

    def add(self, result: StepResult) -> None:
        """Take the next result of the training loop."""
        if result.failure is not None:
            self._loss = self._first = None
        elif result.validation is not None:
            self._log_validation(result, result.validation)
        else:
            state = result.state
            self._first = self._first or (state.step, state.clock.seconds)
            self._loss = _smooth(self._loss, result.loss)
            self._speed = _smooth(self._speed, result.tokens_per_second)
            self._update(
                state.step,
                f"epoch {state.step / self._batches_per_epoch:.1f}  loss {self._loss:.3f}  rate "
                f"{result.learning_rate:.2e}  {self._speed:,.0f} tokens/s  "
                f"{self._time_left(state, *self._first)}",
            )

    def _time_left(self, state: TrainingState, first_step: int, first_seconds: float) -> str:
        """Such as "1:30 left", at the pace of this session; empty without a limit."""
        limits = []
        if self._last_step is not None and state.step > first_step:
            pace = (state.clock.seconds - first_seconds) / (state.step - first_step)
            limits.append((self._last_step - state.step) * pace)
        if self._config.max_minutes is not None:
            limits.append(self._config.max_minutes * 60 - state.clock.seconds)
        if not limits:
            return ""
        minutes, seconds = divmod(max(0, round(min(limits))), 60)
        return f"{minutes}:{seconds:02} left"

    def _log_validation(self, result: StepResult, validation: Validation) -> None:
        best = " (best so far)" if result.is_best else ""
        scores = "".join(f"{one.name} {one.value:.2f}, " for one in validation.scores.values())
        log.info(
            f"step {result.state.step}: validation {scores}loss {validation.loss:.3f}{best}, in "
            f"{validation.seconds:.0f} s"
        )
        if description := describe_symptoms(validation.symptoms):
            log.info(description)
        count = len(self._pairs)
        for index in range(0, count, -(-count // NUM_SAMPLES)):
            pair = self._pairs[index]
            log.info(f"    source     {pair.source}")
            log.info(f"    reference  {pair.target}")
            log.info(f"    model      {validation.translations[index]}")


def _smooth(mean: float | None, value: float) -> float:
    return value if mean is None else SMOOTHING * mean + (1 - SMOOTHING) * value
