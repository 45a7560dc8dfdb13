"""`evaluate`: translate, score against references, and keep scores and translations."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from translator import environment
from translator.config import Config
from translator.config.schema import DataConfig
from translator.corpora.lines import read_lines
from translator.data.corpus import Pair, read_pairs
from translator.decoding.loaded_run import LoadedRun, load_run, load_run_config
from translator.diagnostics.input_checks import InputChecks
from translator.diagnostics.output_checks import OutputChecks
from translator.errors import ConfigError, DataError
from translator.files import write_whole
from translator.runs import RunDirectory
from translator.workflows.logs import ensure_handler
from translator.workflows.progress import LOG_LINES, Progress, counting

if TYPE_CHECKING:
    from translator.training.results import Score

log = logging.getLogger(__name__)

PLACES = {f"data.{key}" for key in DataConfig.path_keys()}
"""Keys that locate text, and do not identify it."""


class Text(NamedTuple):
    """Text to translate, with its references."""

    name: str
    """Name of the results in the run."""
    sources: list[str]
    references: list[str]
    origin: dict[str, str]
    """Where the text is from, for the report."""
    is_own: bool = True
    """Whether the name stands for this text in the run's configuration."""


class _Baseline(NamedTuple):
    """Translations without a model, and their scores."""

    scores: list[Score]
    facts: dict[str, int]
    """For the report."""


SHOW_EVERY = 10_000
"""Pairs between two reports of progress."""


def evaluate(
    run: str | Path,
    split: str | None = None,
    source: str | Path | None = None,
    target: str | Path | None = None,
    hypotheses: str | Path | None = None,
    overrides: Sequence[str] = (),
    progress: Progress = LOG_LINES,
    baseline: bool = False,
) -> list[Score]:
    """Score a run on a split of its data, or on two files; return the scores with signatures.

    split: "train", "validation" or "test" (the default).
    source, target: files to score on in place of a split, with a sentence per line.
    hypotheses: a file of translations to score; the run then translates nothing.
    overrides: keys that win over what the run keeps, such as "decoding.beam_size=1".
    baseline: also score two ways to translate without a model, the first words of the source and
    the target of the nearest training pair. Their scores follow, as "first words: BLEU".

    Translations and scores are kept in the results of the run. Raises UserError.
    """
    from translator.evaluation.metrics import check_metrics, scores

    ensure_handler()
    source, target, hypotheses = (
        None if path is None else Path(path) for path in (source, target, hypotheses)
    )
    directory = RunDirectory.existing(Path(run))
    loaded = load_run(directory, overrides) if hypotheses is None else None
    config = loaded.config if loaded else load_run_config(directory, overrides)
    check_metrics(config)
    if source is None and target is None:
        directory.need_text(overrides)
        text = _split_text(config, split or "test", overrides, progress)
    else:
        text = _file_text(split, source, target, needs_source=hypotheses is None)
    check_metrics(config, text.references)
    baselines = {}
    if baseline:
        directory.need_text(overrides)
        baselines = _baselines(config, text, progress)
    if hypotheses is not None:
        translations, text = _given_translations(hypotheses, text)
    else:
        assert loaded is not None
        translations = _translations(loaded, text)
    results = scores(translations, text.references, config.evaluation, config.data.target_language)
    summary = f"{text.name}: {len(translations):,} sentences"
    if loaded:
        decoding = config.decoding
        summary += f", beam {decoding.beam_size}, length penalty {decoding.length_penalty:g} "
        summary += f"({decoding.length_penalty_kind})"
    log.info(summary)
    if not directory.is_bundle:
        _keep(directory, loaded, config, text, translations, results, baselines)
    return [*results, *_named_scores(baselines)]


def _baselines(config: Config, text: Text, progress: Progress) -> dict[str, _Baseline]:
    """The baselines by name, with the metrics of the run. Raises UserError."""
    from translator.evaluation import baselines
    from translator.evaluation.metrics import METRICS, scores

    if not text.sources:
        raise ConfigError("--baseline needs the sources. Give --source together with --target.")

    def read_training() -> Iterator[Pair]:
        with counting(progress, "Reading the training text") as show:
            for number, pair in enumerate(read_pairs(config.data, "train"), start=1):
                yield pair
                if number % SHOW_EVERY == 0:
                    show(number)

    evaluation, language = config.evaluation, config.data.target_language
    metric, tags = METRICS[evaluation.metrics[0]], config.data.tags

    def rank(translations: Sequence[str], references: Sequence[str]) -> float:
        return metric.rank(metric.score(translations, references, evaluation, language))

    def scored(translations: Sequence[str], **settings: int) -> _Baseline:
        return _Baseline(scores(translations, text.references, evaluation, language), settings)

    validation = list(read_pairs(config.data, "validation"))
    num_words = baselines.choose_num_words(validation, rank, tags)
    log.info(f"first words: {num_words}, which score best on the validation split")
    beginnings = baselines.beginnings(text.sources, num_words, tags)
    nearest = baselines.nearest_targets(text.sources, read_training, tags)
    return {
        baselines.FIRST_WORDS: scored(beginnings, num_words=num_words),
        baselines.NEAREST_PAIR: scored(nearest),
    }


def _named_scores(baselines: Mapping[str, _Baseline]) -> Iterator[Score]:
    for name, baseline in baselines.items():
        for score in baseline.scores:
            yield score._replace(name=f"{name}: {score.name}")


def _split_text(config: Config, split: str, overrides: Sequence[str], progress: Progress) -> Text:
    """A split of the run's data. Raises UserError."""
    if split not in ("train", "validation", "test"):
        raise ConfigError(f"--split {split}: choose train, validation or test.")
    if getattr(config.data, split) is None:
        raise ConfigError(f"data.{split} is not set in this run. Give --source and --target.")
    with counting(progress, f"Reading the {split} text"):
        pairs = list(read_pairs(config.data, split))
    origin = {"split": split, "data": json.dumps(config.data.model_dump())}
    keys = {override.partition("=")[0] for override in overrides} - PLACES
    is_own = not any(key.partition(".")[0] == "data" for key in keys)
    return Text(split, [p.source for p in pairs], [p.target for p in pairs], origin, is_own)


def _file_text(
    split: str | None, source: Path | None, target: Path | None, needs_source: bool
) -> Text:
    """Two files, or the references alone. Raises UserError."""
    if split is not None:
        raise ConfigError("Give either --split, or --source and --target.")
    if target is None or (source is None and needs_source):
        raise ConfigError(
            "Give --source and --target together. With --hypotheses, --target alone is enough."
        )
    references = list(read_lines(target))
    sources = list(read_lines(source)) if source else []
    if source:
        _check_lengths(source, sources, str(target), references)
    if not references:
        raise DataError(f"{target} has no lines, so there is nothing to score.")
    origin = {"source": str(source), "target": str(target)}
    return Text(f"file-{target.stem}", sources, references, origin)


def _given_translations(path: Path, text: Text) -> tuple[list[str], Text]:
    """The translations in a file, and the text under a name that includes that of the file."""
    translations = list(read_lines(path))
    references = text.origin.get("target", f"the {text.name} text")
    _check_lengths(path, translations, references, text.references)
    origin = {**text.origin, "hypotheses": str(path)}
    return translations, text._replace(name=f"{text.name}-by-{path.stem}", origin=origin)


def _check_lengths(path: Path, lines: list[str], other: str, other_lines: list[str]) -> None:
    """Raise DataError unless both have equally many lines."""
    if len(lines) != len(other_lines):
        raise DataError(
            f"{path} has {len(lines):,} {'line' if len(lines) == 1 else 'lines'}, but {other} has "
            f"{len(other_lines):,}. Line i of one must translate line i of the other."
        )


def _translations(run: LoadedRun, text: Text) -> list[str]:
    """The best translation of each source, with warnings about what looks wrong."""
    checks, output_checks = InputChecks(run.config.data, run.tokenizer.source.tags), OutputChecks()
    hypotheses = run.engine().hypotheses(list(checks.watch(text.sources)))
    translations = list(output_checks.watch(hypotheses))
    for warning in [*checks.warnings(text.name), *output_checks.warnings()]:
        log.warning(warning)
    if num_truncated := sum(best.num_unread > 0 for best, *_ in translations):
        log.warning(f"Sentences longer than data.max_length, and truncated: {num_truncated:,}.")
    return [best.text for best, *_ in translations]


def _keep(
    directory: RunDirectory,
    run: LoadedRun | None,
    config: Config,
    text: Text,
    translations: list[str],
    results: list[Score],
    baselines: Mapping[str, _Baseline],
) -> None:
    """Write scores and translations into the run, or warn if that fails.

    run: the run that translated; None if the translations were given.
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
    if baselines:
        report["baselines"] = {
            name: {"scores": [score._asdict() for score in one.scores], **one.facts}
            for name, one in baselines.items()
        }
    elif known := _known(path, "baselines"):
        report["baselines"] = known  # of the same text
    try:
        path.parent.mkdir(exist_ok=True)
        if config.training.keep_text:
            lines = "".join(f"{line}\n" for line in translations)
            write_whole(directory.result(name, "txt"), lines)
        # File names in the report need not be UTF-8.
        content = json.dumps(report, ensure_ascii=False, indent=2)
        write_whole(path, content.encode("utf-8", "backslashreplace") + b"\n")
    except OSError as error:
        log.warning(f"The results are not kept: {error.filename or path}: {error.strerror}.")
        return
    log.info(f"Kept in {path}.")


def _free_name(directory: RunDirectory, text: Text, digests: Mapping[str, str]) -> str:
    """A name for the results under which no results of another text are kept."""
    known = _known(directory.result(text.name, "json"), "text")
    if known is None and text.is_own:
        return text.name
    if known is not None and digests.items() <= known.items():
        return text.name
    return f"{text.name}-{_sha256(list(digests.values()))[:8]}"


def _known(path: Path, key: str) -> dict[str, Any] | None:
    """An entry of an earlier report; {} if it is missing or damaged, None without a report."""
    if not path.exists():
        return None
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))[key]
        return entry if isinstance(entry, dict) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _sha256(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
