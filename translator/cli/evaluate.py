"""`translator eval`: translate, compare with references, keep all that made the score."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from translator import environment
from translator.config import Config
from translator.config.loading import PATH_KEYS
from translator.data.corpus import read_pairs
from translator.data.lines import read_lines
from translator.decoding.loaded_run import LoadedRun, load_run, load_run_config
from translator.diagnostics.input_checks import InputChecks
from translator.errors import ConfigError, DataError
from translator.files import write_whole
from translator.runs import RunDirectory
from translator.workflows.progress import show_progress

if TYPE_CHECKING:
    from translator.training.results import Score


PLACES = {f"data.{key}" for key in PATH_KEYS}
"""Keys that say where text lies, not which text it is."""


class Text(NamedTuple):
    """What is translated and compared."""

    name: str
    """Of the results in the run."""
    sources: list[str]
    references: list[str]
    origin: dict[str, str]
    """Where they are from."""
    is_own: bool = True
    """Whether the name means this text and no other, as far as the run's configuration says."""


def evaluate(
    run_path: str | Path,
    split: str | None = None,
    source: str | Path | None = None,
    target: str | Path | None = None,
    hypotheses: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> list[Score]:
    """Score a run on a split of its data (test by default), or on two files.

    With `hypotheses`, these lines are scored instead of translations made now. Prints the scores,
    then keeps translations and scores in the run's results, and returns the scores. Raises
    UserError.
    """
    from translator.evaluation.metrics import scores

    source, target, hypotheses = (
        None if path is None else Path(path) for path in (source, target, hypotheses)
    )
    directory = RunDirectory.existing(Path(run_path))
    run = load_run(directory, overrides) if hypotheses is None else None
    config = run.config if run else load_run_config(directory, overrides)
    if source is None and target is None:
        directory.need_text(overrides)
    text = _text(config, split, source, target, given=hypotheses is not None)
    keys = {override.partition("=")[0] for override in overrides}
    if any(key.partition(".")[0] == "data" for key in keys.difference(PLACES)):
        text = text._replace(is_own=False)
    if run:
        translations = _translations(run, text)
    else:
        assert hypotheses is not None
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
    if run:
        decoding = config.decoding
        said += f", beam {decoding.beam_size}, length penalty {decoding.length_penalty:g} "
        said += f"({decoding.length_penalty_kind})"
    print(said, file=sys.stderr)
    try:
        for score in results:
            print(score, flush=True)
    finally:
        if not directory.is_bundle:
            _keep(directory, run, config, text, translations, results)
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
        with show_progress(f"Reading the {split} text"):
            pairs = list(read_pairs(config.data, split))
        origin = {"split": split, "data": json.dumps(config.data.model_dump())}
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


def _translations(run: LoadedRun, text: Text) -> list[str]:
    from translator.decoding.output_checks import OutputChecks

    check, output_check = InputChecks(run.config.data, run.tokenizer.source.tags), OutputChecks()
    hypotheses = run.engine().hypotheses(list(check.watch(text.sources)))
    found = list(output_check.watch(hypotheses))
    for warning in [*check.warnings(text.name), *output_check.warnings()]:
        print(f"Warning: {warning}", file=sys.stderr)
    if num_cut := sum(best.num_unread > 0 for best, *_ in found):
        print(
            f"Warning: {num_cut:,} sentences are longer than data.max_length; what is beyond it "
            "was not read.",
            file=sys.stderr,
        )
    return [best.text for best, *_ in found]


def _keep(
    directory: RunDirectory,
    run: LoadedRun | None,
    config: Config,
    text: Text,
    translations: list[str],
    results: list[Score],
) -> None:
    """Write scores and translations into the run's results; a warning if that cannot be done.

    `run` made the translations, or None if they were given.
    """
    digests = {
        "source_sha256": _sha256(text.sources),
        "reference_sha256": _sha256(text.references),
        "translation_sha256": _sha256(translations),
    }
    compared = set(digests) if run is None else {"source_sha256", "reference_sha256"}
    report = {
        "scores": [score._asdict() for score in results],
        "text": {**text.origin, **digests},
        "weights": None if run is None else dict(run.facts),
        "weights_sha256": None if run is None else run.digest,
        "decoding": config.decoding.model_dump(),
        "evaluation": config.evaluation.model_dump(),
        "environment": environment.current(),
    }
    name = _free_name(directory, text, {key: digests[key] for key in sorted(compared)})
    path = directory.result(name, "json")
    try:
        path.parent.mkdir(exist_ok=True)
        if config.training.keep_text:
            lines = "".join(f"{line}\n" for line in translations)
            write_whole(directory.result(name, "txt"), lines)
        # File names need not be UTF-8.
        said = json.dumps(report, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace")
        write_whole(path, said + b"\n")
    except OSError as error:
        reason = f"{error.filename or path}: {error.strerror}"
        print(f"Warning: the results are not kept: {reason}.", file=sys.stderr)
        return
    print(f"Kept in {path}.", file=sys.stderr)


def _free_name(directory: RunDirectory, text: Text, digests: Mapping[str, str]) -> str:
    """The name under which results of a text are kept: never that of another text's results."""
    known = _known_text(directory.result(text.name, "json"))
    if known is None and text.is_own:
        return text.name
    if known is not None and digests.items() <= known.items():
        return text.name
    return f"{text.name}-{_sha256(list(digests.values()))[:8]}"


def _known_text(path: Path) -> dict[str, Any] | None:
    """What a kept report says of its text; nothing of a damaged one; None if there is none."""
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["text"]
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _sha256(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
