"""`translator eval`: translate, compare with references, keep all that made the score."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from translator import environment
from translator.config import Config
from translator.data.corpus import read_pairs
from translator.data.lines import read_lines
from translator.errors import ConfigError, DataError
from translator.runs import RunDirectory

if TYPE_CHECKING:
    from translator.evaluation.score import Score


def evaluate(
    run_path: Path,
    split: str | None = None,
    source: Path | None = None,
    target: Path | None = None,
    hypotheses: Path | None = None,
    overrides: Sequence[str] = (),
) -> list[Score]:
    """Score a run on a split of its data (test unless told otherwise), or on two files.

    With `hypotheses`, these lines are scored instead of translations made now. Prints the scores,
    keeps translations and scores in the run's results, and returns the scores. Raises UserError.
    """
    from translator.decoding.translator import Translator, load_run_config
    from translator.evaluation.score import scores

    run = RunDirectory.existing(run_path)
    config = load_run_config(run, overrides)
    name, sources, references = _text(config, split, source, target, hypotheses)
    if hypotheses is None:
        translations = Translator.load(run_path, overrides).translate(sources)
    else:
        translations = list(read_lines(hypotheses))
        name = hypotheses.stem
    if len(translations) != len(references):
        raise DataError(
            f"There are {len(translations):,} translations and {len(references):,} references; "
            "each translation needs one."
        )
    results = scores(translations, references, config.evaluation, config.data.target_language)
    _keep(run, name, config, translations, results, hypotheses)
    for score in results:
        print(score)
    return results


def _text(
    config: Config,
    split: str | None,
    source: Path | None,
    target: Path | None,
    hypotheses: Path | None,
) -> tuple[str, list[str], list[str]]:
    """A name for the text, its sources and its references."""
    if split and (source or target):
        raise ConfigError("Give either --split, or --source and --target.")
    if target is not None:
        if source is None and hypotheses is None:
            raise ConfigError("--target needs --source (or --hypotheses) beside it.")
        sources = list(read_lines(source)) if source else []
        references = list(read_lines(target))
        if source and len(sources) != len(references):
            raise DataError(
                f"{source} has {len(sources):,} lines and {target} {len(references):,}; line i of "
                "one must translate line i of the other."
            )
        return target.stem, sources, references
    if source is not None:
        raise ConfigError("--source needs --target beside it.")
    split = split or "test"
    if split not in ("train", "validation", "test"):
        raise ConfigError(f"--split {split}: choose train, validation or test.")
    if getattr(config.data, split) is None:
        raise ConfigError(f"data.{split} is not set in this run; give --source and --target.")
    pairs = list(read_pairs(config.data, split))
    return split, [pair.source for pair in pairs], [pair.target for pair in pairs]


def _keep(
    run: RunDirectory,
    name: str,
    config: Config,
    translations: list[str],
    results: list[Score],
    hypotheses: Path | None,
) -> None:
    from translator.models.weights import load_facts

    if config.training.keep_text:
        text = "".join(f"{line}\n" for line in translations)
        run.result(name, "txt").write_text(text, encoding="utf-8")
    report = {
        "scores": [score._asdict() for score in results],
        "weights": load_facts(run.best) if hypotheses is None else None,
        "hypotheses": None if hypotheses is None else str(hypotheses),
        "data": config.data.model_dump(),
        "decoding": config.decoding.model_dump(),
        "evaluation": config.evaluation.model_dump(),
        "environment": environment.current(),
    }
    run.result(name, "json").write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n")
