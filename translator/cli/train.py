"""`translator train`: prepare what a run needs, train, and show it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from translator.cli.prepare import begin, resume, say
from translator.config import Config, load_config
from translator.data.store import Store
from translator.data.tokenizer import Sampling, Tokenizer
from translator.errors import RunError, Stopped
from translator.runs import RunDirectory

if TYPE_CHECKING:
    from translator.training.interruption import Interruption
    from translator.training.loop import LossNotFinite


def train(
    config_path: str | Path,
    run_path: str | Path | None = None,
    overrides: Sequence[str] = (),
    start_from: str | Path | None = None,
) -> None:
    """Train the configuration of a YAML file in a run, or continue it where it stopped.

    The run is runs/NAME after the file's name unless given. Raises UserError; Stopped, with all
    saved, when a signal came.
    """
    config_path = Path(config_path)
    config = load_config(config_path, overrides)
    run = RunDirectory(Path(run_path or Path("runs") / config_path.stem))
    origin = None if start_from is None else Path(start_from)
    run.create()
    with run.locked():
        from translator.training.interruption import Interruption

        with Interruption() as interruption:
            try:
                _train(config, run, origin, interruption)
            except Stopped:
                say(f"Stopped. The same command continues {run.path} where it is.")
                raise


def _train(
    config: Config, run: RunDirectory, start_from: Path | None, interruption: Interruption
) -> None:
    prepared = resume(config, run) if run.exists else begin(config, run, start_from)
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
        if not run.best.exists():  # deleted by hand: the next validation makes it anew
            validated_step = min(position.validated_step, position.step - 1)
            position = replace(position, best_score=None, validated_step=validated_step)
        learner.restore(state, str(run.checkpoints()[-1]))
        say(f"Continuing {run.path} after step {position.step:,}.")
    elif start_weights is not None:
        learner.start_from(start_weights, str(start_from))
    _describe(config, store, plan.batches_per_epoch, model.count_params(), tokenizer)

    sampling = None
    if config.tokenizer.sampling_alpha is not None:
        sampling = Sampling(
            config.tokenizer.kind,
            config.tokenizer.sampling_alpha,
            config.training.seed,
            config.data.max_length,
        )

    def batches(index: int) -> list[Batch]:
        return batch(
            store,
            tokenizer,
            plan,
            index,
            config.training.accumulation_steps,
            sampling,
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
        Records(run, position, config.training.keep_text) as records,
        Display(config.training, last_step, plan.batches_per_epoch, validator.pairs) as display,
    ):
        try:
            for progress in steps:
                records.add(progress)
                display.show(progress)
                position = progress.position
        except LossNotFinite as error:
            raise RunError(_report_nan(error, run, config, tokenizer)) from None
    say(
        f"Finished after {position.step:,} steps and {position.seconds / 60:.1f} minutes. "
        f"The best weights are of step {position.best_step:,}; use them with\n"
        f"  translator translate {run.path}\n"
        f"  translator eval {run.path}"
    )


def _describe(
    config: Config, store: Store, batches_per_epoch: int, num_parameters: int, tokenizer: Tokenizer
) -> None:
    facts = store.facts
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
    run.nan_report.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return (
        f"The loss at step {error.step} is {error.loss} (gradient norm {error.gradient_norm}); "
        f"{run.nan_report} has the details. The last checkpoint is good: begin another run with a "
        "lower training.optimizer.learning_rate or more warmup_steps."
    )
