"""`translator train`: prepare what a run needs, train, and show it."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from translator.cli.device import describe_device
from translator.config import Config, load_config, load_recorded, replaced
from translator.data.corpus import name_of
from translator.environment import begin_threads, freeze_weights
from translator.errors import DoesNotFit, OutOfMemory, RunError, Stopped
from translator.runs import RunDirectory
from translator.workflows.data_warnings import data_warnings
from translator.workflows.failure_report import describe_failure, write_failure_report
from translator.workflows.preparation import begin, resume, say

if TYPE_CHECKING:
    import tensorflow as tf

    from translator.training.distributed.worker_group import WorkerGroup
    from translator.training.dry_run import DryRun
    from translator.training.interruption import Interruption
    from translator.training.results import StepResult
    from translator.training.state import TrainingState
    from translator.workflows.preparation import Prepared
    from translator.workflows.training_session import TrainingSession


def train(
    config_path: str | Path,
    run_path: str | Path | None = None,
    overrides: Sequence[str] = (),
    start_from: str | Path | None = None,
) -> None:
    """Train the configuration of a YAML file in a run, or continue it where it stopped.

    The run is runs/NAME after the file's name unless given. In place of a file, a run or its
    config.yaml continues that run. Where TF_CONFIG or Slurm names several workers, this is one of
    them. Raises UserError; Stopped, with all saved, when a signal came.
    """
    from translator.training.interruption import Interruption
    from translator.workflows.workers import join_workers, run_worker

    freeze_weights(False)
    config_path = Path(config_path)
    if RunDirectory(config_path).was_begun:
        config_path = RunDirectory(config_path).config
    if "" in (run_path, start_from):
        raise RunError("--run and --from need the name of a folder, not an empty one.")
    run = RunDirectory(Path("runs") / config_path.stem)
    own = RunDirectory(config_path.parent)
    is_recorded = own.was_begun and config_path.exists() and own.config.samefile(config_path)
    if run_path is not None:
        run = RunDirectory(Path(run_path))
    elif is_recorded:
        run = own
    config = (load_recorded if is_recorded else load_config)(config_path, overrides)
    origin = None if start_from is None else Path(start_from)
    begin_threads("TensorFlow")
    with Interruption() as interruption:
        try:
            with join_workers(config) as (group, strategy):
                describe_device(config.training)
                if not group.is_chief:
                    run_worker(config, run, group, strategy, interruption)
                    return
                run.create()
                with run.locked() as was_killed:
                    if was_killed:
                        _tell_of_kill(run)
                    _in_memory(
                        config,
                        group.size == 1,
                        lambda config: _train(config, run, origin, group, strategy, interruption),
                    )
        except Stopped:
            if run.path.exists():
                say(f"Stopped. The same command continues {run.path} where it is.")
            else:
                say("Stopped before anything began.")
            raise


def _in_memory(config: Config, alone: bool, attempt: Callable[[Config], None]) -> None:
    """Train, and begin again from the last checkpoint with smaller shards when memory is short."""
    while True:
        try:
            return attempt(config)
        except DoesNotFit as error:
            num_shards, found = error.num_shards, str(error)
        except OutOfMemory as error:
            if not alone or error.num_shards >= error.num_pairs:
                raise
            num_shards, found = 2 * error.num_shards, "A device ran out of memory"
        say(
            f"{found}: every batch is cut into {num_shards} shards, computed one after the other. "
            "What is learnt is the same but for rounding and dropout."
        )
        config = replaced(config, {"training.accumulation_steps": num_shards})
        gc.collect()  # the model of the failed attempt, before there is another


def _tell_of_kill(run: RunDirectory) -> None:
    say(
        f"Warning: the process that trained {run.path} before was killed without a word, as Linux "
        "does when memory is short (or it was a power cut, or kill -9)."
    )
    shards = load_recorded(run.config).training.accumulation_steps if run.was_begun else "auto"
    if shards != "auto":
        say(
            f"If it was memory: add --set training.accumulation_steps={2 * shards} to the command. "
            "It computes a batch in smaller parts; what is learnt is the same but for rounding and "
            "dropout."
        )


def _train(
    config: Config,
    run: RunDirectory,
    start_from: Path | None,
    group: WorkerGroup,
    strategy: tf.distribute.Strategy | None,
    interruption: Interruption,
) -> None:
    may_cut = config.training.accumulation_steps == "auto"
    settle = resume if run.was_begun else begin
    prepared = settle(config, run, start_from)

    from translator.evaluation.validation import Validator
    from translator.training.checkpoint import load_checkpoint
    from translator.training.state import TrainingState
    from translator.training.trainer import Trainer
    from translator.workflows.training_session import TrainingSession

    config = prepared.config
    state, arrays = load_checkpoint(run) or (TrainingState(), None)
    group.broadcast(state.step)
    group.barrier()  # All have found what they need.
    session = TrainingSession(run, prepared, strategy)
    finished = session.last_step is not None and state.step >= session.last_step
    dry_run = None
    if group.size == 1 and not finished:
        dry_run = session.dry_run(may_cut and state.step == 0)
    if arrays is not None:
        session.restore(state.step, arrays)
        if state.validations.best_step and not run.shipped.exists():
            # Deleted by hand; the next validation makes them anew.
            state = state.forget_best()
        say(f"Continuing {run.path} after step {state.step:,}.")
    _describe(prepared, session)
    if dry_run is not None:
        _describe_dry_run(dry_run, session.last_step, config.training.max_minutes, state)
    validator = Validator(config, prepared.validation, prepared.tokenizer)
    trainer = Trainer(config.training, run, session, state, validator, interruption, group)
    _show(trainer.loop(), state, prepared, session, run)
    state = trainer.state
    say(
        f"Finished after {state.step:,} steps and {state.clock.seconds / 60:.1f} minutes. "
        f"The best weights are of step {state.validations.best_step:,}; use them with\n"
        f"  translator translate {run.path}\n"
        f"  translator eval {run.path}\n"
        f"  translator export {run.path}  # for other programs, or as one file"
    )


def _show(
    steps: Iterator[StepResult],
    state: TrainingState,
    prepared: Prepared,
    session: TrainingSession,
    run: RunDirectory,
) -> None:
    """Let the steps be taken, record and display what they tell."""
    import tensorflow as tf

    from translator.cli.display import Display
    from translator.diagnostics.plateau import find_plateau
    from translator.training.metrics_writer import MetricsWriter, read_metrics
    from translator.training.profiling import profiled
    from translator.training.results import Diverged
    from translator.training.rollback import MAX_ROLLBACKS

    config = prepared.config.training
    text = prepared.tokenizer if config.keep_text else None
    if config.profile:
        steps = profiled(steps, run.tensorboard, run.profile)
    pairs = list(prepared.validation.pairs())
    with (
        MetricsWriter(run, state, config.keep_text) as records,
        Display(config, session.last_step, session.schedule.batches_per_epoch, pairs) as display,
    ):
        try:
            for progress in steps:
                records.add(progress)
                display.show(progress)
                state = progress.state
                if progress.failure is not None:
                    path = write_failure_report(run, progress.failure, state.rollbacks.count, text)
                    display.tell(
                        f"{describe_failure(progress.failure)}. Training goes back to step "
                        f"{state.step:,}, and on with half the learning rate (rollback "
                        f"{state.rollbacks.count} of at most {MAX_ROLLBACKS}). {path} has the "
                        "details."
                    )
                if progress.validation is not None:
                    best, num_stale = state.validations.best_step, state.validations.num_stale
                    rows = read_metrics(run)
                    if found := find_plateau(rows, state.step, best, num_stale):
                        display.tell(f"Warning: {found}")
        except Diverged as error:
            path = write_failure_report(run, error.failure, MAX_ROLLBACKS + 1, text)
            raise RunError(
                f"{describe_failure(error.failure)}, and going back {MAX_ROLLBACKS} times to half "
                f"the learning rate did not help; {path} has the details. Begin another run with a "
                "lower training.optimizer.learning_rate or more warmup_steps, and look at the "
                "batch: its text may be at fault."
            ) from None
        except tf.errors.ResourceExhaustedError:
            raise RunError(
                "A device ran out of memory outside of a step. If it was in a validation, lower "
                "decoding.tokens_per_batch or beam_size; the same command continues from the last "
                "checkpoint."
            ) from None
    if config.profile and run.profile.exists():
        say(f"{run.profile} tells where the time of a step went.")


def _describe(prepared: Prepared, session: TrainingSession) -> None:
    config, tokenizer, facts = prepared.config, prepared.tokenizer, prepared.training.facts
    left_out = ", ".join(
        f"{count:,} {why}"
        for count, why in (
            (facts.num_empty, "with an empty side"),
            (facts.num_long, f"with more than {config.data.max_length} pieces"),
        )
        if count
    )
    pieces = f"{len(tokenizer.source):,}"
    if not tokenizer.joint:
        pieces += f" + {len(tokenizer.target):,}"
    say(
        f"{facts.num_pairs:,} pairs{f' ({left_out} left out)' if left_out else ''}, "
        f"{session.schedule.batches_per_epoch:,} batches an epoch; {pieces} pieces; "
        f"{session.train_step.model.count_params():,} parameters; {config.training.precision}"
        f"{f'; {session.num_replicas} devices' if session.num_replicas > 1 else ''}."
    )
    if len(prepared.training.stores) > 1:
        _describe_shares(prepared, session)
    for doubt in data_warnings(prepared):
        say(f"Warning: {doubt}")


def _describe_shares(prepared: Prepared, session: TrainingSession) -> None:
    """What each corpus gives to an epoch."""
    corpora = prepared.config.data.corpora("train").values()
    shares = prepared.training.shares(session.schedule.repetitions())
    for corpus, share in zip(corpora, shares, strict=True):
        say(
            f"  {name_of(corpus)}: {share.num_pairs:,} pairs, {share.tokens:.1%} of the target "
            f"pieces in the batches; a pair comes {share.repetition:.2f} times an epoch."
        )


def _describe_dry_run(
    dry_run: DryRun, last_step: int | None, minutes: float | None, state: TrainingState
) -> None:
    end, seconds_left = "", math.inf if minutes is None else 60 * minutes - state.clock.seconds
    if last_step is not None and (last_step - state.step) * dry_run.seconds < seconds_left:
        seconds = round((last_step - state.step) * dry_run.seconds)
        end = (
            f" At that pace step {last_step:,} is {timedelta(seconds=seconds)} away, not counting "
            "validations."
        )
    elif minutes is not None:
        num_steps = state.step + max(0, seconds_left) / dry_run.seconds
        end = f" At that pace the time is up near step {num_steps:,.0f}; a last validation follows."
    say(
        f"A step on the largest batch took {dry_run.seconds:.2f} s, "
        f"{dry_run.tokens_per_second:,.0f} target tokens a second; the process holds "
        f"{dry_run.peak_bytes / 2**30:.1f} GiB at most.{end}"
    )
