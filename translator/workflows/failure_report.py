"""The report of a step at which training diverged, and its description in messages."""

from __future__ import annotations

import json
import math
from pathlib import Path

from translator.data.tokenizer import Tokenizer
from translator.files import write_whole
from translator.runs import RunDirectory
from translator.training.results import Failure


def write_failure_report(
    run: RunDirectory, failure: Failure, number: int, text: Tokenizer | None
) -> Path:
    """Write the run's `number`-th failure into the run; with a tokenizer, also its batch as text.

    Returns the path of the report.
    """
    path = run.incident(failure.step, number)
    report: dict[str, object] = {
        "step": failure.step,
        "loss": _number(failure.update.loss),
        "gradient_norm": _number(failure.update.gradient_norm),
        "learning_rate": failure.learning_rate,
        "mean_loss_leapt": failure.divergence.jump,
        "back_to": failure.divergence.back_to,
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
    path.parent.mkdir(exist_ok=True)
    write_whole(path, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    return path


def describe_failure(failure: Failure) -> str:
    """What happened, as a sentence without its full stop."""
    if failure.divergence.jump is None:
        loss, norm = failure.update
        return (
            f"Training diverged: the loss at step {failure.step:,} is {loss:.4g} "
            f"(gradient norm {norm:.4g})"
        )
    lowest, last = failure.divergence.jump
    return (
        f"Training diverged: the mean loss jumped from {lowest:.3f} to {last:.3f} by step "
        f"{failure.step:,}"
    )


def _number(value: float) -> float | str:
    """The value for JSON, which has neither infinity nor NaN."""
    return value if math.isfinite(value) else str(value)
