"""`train`: prepare a run or resume it, then train it to its end."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from translator.config import Config, load_config, load_recorded, replaced
from translator.diagnostics.plateau import find_plateau
from translator.environment import begin_threads, freeze_weights
from translator.errors import DoesNotFit, OutOfMemory, RunError, Stopped
from translator.evaluation.metrics import check_training_metrics
from translator.runs import RunDirectory
from translator.workflows.device import log_device
from translator.workflows.failure_report import describe_failure, write_failure_report
from translator.workflows.logs import ensure_handler
from translator.workflows.new_run import prepare_new_run
from translator.workflows.progress import LOG_LINES, Progress
from translator.workflows.resumed_run import prepare_resumed_run
from translator.workflows.training_report import StepReport, log_dry_run, log_session

if TYPE_CHECKING:
    import tensorflow as tf

    from translator.training.distributed.worker_group import WorkerGroup
    from translator.training.interruption import Interruption
    from translator.training.results import StepResult
    from translator.training.state import TrainingState
    from translator.workflows.prepared import Prepared
    from translator.workflows.training_session import TrainingSession

log = logging.getLogger(__name__)


def train(
    config: str | Path,
    run: str | Path | None = None,
    overrides: Sequence[str] = (),
    start_from: str | Path | None = None,
    progress: Progress = LOG_LINES,
) -> Path:
    """Train a model as a YAML file says, or continue a run; return the run's directory.

    config: the YAML file. A run, or the config.yaml in it, continues that run.
    run: directory of the run, by default runs/NAME after the file's name.
    overrides: keys that win over the file, such as "training.max_steps=1000".
    start_from: a run whose weights and tokenizer a new run begins with.
    progress: shows the progress of reading and training; by default it logs lines at level INFO.

    If TF_CONFIG or Slurm names several workers, this process is one of them.

    Raises UserError; Stopped, after saving, at SIGINT, SIGTERM or SIGHUP.
    """
    ensure_handler()
    freeze_weights(False)
    settings, directory = read_config(config, run, overrides, start_from)
    check_training_metrics(settings)
    _check_student(settings, directory)
    origin = None if start_from is None else Path(start_from)
    return train_run(settings, directory, origin, progress)


def train_run(
    config: Config, run: RunDirectory, start_from: Path | None, progress: Progress
) -> Path:
    """`train` with a configuration that was read. Raises UserError, Stopped."""
    from translator.workflows.workers import join_workers, run_worker

    begin_threads("TensorFlow")
    with interruptible(run) as interruption, join_workers(config) as (group, strategy):
        log_device(config.training)
        if not group.is_chief:
            run_worker(config, run, group, strategy, interruption)
            return run.path
        run.create()
        with run.locked() as was_killed:
            if was_killed:
                warn_of_kill(run)
            workers = _Workers(group, strategy, interruption)
            _train_in_memory(config, run, start_from, workers, progress)
    return run.path


@contextmanager
def interruptible(run: RunDirectory) -> Iterator[Interruption]:
    """Inside, a signal raises Stopped, and a message says that the command can be repeated."""
    from translator.training.interruption import Interruption

    with Interruption() as interruption:
        try:
            yield interruption
        except Stopped:
            if run.path.exists():
                log.info(f"Stopped. The same command continues {run.path}.")
            else:
                log.info("Stopped before anything began.")
            raise


def _check_student(config: Config, run: RunDirectory) -> None:
    """Raise RunError if `distill` began the run, and the configuration lacks translated text."""
    if not run.teacher.exists():
        return
    _check_translated(run)
    files = [name for corpus in config.data.corpora("train").values() for name in corpus.files]
    if run.translated.resolve() not in (Path(name).parent for name in files):
        raise RunError(
            f"{run.path} learns from the translations of a teacher. `translator train {run.path}` "
            "continues it; or name another folder with --run."
        )


def _check_translated(run: RunDirectory) -> None:
    """Raise RunError if a teacher still translates for the run."""
    if run.teacher.exists() and not run.was_begun:
        raise RunError(
            f"{run.path}: a teacher translates for this run, and training has not begun. "
            "Continue with `translator distill`, or name another folder with --run."
        )


class _Workers(NamedTuple):
    """The processes that train the run, as this one sees them, and the signals that stop them."""

    group: WorkerGroup
    strategy: tf.distribute.Strategy | None
    interruption: Interruption


def read_config(
    config: str | Path,
    run: str | Path | None,
    overrides: Sequence[str],
    start_from: str | Path | None = None,
) -> tuple[Config, RunDirectory]:
    """The configuration and its run. Raises UserError."""
    path = Path(config)
    if RunDirectory(path).was_begun:
        path = RunDirectory(path).config
    _check_translated(RunDirectory(path))
    if "" in (run, start_from):
        raise RunError("--run and --from need the name of a folder, not an empty one.")
    own = RunDirectory(path.parent)
    is_recorded = own.was_begun and path.exists() and own.config.samefile(path)
    directory = own if is_recorded else RunDirectory(Path("runs") / path.stem)
    if run is not None:
        directory = RunDirectory(Path(run))
    return (load_recorded if is_recorded else load_config)(path, overrides), directory


def _train_in_memory(
    config: Config,
    run: RunDirectory,
    start_from: Path | None,
    workers: _Workers,
    progress: Progress,
) -> None:
    """Train; if memory is short, try again from the last checkpoint with smaller shards."""
    while True:
        try:
            return _train(config, run, start_from, workers, progress)
        except DoesNotFit as error:
            num_shards, reason = error.num_shards, str(error)
        except OutOfMemory as error:
            if workers.group.size > 1 or error.num_shards >= error.num_pairs:
                raise
            num_shards, reason = 2 * error.num_shards, "A device ran out of memory"
        log.info(
            f"{reason}. From now on, each batch is computed in {num_shards} shards, one after the "
            "other. The result is the same except for rounding and dropout."
        )
        config = replaced(config, {"training.accumulation_steps": num_shards})
        gc.collect()  # frees the model of the failed attempt


def warn_of_kill(run: RunDirectory) -> None:
    """Warn that a process was killed, and suggest what to do if memory was short."""
    log.warning(
        f"The last process that trained {run.path} was killed. Linux does so when memory is short; "
        "a power cut or kill -9 looks the same."
    )
    shards = load_recorded(run.config).training.accumulation_steps if run.was_begun else "auto"
    if shards != "auto":
        log.info(
            f"If memory was short, add --set training.accumulation_steps={2 * shards} to the "
            "command: batches are then computed in smaller parts. The result is the same except "
            "for rounding and dropout."
        )


def _train(
    config: Config,
    run: RunDirectory,
    start_from: Path | None,
    workers: _Workers,
    progress: Progress,
) -> None:
    """Prepare the run, restore its state, and train it."""
    from translator.export.formats import formats

    may_cut = config.training.accumulation_steps == "auto"
    prepare = prepare_resumed_run if run.was_begun else prepare_new_run
    prepared = prepare(config, run, start_from, progress)
    session, state = _restore(prepared, run, workers, may_cut)
    state = _run_steps(prepared, session, run, state, workers, progress)
    best = "" if "ctranslate2" in formats(prepared.config) else " --format savedmodel"
    log.info(
        f"Finished after {state.step:,} steps and {state.clock.seconds / 60:.1f} minutes. "
        f"The best weights are those of step {state.validations.best_step:,}. Use them with\n"
        f"  translator translate {run.path}\n"
        f"  translator eval {run.path}\n"
        f"  translator export {run.path}{best}  # for other programs, or as one file"
    )


def _restore(
    prepared: Prepared, run: RunDirectory, workers: _Workers, may_cut: bool
) -> tuple[TrainingSession, TrainingState]:
    """A session with the weights of the newest checkpoint or the run's first weights; its state.

    may_cut: whether to compute batches in more shards if the largest does not fit into memory.
    """
    from translator.training.checkpoint import load_checkpoint
    from translator.training.state import TrainingState
    from translator.workflows.training_session import TrainingSession

    group = workers.group
    state, arrays = load_checkpoint(run) or (TrainingState(), None)
    group.broadcast(state.step)
    group.barrier()  # until all workers have read text and checkpoint
    session = TrainingSession(run, prepared, workers.strategy)
    is_finished = session.last_step is not None and state.step >= session.last_step
    dry_run = None
    if group.size == 1 and not is_finished:
        dry_run = session.dry_run(may_cut and state.step == 0)
    if arrays is not None:
        session.restore(state.step, arrays)
        if state.validations.best_step and not run.shipped.exists():
            state = state.forget_best()  # the user deleted them
        log.info(f"Continuing {run.path} after step {state.step:,}.")
    log_session(prepared, session)
    if dry_run is not None:
        log_dry_run(dry_run, session.last_step, prepared.config.training.max_minutes, state)
    return session, state


def _run_steps(
    prepared: Prepared,
    session: TrainingSession,
    run: RunDirectory,
    state: TrainingState,
    workers: _Workers,
    progress: Progress,
) -> TrainingState:
    """Train to the end, and return the last state. Raises RunError if training fails."""
    import tensorflow as tf

    from translator.evaluation.validation import Validator
    from translator.training.profiling import profiled
    from translator.training.results import Diverged
    from translator.training.rollback import MAX_ROLLBACKS
    from translator.training.trainer import Trainer

    config = prepared.config.training
    validator = Validator(prepared.config, prepared.validation, prepared.tokenizer)
    trainer = Trainer(config, run, session, state, validator, workers.interruption, workers.group)
    steps = trainer.loop()
    if config.profile:
        steps = profiled(steps, run.tensorboard, run.profile)
    try:
        _record(steps, prepared, session, run, state, progress)
    except Diverged as error:
        text = prepared.tokenizer if config.keep_text else None
        path = write_failure_report(run, error.failure, MAX_ROLLBACKS + 1, text)
        raise RunError(
            f"{describe_failure(error.failure)}, although {MAX_ROLLBACKS} rollbacks halved the "
            f"learning rate. {path} has the details. Start another run with a lower "
            "training.optimizer.learning_rate or more warmup_steps, and check the text of the "
            "batch."
        ) from None
    except tf.errors.ResourceExhaustedError:
        raise RunError(
            "A device ran out of memory outside of a step. If this was a validation, add --set "
            "decoding.tokens_per_batch=… with a lower value than "
            f"{prepared.config.decoding.tokens_per_batch} to the command. It continues from the "
            "last checkpoint."
        ) from None
    if config.profile and run.profile.exists():
        log.info(f"{run.profile} shows how long each kind of operation takes.")
    return trainer.state


def _record(
    steps: Iterator[StepResult],
    prepared: Prepared,
    session: TrainingSession,
    run: RunDirectory,
    state: TrainingState,
    progress: Progress,
) -> None:
    """Run the training loop; write its results into the run, and report them."""
    from translator.training.metrics_writer import MetricsWriter, read_metrics
    from translator.training.rollback import MAX_ROLLBACKS

    config = prepared.config.training
    text = prepared.tokenizer if config.keep_text else None
    pairs = list(prepared.validation.pairs())
    with (
        MetricsWriter(run, state, config.keep_text) as metrics,
        progress.training(session.last_step) as update,
    ):
        report = StepReport(
            config, session.last_step, session.schedule.batches_per_epoch, pairs, update
        )
        for result in steps:
            metrics.add(result)
            report.add(result)
            state = result.state
            if result.failure is not None:
                path = write_failure_report(run, result.failure, state.rollbacks.count, text)
                log.warning(
                    f"{describe_failure(result.failure)}. Training returns to step "
                    f"{state.step:,} and continues with half the learning rate (rollback "
                    f"{state.rollbacks.count} of at most {MAX_ROLLBACKS}). {path} has the details."
                )
            if result.validation is not None:
                best, num_stale = state.validations.best_step, state.validations.num_stale
                if found := find_plateau(read_metrics(run), state.step, best, num_stale):
                    log.warning(str(found))
