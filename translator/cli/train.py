"""`translator train`: prepare what a run needs, train, and show it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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
from translator.errors import ConfigError, RunError, Stopped
from translator.runs import RunDirectory

if TYPE_CHECKING:
    from translator.models.weights import Arrays
    from translator.training.interruption import Interruption
    from translator.training.loop import LossNotFinite

LIMITS = {
    "training.max_steps",
    "training.max_epochs",
    "training.max_minutes",
    "training.patience",
    "training.save_every",
    "training.keep_text",
}
"""Keys that may change when a run is continued."""

PLACES = {"data.folder", "data.dataset_folder", "data.wheel"}
"""Keys that may change because the text itself is compared."""


class Prepared(NamedTuple):
    """All that is settled before the first step."""

    config: Config
    tokenizer: Tokenizer
    training: Store
    validation: Store
    start_weights: Arrays | None


def train(
    config_path: Path,
    run_path: Path | None = None,
    overrides: Sequence[str] = (),
    start_from: Path | None = None,
) -> None:
    """Train the configuration of a YAML file in a run, or continue it where it stopped.

    The run is runs/NAME after the file's name unless given. Raises UserError; Stopped, with all
    saved, when a signal came.
    """
    config = load_config(config_path, overrides)
    run = RunDirectory(run_path or Path("runs") / config_path.stem)
    run.create()
    with run.locked():
        from translator.training.interruption import Interruption

        with Interruption() as interruption:
            try:
                _train(config, run, start_from, interruption)
            except Stopped:
                _say(f"Stopped. The same command continues {run.path} where it is.")
                raise


def _train(
    config: Config, run: RunDirectory, start_from: Path | None, interruption: Interruption
) -> None:
    prepared = _resume(config, run) if run.exists else _begin(config, run, start_from)
    from translator.cli.display import Display
    from translator.data.batches import Batch, Plan, batch
    from translator.evaluation.validation import Validator
    from translator.models.build import build_model
    from translator.training.checkpoint import Position, load_checkpoint
    from translator.training.learner import Learner
    from translator.training.loop import LossNotFinite, total_steps, train
    from translator.training.records import Records

    config, tokenizer, store, validation_store, start_weights = prepared
    assert config.training.precision != "auto"
    plan = Plan(store.lengths, config.training.tokens_per_step, config.training.seed)
    last_step = total_steps(config.training, plan.batches_per_epoch)
    model = build_model(
        config, len(tokenizer.source), len(tokenizer.target), config.training.precision
    )
    learner = Learner(model, config.training)
    checkpoint = load_checkpoint(run)
    position = Position()
    if checkpoint is not None:
        position, state = checkpoint
        learner.restore(state, str(run.checkpoints()[-1]))
        _say(f"Continuing {run.path} after step {position.step:,}.")
    elif start_weights is not None:
        learner.start_from(start_weights, str(start_from))
    _describe(config, store, plan.batches_per_epoch, model.count_params(), tokenizer)

    def batches(index: int) -> list[Batch]:
        return batch(
            store,
            tokenizer,
            plan,
            index,
            config.training.accumulation_steps,
            config.tokenizer.sampling_alpha,
            config.training.seed,
        )

    validator = Validator(config, validation_store, tokenizer)
    steps = train(
        config.training,
        run,
        learner,
        position,
        batches,
        plan.batches_per_epoch,
        validator,
        interruption,
    )
    with (
        Records(run, position.step, config.training.keep_text) as records,
        Display(config.training, last_step, plan.batches_per_epoch, validator.pairs) as display,
    ):
        try:
            for progress in steps:
                records.add(progress)
                display.show(progress)
                position = progress.position
        except LossNotFinite as error:
            raise RunError(_report_nan(error, run, config, tokenizer)) from None
    _say(
        f"Finished after {position.step:,} steps and {position.seconds / 60:.1f} minutes. "
        f"The best weights are of step {position.best_step:,}; use them with\n"
        f"  translator translate {run.path}\n"
        f"  translator eval {run.path}"
    )


def _begin(config: Config, run: RunDirectory, start_from: Path | None) -> Prepared:
    """Settle a new run: tokenizer, precision, and everything `auto`."""
    statistics = CorpusStatistics(num_pairs=_count(config))
    speedup = 1.0
    if config.training.precision == "auto":
        from translator.training.precision import bfloat16_speedup

        speedup = bfloat16_speedup()
        _say(f"bfloat16 is {speedup:.2f} times as fast as float32 here.")
    config = resolve(config, statistics, Machine(speedup))
    start_weights = None
    if start_from is None:
        tokenizer = train_tokenizer(
            config.tokenizer, lambda: read_pairs(config.data, "train"), config.training.seed, _say
        )
    else:
        config, tokenizer, start_weights = _from_run(config, start_from)
    tokenizer.save(run.tokenizer(config.tokenizer.joint))
    prepared = _open(config, tokenizer)._replace(start_weights=start_weights)
    environment.record(run.environment)
    _record_text(run, prepared)
    save_config(config, run.config)
    return prepared


def _resume(config: Config, run: RunDirectory) -> Prepared:
    """Take up a run: its own configuration, but for new limits."""
    recorded = load_config(run.config)
    config = _continued(recorded, config, run)
    if changes := environment.changes(json.loads(run.environment.read_text())):
        _say(
            f"Warning: {run.path} was begun with another set-up ({'; '.join(changes)}); the "
            "weights may differ in their last bits from those of an unbroken run."
        )
    tokenizer = Tokenizer.load(run.tokenizer(recorded.tokenizer.joint))
    prepared = _open(config, tokenizer)
    if _text_digests(prepared) != json.loads(run.text.read_text()):
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
        if new == "auto" or (key == "model.num_decoder_layers" and new is None):
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


def _from_run(config: Config, path: Path) -> tuple[Config, Tokenizer, Arrays]:
    """Tokenizer and weights of another run."""
    from translator.models.weights import load_arrays

    other = RunDirectory.existing(path)
    joint = load_config(other.config).tokenizer.joint
    if joint != config.tokenizer.joint:
        raise ConfigError(f"tokenizer.joint must be {str(joint).lower()}, as in {path}.")
    weights, _ = load_arrays(other.best)
    return config, Tokenizer.load(other.tokenizer(joint)), weights


def _count(config: Config) -> int:
    """Pairs in the training text; reading it finds what is wrong with it before the work begins."""
    for split in ("validation", "test"):
        if getattr(config.data, split) is not None:
            fingerprint(config.data, split)
    return sum(1 for _ in read_pairs(config.data, "train"))


def _open(config: Config, tokenizer: Tokenizer) -> Prepared:
    def store(split: str, max_length: int | None, keep_text: bool) -> Store:
        key = store_key(
            fingerprint(config.data, split), tokenizer, max_length=max_length, text=keep_text
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


def _describe(
    config: Config, store: Store, batches_per_epoch: int, num_parameters: int, tokenizer: Tokenizer
) -> None:
    facts = store.facts
    left_out = [
        f"{count:,} {why}"
        for count, why in (
            (facts.num_empty, "with an empty side"),
            (facts.num_long, f"with more than {config.data.max_length} pieces"),
        )
        if count
    ]
    pieces = f"{len(tokenizer.source):,}"
    if not tokenizer.joint:
        pieces += f" + {len(tokenizer.target):,}"
    _say(
        f"{facts.num_pairs:,} pairs{f' ({chr(44).join(left_out)} left out)' if left_out else ''}, "
        f"{batches_per_epoch:,} batches an epoch; {pieces} pieces; {num_parameters:,} parameters; "
        f"{config.training.precision}."
    )


def _report_nan(
    error: LossNotFinite, run: RunDirectory, config: Config, tokenizer: Tokenizer
) -> str:
    """Write the batch that broke the loss into the run; returns what to tell the user."""
    report: dict[str, object] = {
        "step": error.step,
        "loss": str(error.loss),
        "gradient_norm": str(error.gradient_norm),
    }
    if config.training.keep_text:
        report["batch"] = [
            {"source": source, "target": target}
            for shard in error.shards
            for source, target in zip(
                tokenizer.source.decode(shard.source.tolist()),
                tokenizer.target.decode(shard.labels.tolist()),
                strict=True,
            )
        ]
    run.nan_report.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    return (
        f"The loss at step {error.step} is {error.loss} (gradient norm {error.gradient_norm}); "
        f"{run.nan_report} has the details. The last checkpoint is good: begin another run with a "
        "lower training.optimizer.learning_rate or more warmup_steps."
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
