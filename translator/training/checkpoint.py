"""Where a training run stands: what a resume reads, and the weights that it ships.

All files are written whole or not at all (models/weights.py), and every one of them is a function
of the steps before it. So whenever a run is killed, the newest checkpoint and the same steps again
give the same files again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from translator.config.schema import TrainingConfig
from translator.errors import RunError
from translator.models.weights import Arrays, DamagedFile, load_arrays, load_facts, save_arrays
from translator.runs import RunDirectory, step_of

KEPT_CHECKPOINTS = 2

RECORD_EVERY = 50
"""Steps between rows of metrics.jsonl; before the first of these, powers of two have one."""


def is_recorded(step: int) -> bool:
    """Whether a step has a row in metrics.jsonl."""
    return step % RECORD_EVERY == 0 or (step < RECORD_EVERY and step.bit_count() == 1)


@dataclass(frozen=True)
class TrainingState:
    """Where a run stands after `step` updates."""

    step: int = 0
    seconds: float = 0.0
    """Spent training, validations included, over all sessions."""
    target_tokens: int = 0
    validated_step: int = 0
    validation_seconds: float = 0.0
    """What the last validation took…"""
    all_validation_seconds: float = 0.0
    """…and all of them."""
    best_step: int = 0
    best_score: float | None = None
    """By training.best_by; higher is better (a loss is stored negated)."""
    stale_validations: int = 0
    """Validations since the best."""
    averaged_step: int = 0
    """When the mean of the best weights was last tried (averaging.kind best)."""
    recorded_step: int = 0
    """That of the last row of metrics.jsonl, of training or of a validation…"""
    recorded_seconds: float = 0.0
    """…and its seconds, from which a schedule that ends with the time goes on."""
    loss_sum: float = 0.0
    """Losses of the steps for the next row, or for the one just written…"""
    summed_steps: int = 0
    """…and how many steps that are."""
    lowest_loss: float | None = None
    """The lowest mean loss of a row that ends RECORD_EVERY steps."""
    setbacks: int = 0
    """How often learning has failed (rollback.py)…"""
    lost_seconds: float = 0.0
    """…and the time of the steps that were given up."""
    due_step: int = 0
    """The last checkpoint that was due (one at a signal is not)…"""
    sound_step: int = 0
    """…and the last of these that the losses after it, or a best validation, show to be sound."""
    kept: tuple[tuple[int, float], ...] = ()
    """Steps whose weights are kept for averaging, with their scores."""


def save_checkpoint(run: RunDirectory, position: TrainingState, state: Arrays) -> None:
    """Write a checkpoint, then forget what no resume can need any more.

    That is all that came later, too: a run that goes back takes another way.
    """
    save_arrays(run.checkpoint(position.step), state, **asdict(position))
    run.update_state(has_checkpoint=True)
    for path in run.checkpoints():
        if step_of(path) > position.step:
            path.unlink()
    for path in run.checkpoints()[:-KEPT_CHECKPOINTS]:
        if step_of(path) not in (position.due_step, position.sound_step):
            path.unlink()
    needed = set()
    for path in run.checkpoints():
        try:
            needed |= {step for step, _ in _position(path, load_facts(path)).kept}
        except RunError:
            return  # An older checkpoint is damaged; what it needs is not known.
    for path in run.snapshots():
        if step_of(path) not in needed:
            path.unlink()


def load_checkpoint(run: RunDirectory) -> tuple[TrainingState, Arrays] | None:
    """The newest checkpoint, if there is one. Raises RunError if it is damaged."""
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
            f"continue without this one; {_elsewhere(run)}.",
        ) from None


def check_progress(run: RunDirectory, config: TrainingConfig) -> None:
    """Raise RunError if a run has lost its checkpoints: training would start over in it, and
    replace what it has learnt.

    A run that was killed before its first checkpoint may start over: it learns the same again.
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
            f"{_elsewhere(run)}; or delete {run.path} to start over."
        )


def _elsewhere(run: RunDirectory) -> str:
    start = f", with --from {run.path} to start with its weights" if run.shipped.exists() else ""
    return f"begin another run with --run{start}"


def read_checkpoint(path: Path) -> tuple[TrainingState, Arrays]:
    """What a checkpoint holds. Raises RunError if it is missing or damaged."""
    state, facts = load_arrays(path)
    return _position(path, facts), state


def mean_weights(parts: Sequence[Mapping[str, np.ndarray]]) -> Arrays:
    """The mean of several models' weights, taken in float64."""
    return {
        name: np.asarray(
            np.mean([part[name] for part in parts], axis=0, dtype=np.float64), np.float32
        )
        for name in parts[0]
    }


def _position(path: Path, facts: dict[str, object]) -> TrainingState:
    try:
        if not isinstance(facts, dict) or facts.keys() != TrainingState.__dataclass_fields__.keys():
            raise ValueError
        return TypeAdapter(TrainingState).validate_python(facts)
    except ValueError:
        raise RunError(f"{path}: this is no checkpoint of this version of translator.") from None
