"""Checkpoints: the training state and all arrays that a resume needs.

Every file is written completely or not at all (models/weights.py), and its content follows from the
steps before it. So whenever a run is killed, resuming from the newest checkpoint writes the same
files again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from translator.config.schema import TrainingConfig
from translator.errors import RunError
from translator.models.weights import Arrays, DamagedFile, load_arrays, load_facts, save_arrays
from translator.runs import RunDirectory, step_of
from translator.training.state import TrainingState, from_facts, to_facts

KEPT_CHECKPOINTS = 2


def save_checkpoint(run: RunDirectory, state: TrainingState, arrays: Arrays) -> None:
    """Write a checkpoint, then delete the files that no resume needs any more.

    These include all later checkpoints: after a rollback, training repeats their steps.
    """
    save_arrays(run.checkpoint(state.step), arrays, **to_facts(state))
    run.update_state(has_checkpoint=True)
    for path in run.checkpoints():
        if step_of(path) > state.step:
            path.unlink()
    for path in run.checkpoints()[:-KEPT_CHECKPOINTS]:
        if step_of(path) not in (state.rollbacks.due_step, state.rollbacks.sound_step):
            path.unlink()
    needed = set()
    for path in run.checkpoints():
        try:
            needed |= {one.step for one in _state(path, load_facts(path)).validations.kept}
        except RunError:
            return  # An older checkpoint is damaged, so which snapshots it needs is unknown.
    for path in run.snapshots():
        if step_of(path) not in needed:
            path.unlink()


def load_checkpoint(run: RunDirectory) -> tuple[TrainingState, Arrays] | None:
    """The newest checkpoint, or None. Raises RunError if it is damaged."""
    if not (checkpoints := run.checkpoints()):
        return None
    *earlier, newest = checkpoints
    try:
        return read_checkpoint(newest)
    except DamagedFile:
        raise DamagedFile(
            newest,
            f"Copy it again, or delete it: training continues from step {step_of(earlier[-1]):,}."
            if earlier
            else "Copy it again from a backup. The run has no other checkpoint, so it cannot "
            f"continue without this one; {_start_another(run)}.",
        ) from None


def check_has_checkpoints(run: RunDirectory, config: TrainingConfig) -> None:
    """Raise RunError if a run has lost its checkpoints.

    Training would start over, and replace weights and metrics. A run that was killed before its
    first checkpoint may start over, because it repeats the same steps.
    """
    has_metrics = run.metrics.exists() and run.metrics.stat().st_size > 0
    has_weights = run.shipped.exists()
    if run.checkpoints() or not (has_metrics or has_weights):
        return
    had_checkpoint = run.read_state().get("has_checkpoint")
    if had_checkpoint is None:  # An older version made the run.
        rows = run.metrics.read_text(encoding="utf-8", errors="replace") if has_metrics else ""
        last_step = max(map(int, re.findall(r'"step": ([0-9]+)', rows)), default=0)
        first_checkpoint = min(config.save_every, config.validate_every)
        had_checkpoint = has_weights or last_step > first_checkpoint
    if had_checkpoint:
        raise RunError(
            f"{run.path}: its checkpoints are missing, so it cannot continue, and starting over "
            "would replace its weights and metrics. Bring the checkpoints back; or "
            f"{_start_another(run)}; or delete {run.path} to start over."
        )


def _start_another(run: RunDirectory) -> str:
    start = f", with --from {run.path} to start with its weights" if run.shipped.exists() else ""
    return f"begin another run with --run{start}"


def read_checkpoint(path: Path) -> tuple[TrainingState, Arrays]:
    """The state and arrays of a checkpoint. Raises RunError if it is missing or damaged."""
    arrays, facts = load_arrays(path)
    return _state(path, facts), arrays


def mean_weights(parts: Sequence[Mapping[str, np.ndarray]]) -> Arrays:
    """The mean of several models' weights, computed in float64."""
    return {
        name: np.asarray(
            np.mean([part[name] for part in parts], axis=0, dtype=np.float64), np.float32
        )
        for name in parts[0]
    }


def _state(path: Path, facts: dict[str, object]) -> TrainingState:
    try:
        return from_facts(facts)
    except ValueError:
        raise RunError(
            f"{path}: this checkpoint was written by another version of translator. Continue the "
            "run with that version, or start another run with --from."
        ) from None
