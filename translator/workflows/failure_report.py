"""What a run keeps of a step at which learning failed, and what is said of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

from translator.data.tokenizer import Tokenizer
from translator.files import write_whole
from translator.runs import RunDirectory
from translator.training.rollback import Failure


def write_failure_report(
    run: RunDirectory, failure: Failure, number: int, text: Tokenizer | None
) -> Path:
    """Write a failure, the run's so many-th, into the run; with a tokenizer, its batch as text."""
    path = run.incident(failure.step, number)
    report: dict[str, object] = {
        "step": failure.step,
        "loss": _number(failure.loss),
        "gradient_norm": _number(failure.gradient_norm),
        "learning_rate": failure.learning_rate,
        "mean_loss_leapt": failure.leap,
        "back_to": failure.back_to,
        "gradient_norms": {name: _number(norm) for name, norm in failure.gradient_norms.items()},
    }
    if text is not None:
        report["batch"] = [
            {"source": source, "target": target}
            for shard in failure.shards
            for source, target in zip(
                text.source.decode(shard.source.tolist()),
                text.target.decode(shard.labels.tolist()),
                strict=True,
            )
        ]
    write_whole(path, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    return path


def describe_failure(failure: Failure) -> str:
    if failure.leap is None:
        return (
            f"Training diverged: the loss at step {failure.step:,} is {failure.loss:.4g} "
            f"(gradient norm {failure.gradient_norm:.4g})"
        )
    lowest, mean = failure.leap
    return (
        f"Training diverged: up to step {failure.step:,} the loss has leapt from {lowest:.3f} to "
        f"{mean:.3f}"
    )


def _number(value: float) -> float | str:
    """JSON has no infinity, and nothing that is no number."""
    return value if math.isfinite(value) else str(value)
