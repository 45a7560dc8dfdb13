"""`translator eval`: translate, compare with references, keep all that made the score."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from translator import environment
from translator.config import Config
from translator.data.corpus import read_pairs
from translator.data.lines import read_lines
from translator.data.source_check import SourceCheck
from translator.errors import ConfigError, DataError
from translator.runs import RunDirectory

if TYPE_CHECKING:
    from translator.evaluation.score import Score


class Text(NamedTuple):
    """What is translated and compared."""

    name: str
    """Of the results in the run."""
    sources: list[str]
    references: list[str]
    origin: dict[str, str]
    """Where they are from."""


def evaluate(
    run_path: str | Path,
    split: str | None = None,
    source: str | Path | None = None,
    target: str | Path | None = None,
    hypotheses: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> list[Score]:
    """Score a run on a split of its data (test unless told otherwise), or on two files.

    With `hypotheses`, these lines are scored instead of translations made now. Prints the scores,
    keeps translations and scores in the run's results, and returns the scores. Raises UserError.
    """
    from translator.decoding.run_config import load_run_config
    from translator.evaluation.score import scores

    source, target, hypotheses = (
        None if path is None else Path(path) for path in (source, target, hypotheses)
    )
    run = RunDirectory.existing(Path(run_path))
    config = load_run_config(run, overrides)
    if source is None and target is None:
        run.need_text(overrides)
    text = _text(config, split, source, target, given=hypotheses is not None)
    if hypotheses is None:
        translations = _translations(run, config, overrides, text)
    else:
        translations = list(read_lines(hypotheses))
        origin = {**text.origin, "hypotheses": str(hypotheses)}
        text = text._replace(name=f"{text.name}-by-{hypotheses.stem}", origin=origin)
    if len(translations) != len(text.references):
        raise DataError(
            f"There are {len(translations):,} translations and {len(text.references):,} "
            "references; each translation needs one."
        )
    results = scores(translations, text.references, config.evaluation, config.data.target_language)
    said = f"{text.name}: {len(translations):,} sentences"
    if hypotheses is None:
        decoding = config.decoding
        said += f", beam {decoding.beam_size}, length penalty {decoding.length_penalty:g} "
        said += f"({decoding.length_penalty_kind})"
    if not run.is_bundle:
        _keep(run, config, text, translations, results)
        said += f", kept in {run.result(text.name, 'json')}"
    print(said, file=sys.stderr)
    for score in results:
        print(score)
    return results


def _text(
    config: Config, split: str | None, source: Path | None, target: Path | None, given: bool
) -> Text:
    """The text to score on; `given`: its translations are there, so it needs no sources."""
    if source is None and target is None:
        split = split or "test"
        if split not in ("train", "validation", "test"):
            raise ConfigError(f"--split {split}: choose train, validation or test.")
        if getattr(config.data, split) is None:
            raise ConfigError(f"data.{split} is not set in this run; give --source and --target.")
        pairs = list(read_pairs(config.data, split))
        origin = {"split": split, "data": config.data.model_dump_json()}
        return Text(split, [p.source for p in pairs], [p.target for p in pairs], origin)
    if split is not None:
        raise ConfigError("Give either --split, or --source and --target.")
    if target is None or (source is None and not given):
        raise ConfigError(
            "Give --source and --target together; beside --hypotheses, --target alone is enough."
        )
    references = list(read_lines(target))
    sources = list(read_lines(source)) if source else []
    if source and len(sources) != len(references):
        raise DataError(
            f"{source} has {len(sources):,} lines and {target} {len(references):,}; line i of "
            "one must translate line i of the other."
        )
    if not references:
        raise DataError(f"{target} has no lines, so there is nothing to score.")
    origin = {"source": str(source), "target": str(target)}
    return Text(f"file-{target.stem}", sources, references, origin)


def _translations(
    run: RunDirectory, config: Config, overrides: Sequence[str], text: Text
) -> list[str]:
    from translator.decoding.translator import Translator

    translator = Translator.load(run.path, overrides)
    check = SourceCheck(config.data, translator.tokenizer.source.tags)
    found = translator.hypotheses(list(check.watch(text.sources)))
    for complaint in check.complaints(text.name):
        print(f"Warning: {complaint}", file=sys.stderr)
    if num_cut := sum(best.num_unread > 0 for best, *_ in found):
        print(
            f"Warning: {num_cut:,} sentences are longer than data.max_length; what is beyond it "
            "was not read.",
            file=sys.stderr,
        )
    return [best.text for best, *_ in found]


def _keep(
    run: RunDirectory, config: Config, text: Text, translations: list[str], results: list[Score]
) -> None:
    from translator.models.weights import load_facts

    run.result(text.name, "json").parent.mkdir(exist_ok=True)
    if config.training.keep_text:
        lines = "".join(f"{line}\n" for line in translations)
        run.result(text.name, "txt").write_text(lines, encoding="utf-8")
    report = {
        "scores": [score._asdict() for score in results],
        "text": {
            **text.origin,
            "source_sha256": _sha256(text.sources),
            "reference_sha256": _sha256(text.references),
            "translation_sha256": _sha256(translations),
        },
        "weights": None if "hypotheses" in text.origin else load_facts(run.shipped),
        "decoding": config.decoding.model_dump(),
        "evaluation": config.evaluation.model_dump(),
        "environment": environment.current(),
    }
    result = json.dumps(report, ensure_ascii=False, indent=2) + "\n"
    run.result(text.name, "json").write_text(result, encoding="utf-8")


def _sha256(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
