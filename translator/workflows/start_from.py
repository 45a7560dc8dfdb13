"""`train --from`: a new run begins with the tokenizer and the weights of another run."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from translator.config import Config, load_recorded
from translator.config.resume_rules import begun_from
from translator.data.tokenizer import Tokenizer
from translator.errors import ConfigError, RunError
from translator.models.weights import Arrays, DamagedFile, load_arrays, set_model_weights
from translator.runs import RunDirectory


class Start(NamedTuple):
    """What a new run takes from another run."""

    tokenizer: Tokenizer
    weights: Arrays


def read_start(config: Config, path: Path) -> tuple[Config, Start]:
    """Read the other run. Returns the configuration with the other run's values for unset keys.

    Raises ConfigError if the configuration does not fit the other run, RunError if that run has no
    weights or is damaged.
    """
    other = RunDirectory.existing(path)
    config = begun_from(load_recorded(other.config), config, path)
    tokenizer = Tokenizer.load(other.tokenizer())
    if unknown := [tag for tag in config.data.tags if tag not in tokenizer.source.tags]:
        known = f"only {', '.join(tokenizer.source.tags)}" if tokenizer.source.tags else "no tags"
        raise ConfigError(
            f"data.train has the tag {unknown[0]}, but the vocabulary of {path} has {known}. Leave "
            "out the tag, or leave out --from."
        )
    if not other.shipped.exists():
        raise RunError(
            f"{path}: no weights have been validated yet, so no run can start from it. Continue "
            "its training to the first validation."
        )
    return config, Start(tokenizer, load_arrays(other.shipped)[0])


def check_weights(config: Config, start: Start, name: str) -> None:
    """Raise RunError, naming the other run, unless its weights fit the configured model."""
    from translator.models.build import build_model

    sizes = len(start.tokenizer.source), len(start.tokenizer.target)
    set_model_weights(build_model(config, *sizes, "float32"), start.weights, name)


def kept_weights(run: RunDirectory) -> Arrays | None:
    """The weights that a run began with, as it keeps them; None if it began with random ones.

    Also None if they are lost but a checkpoint replaces them. Raises RunError if they are needed.
    """
    if run.start.exists():
        try:
            return load_arrays(run.start)[0]
        except DamagedFile:
            if run.checkpoints():
                return None
            raise DamagedFile(
                run.start, "Copy it again, or start another run with --run and --from."
            ) from None
    if run.checkpoints() or run.read_state().get("begun_from") is None:
        return None
    raise RunError(
        f"{run.start}: this file is missing, and the run has no checkpoint yet. Restore it, or "
        "start another run with --run and --from."
    )


def check_origin(run: RunDirectory, start_from: Path) -> None:
    """Raise RunError unless `run` began from `start_from`."""
    origin = run.read_state().get("begun_from")
    if origin == str(start_from.resolve()):
        return
    began = "without --from"
    if run.start.exists():
        other = RunDirectory.existing(start_from).shipped
        if other.exists() and _are_equal(load_arrays(run.start)[0], load_arrays(other)[0]):
            return
        began = f"with --from {origin}" if origin else "with the weights of another run"
    raise RunError(
        f"{run.path} began {began}, and now --from is {start_from}. Leave out --from to continue "
        "it, or start another run with --run."
    )


def _are_equal(one: Arrays, other: Arrays) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)
