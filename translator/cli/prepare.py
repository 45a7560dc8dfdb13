"""What is settled before the first step: configuration, tokenizer, prepared text.

A new run settles it once; a run that is taken up again keeps what it has, and refuses to go on with
another configuration or other text.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from translator import environment
from translator.config import (
    Config,
    CorpusStatistics,
    Machine,
    differences,
    load_config,
    resolve,
    save_config,
)
from translator.data.corpus import fingerprint, read_pairs
from translator.data.store import Store, open_store, store_key
from translator.data.tokenizer import Tokenizer, train_tokenizer
from translator.errors import ConfigError, RunError
from translator.evaluation.score import check_tokenizer
from translator.models.weights import Arrays, load_arrays, save_arrays, set_model_weights
from translator.runs import RunDirectory, read_json

LIMITS = {
    "training.max_steps",
    "training.max_epochs",
    "training.max_minutes",
    "training.patience",
    "training.save_every",
    "training.keep_text",
}
"""Keys that may change when a run is continued."""

PLACES = {"data.folder", "data.dataset_folder", "data.wheel", "data.test"}
"""Keys that may change because the text itself is compared, or is not used in training."""

RESOLVED = {"training.precision", "decoding.precision", "tokenizer.vocabulary_size"}
"""Keys whose `auto` the recorded configuration has replaced…"""

DECODER_LAYERS = "model.num_decoder_layers"
"""…and one whose null it has."""


class Prepared(NamedTuple):
    """All that is settled before the first step."""

    config: Config
    tokenizer: Tokenizer
    training: Store
    validation: Store
    start_weights: Arrays | None


def begin(config: Config, run: RunDirectory, start_from: Path | None) -> Prepared:
    """Settle a new run: tokenizer, precision, and everything `auto`."""
    if run.checkpoints():
        raise RunError(
            f"{run.path}: it holds checkpoints but no config.yaml; bring that back, or begin "
            "another run with --run."
        )
    check_tokenizer(config.evaluation, config.data.target_language)
    if start_from is not None:
        RunDirectory.existing(start_from)
    statistics = CorpusStatistics(num_pairs=_count(config))
    speedup = 1.0
    if config.training.precision == "auto":
        from translator.training.precision import bfloat16_speedup

        speedup = bfloat16_speedup()
        say(f"bfloat16 is {speedup:.2f} times as fast as float32 here.")
    config = resolve(config, statistics, Machine(speedup))
    start_weights = None
    if start_from is None:
        tokenizer = train_tokenizer(
            config.tokenizer, lambda: read_pairs(config.data, "train"), config.training.seed, say
        )
    else:
        tokenizer, start_weights = _from_run(config, start_from)
    tokenizer.save(run.tokenizer(config.tokenizer.joint))
    prepared = _open(config, tokenizer)._replace(start_weights=start_weights)
    if start_weights is not None:
        from translator.models.build import build_model

        sizes = len(tokenizer.source), len(tokenizer.target)
        set_model_weights(build_model(config, *sizes, "float32"), start_weights, str(start_from))
        save_arrays(run.start, start_weights)
    environment.record(run.environment)
    _record_text(run, prepared)
    save_config(config, run.config)
    return prepared


def resume(config: Config, run: RunDirectory) -> Prepared:
    """Take up a run: its own configuration, but for new limits."""
    recorded = load_config(run.config)
    config = _continued(recorded, config, run)
    if changes := environment.changes(read_json(run.environment)):
        say(
            f"Warning: {run.path} was begun with another set-up ({'; '.join(changes)}); the "
            "weights may differ in their last bits from those of an unbroken run."
        )
    tokenizer = Tokenizer.load(run.tokenizer(recorded.tokenizer.joint))
    prepared = _open(config, tokenizer)
    if run.start.exists():
        prepared = prepared._replace(start_weights=load_arrays(run.start)[0])
    if _text_digests(prepared) != read_json(run.text):
        raise RunError(
            f"{run.path}: the training or validation text is not the one that this run began with. "
            "Bring it back, or begin another run with --run."
        )
    save_config(config, run.config)
    return prepared


def _continued(recorded: Config, wanted: Config, run: RunDirectory) -> Config:
    """The recorded configuration with the new limits. Raises ConfigError at any other change."""
    changed = {}
    for key, old, new in differences(recorded, wanted):
        if (key in RESOLVED and new == "auto") or (key == DECODER_LAYERS and new is None):
            continue
        changed[key] = (old, new)
    allowed = LIMITS | PLACES
    if recorded.training.optimizer.schedule == "cosine":
        allowed = allowed - {"training.max_steps", "training.max_epochs"}
    refused = [
        f"{key} is {old!r} there and {new!r} here"
        for key, (old, new) in changed.items()
        if key not in allowed
    ]
    if refused:
        raise ConfigError(
            f"{run.path} was begun with another configuration: {'; '.join(refused)}. Change that "
            "back, or begin another run with --run."
        )
    training = {k.partition(".")[2]: new for k, (_, new) in changed.items() if k in LIMITS}
    data = {k.partition(".")[2]: new for k, (_, new) in changed.items() if k in PLACES}
    return recorded.model_copy(
        update={
            "training": recorded.training.model_copy(update=training),
            "data": recorded.data.model_copy(update=data),
        }
    )


def _from_run(config: Config, path: Path) -> tuple[Tokenizer, Arrays]:
    """Tokenizer and weights of another run."""
    other = RunDirectory.existing(path)
    joint = load_config(other.config).tokenizer.joint
    if joint != config.tokenizer.joint:
        raise ConfigError(f"tokenizer.joint must be {str(joint).lower()}, as in {path}.")
    weights, _ = load_arrays(other.best)
    return Tokenizer.load(other.tokenizer(joint)), weights


def _count(config: Config) -> int:
    """Pairs in the training text; reading it finds what is wrong with it before the work begins."""
    say(f"Reading {config.data.dataset or 'the text'} …")
    splits = ["validation", "train"] + ["test"] * (config.data.test is not None)
    counts = {split: sum(1 for _ in read_pairs(config.data, split)) for split in splits}
    return counts["train"]


def _open(config: Config, tokenizer: Tokenizer) -> Prepared:
    def store(split: str, max_length: int | None, keep_text: bool) -> Store:
        key = store_key(
            fingerprint(config.data, split), tokenizer, max_length=max_length, keep_text=keep_text
        )
        return open_store(
            cache_folder() / key,
            lambda: read_pairs(config.data, split),
            tokenizer,
            max_length=max_length,
            keep_text=keep_text,
        )

    sampled = config.tokenizer.sampling_alpha is not None
    return Prepared(
        config,
        tokenizer,
        store("train", config.data.max_length, keep_text=sampled),
        store("validation", None, keep_text=True),
        None,
    )


def cache_folder() -> Path:
    """Where prepared text is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "translator"


def _text_digests(prepared: Prepared) -> dict[str, str]:
    return {
        "train": prepared.training.facts.digest,
        "validation": prepared.validation.facts.digest,
    }


def _record_text(run: RunDirectory, prepared: Prepared) -> None:
    run.text.write_text(json.dumps(_text_digests(prepared), indent=2) + "\n")


def say(text: str) -> None:
    """Tell the user something."""
    print(text, file=sys.stderr, flush=True)
