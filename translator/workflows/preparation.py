"""What a run needs before its first step: configuration, tokenizer, prepared text.

A new run decides these once. A resumed run keeps them, and refuses another configuration or other
text.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np

from translator import environment
from translator.cache import cache_folder, make_once
from translator.config import (
    Config,
    CorpusStatistics,
    Machine,
    continued,
    load_recorded,
    resolve,
    save_config,
)
from translator.config.keys import is_set
from translator.config.preset import Choice, choose
from translator.config.resume_rules import begun_from, kept
from translator.config.statistics import LEAST_LIMIT, LengthLimit
from translator.data.corpus import fingerprint, read_unchanged
from translator.data.corpus_statistics import LONGEST_SENTENCE, CorpusSample, sample_corpus
from translator.data.length_limit import needed_limit
from translator.data.mixture import Mixture
from translator.data.store import Store, open_store, store_key
from translator.data.tokenizer import Tokenizer, tokenizer_key, train_tokenizer
from translator.data.vocabulary_coverage import longest_side
from translator.errors import ConfigError, DataError, RunError
from translator.evaluation.metrics import check_metrics
from translator.files import write_whole
from translator.models.weights import (
    Arrays,
    DamagedFile,
    load_arrays,
    save_arrays,
    set_model_weights,
)
from translator.runs import RunDirectory, read_json
from translator.training.checkpoint import check_progress
from translator.workflows.progress import LOG_LINES, Progress, counting

log = logging.getLogger(__name__)

TEXTS = {"train": "training", "validation": "validation", "test": "test"}
"""Names of the splits in messages."""

BLANK_LEFT_OUT = {"blank_sides": "left out"}
"""Entry of text.json. Runs without it were made when only white space counted as an empty side."""


class Prepared(NamedTuple):
    """What a run needs before its first step."""

    config: Config
    """Complete: every `auto` is a value."""
    tokenizer: Tokenizer
    training: Mixture
    validation: Store
    start_weights: Arrays | None
    """The weights of another run that this one began with, if any."""


class Start(NamedTuple):
    """What a new run takes from another run."""

    tokenizer: Tokenizer
    weights: Arrays


def prepare_new_run(
    config: Config, run: RunDirectory, start_from: Path | None, progress: Progress = LOG_LINES
) -> Prepared:
    """Decide tokenizer, precision and everything `auto`, and write them into a new run.

    start_from: the run whose weights and tokenizer this one begins with. Raises UserError.
    """
    check_metrics(config)
    start = None
    if start_from is not None:
        config, start = _from_run(config, start_from)
    text, known = _read_corpus(config, progress)
    statistics = text.statistics()
    # Precision comes last: measuring it loads TensorFlow, half a GiB that is better left to
    # SentencePiece and the text.
    machine = Machine(None, environment.has_gpu(), environment.num_threads())
    _describe_choices(choose(config, statistics, machine), text.num_pairs)
    config = resolve(config, statistics, machine)
    tokenizer = start.tokenizer if start else _train_tokenizer(config, text, known)
    tokenizer.save(run.vocabularies)
    statistics = _completed(statistics, config, text, tokenizer)
    config = resolve(config, statistics, machine)
    prepared = _open_text(config, tokenizer, progress, num_pairs=text.num_pairs)
    config = resolve(
        config,
        statistics._replace(length_limit=_length_limit(config, prepared.training)),
        machine._replace(bfloat16_speedup=_bfloat16_speedup(config)),
    )
    prepared = prepared._replace(config=config, start_weights=start.weights if start else None)
    run.start.unlink(missing_ok=True)  # Preparation that was interrupted may have left one.
    if start is not None:
        _check_weights(config, start, str(start_from))
        save_arrays(run.start, start.weights)
    environment.record(run.environment)
    _record_text(run, prepared)
    origin = None if start_from is None else str(start_from.resolve())
    run.update_state(has_checkpoint=False, begun_from=origin)
    save_config(config, run.config)
    return prepared


def prepare_resumed_run(
    config: Config,
    run: RunDirectory,
    start_from: Path | None = None,
    progress: Progress = LOG_LINES,
) -> Prepared:
    """Read what a run has recorded, and write the new limits of `config` into it.

    start_from: if given, the run must have begun from this one. Raises UserError.
    """
    check_progress(run, load_recorded(run.config).training)
    if start_from is not None:
        _check_origin(run, start_from)
    prepared = read_prepared(config, run, progress)
    if values := kept(config, prepared.config, run.start.exists()):
        log.info(f"{run.path} keeps what the configuration leaves unset: {', '.join(values)}.")
    if changes := environment.changes(read_json(run.environment)):
        log.warning(
            f"{run.path} began on another setup ({'; '.join(changes)}). Its weights may differ in "
            "the last bits from those of an uninterrupted run."
        )
    run.update_state(has_checkpoint=bool(run.checkpoints()))
    save_config(prepared.config, run.config)
    return prepared


def read_prepared(config: Config, run: RunDirectory, progress: Progress = LOG_LINES) -> Prepared:
    """Read what a run has recorded, with the new limits of `config`, and write nothing.

    Raises UserError, among others if the text has changed.
    """
    config = continued(load_recorded(run.config), config, run)
    tokenizer = Tokenizer.load(run.tokenizer())
    recorded = read_json(run.text)
    keep_blank = not BLANK_LEFT_OUT.items() <= recorded.items()
    prepared = _open_text(config, tokenizer, progress, keep_blank=keep_blank)
    prepared = prepared._replace(start_weights=_start_weights(run))
    if not _text_digests(prepared).items() <= recorded.items():
        raise RunError(
            f"{run.path}: the training or validation text is not the one that this run began with. "
            "Restore it, or start another run with --run."
        )
    return prepared


def _start_weights(run: RunDirectory) -> Arrays | None:
    """The weights of another run that a run began with, if any.

    Raises RunError if they are needed and lost.
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


def _check_origin(run: RunDirectory, start_from: Path) -> None:
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


def _from_run(config: Config, path: Path) -> tuple[Config, Start]:
    """Tokenizer and weights of another run, and the configuration with what follows from them."""
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


def _check_weights(config: Config, start: Start, name: str) -> None:
    """Raise RunError unless the weights fit the configured model."""
    from translator.models.build import build_model

    sizes = len(start.tokenizer.source), len(start.tokenizer.target)
    set_model_weights(build_model(config, *sizes, "float32"), start.weights, name)


def _read_corpus(config: Config, progress: Progress) -> tuple[CorpusSample, dict[str, object]]:
    """A sample of the training text, and the fingerprint of that text.

    All splits are read, so that faults in them are found before the work begins.
    """
    log.info(f"Reading {config.data.dataset or 'the text'} …")

    def read(split: str) -> tuple[CorpusSample, dict[str, object]]:
        known = fingerprint(config.data, split)
        with counting(progress, f"Reading the {TEXTS[split]} text") as show:
            return sample_corpus(read_unchanged(config.data, split, known), show), known

    read("validation")
    training = read("train")
    if config.data.test is not None:
        read("test")
    return training


def _describe_choices(choices: list[Choice], num_pairs: int) -> None:
    if choices:
        log.info(f"Chosen for {num_pairs:,} pairs and this machine (values that you set win):")
    for choice in choices:
        text = f"{choice.key}: {json.dumps(choice.value)}"
        log.info(f"  {text:46} {choice.findings}")


def _bfloat16_speedup(config: Config) -> float | None:
    """How many times as fast bfloat16 is as float32; None if that decides nothing."""
    if config.training.precision != "auto":
        return None
    if not environment.has_bfloat16():
        log.info("This processor has no instructions for bfloat16.")
        return 0.0
    from translator.training.precision import bfloat16_speedup

    speedup = bfloat16_speedup()
    log.info(f"bfloat16 is {speedup:.2f} times as fast as float32 here.")
    return speedup


def _train_tokenizer(config: Config, text: CorpusSample, known: dict[str, object]) -> Tokenizer:
    """The tokenizer of the training text, cached by its settings and the text's fingerprint."""
    seed = config.training.seed

    def train(folder: Path) -> None:
        if text.num_overlong == text.num_pairs:
            raise DataError(
                f"data.train: every pair has a line of more than {LONGEST_SENTENCE:,} bytes, so no "
                "vocabulary can be learnt. Put one sentence on a line"
            )
        if text.num_overlong:
            log.info(
                f"The vocabulary is learnt without {text.num_overlong:,} pairs that have a line of "
                f"more than {LONGEST_SENTENCE:,} bytes."
            )
        if len(text.sample) + text.num_overlong < text.num_pairs:
            log.info(
                f"SentencePiece learns from {2 * len(text.sample):,} of {2 * text.num_pairs:,} "
                "sentences, evenly spread over the text."
            )
        tokenizer = train_tokenizer(
            config.tokenizer, lambda: text.sample, seed, log.info, config.data.tags
        )
        tokenizer.save(RunDirectory(folder).vocabularies)
        (folder / "digest").write_text(tokenizer.digest)

    def is_whole(folder: Path) -> bool:
        try:
            tokenizer = Tokenizer.load(RunDirectory(folder).vocabularies)
            return tokenizer.digest == (folder / "digest").read_text()
        except (RunError, OSError, ValueError):
            return False

    folder = cache_folder() / tokenizer_key(known, config.tokenizer, seed)
    make_once(folder, train, log.info, is_whole)
    return Tokenizer.load(RunDirectory(folder).vocabularies)


def _completed(
    statistics: CorpusStatistics, config: Config, text: CorpusSample, tokenizer: Tokenizer
) -> CorpusStatistics:
    """The statistics with the longest side in pieces, if a preset chooses by it."""
    if config.preset is None or is_set(config, "data.max_length"):
        return statistics
    completed = statistics._replace(longest=longest_side(text.sample, tokenizer))
    for choice in choose(config, completed, Machine(None)):
        is_less = choice.value < (completed.longest or 0)
        why = "the most that a preset chooses" if is_less else "with room for longer ones"
        log.info(
            f"999 of 1,000 pairs have at most {completed.longest:,} pieces a side: {choice.key} is "
            f"{choice.value}, {why}."
        )
    return completed


def _open_text(
    config: Config,
    tokenizer: Tokenizer,
    progress: Progress,
    num_pairs: int | None = None,
    keep_blank: bool = False,
) -> Prepared:
    """Encode the text, or find it in the cache.

    num_pairs: of the training text, if known, for the progress. keep_blank: only white space counts
    as an empty side, as in older runs.
    """
    corpora = list(config.data.corpora("train"))

    def store(
        split: str,
        index: int | None,
        max_length: int | None,
        keep_text: bool,
        total: int | None = None,
    ) -> Store:
        text = fingerprint(config.data, split, index)
        settings = {"max_length": max_length, "keep_text": keep_text, "keep_blank": keep_blank}
        key = store_key(text, tokenizer, **settings)
        number = f" {index + 1} of {len(corpora)}" if index is not None and len(corpora) > 1 else ""
        with counting(progress, f"Preparing the {TEXTS[split]} text{number}", total) as show:
            return open_store(
                cache_folder() / key,
                lambda: read_unchanged(config.data, split, text, index),
                tokenizer,
                max_length=max_length,
                keep_text=keep_text,
                keep_blank=keep_blank,
                show=show,
                report=log.info,
            )

    sampled = config.tokenizer.sampling_alpha is not None
    total = num_pairs if len(corpora) == 1 else None
    stores = []
    for index, key in enumerate(corpora):
        try:
            stores.append(store("train", index, config.data.max_length, sampled, total))
        except DataError as error:
            raise DataError(f"{key}: {error}" if len(corpora) > 1 else str(error)) from None
    validation = store("validation", None, None, keep_text=True)
    return Prepared(config, tokenizer, Mixture(stores), validation, None)


def _length_limit(config: Config, training: Mixture) -> LengthLimit:
    """The length limit that fits the training targets, as far as the user leaves it open."""
    ratio, extra = config.decoding.max_length_ratio, config.decoding.max_length_extra
    if ratio != "auto" and extra != "auto":
        return LengthLimit(ratio, extra)
    limit = needed_limit(
        training.source.lengths,
        training.target.lengths,
        None if ratio == "auto" else ratio,
        None if extra == "auto" else extra,
    )
    if limit != LEAST_LIMIT:
        log.info(f"Translations may have {limit}, so that the targets of this text fit.")
    return limit


def _text_digests(prepared: Prepared) -> dict[str, str]:
    return {
        "train": prepared.training.facts.digest,
        "validation": prepared.validation.facts.digest,
    }


def _record_text(run: RunDirectory, prepared: Prepared) -> None:
    write_whole(run.text, json.dumps(_text_digests(prepared) | BLANK_LEFT_OUT, indent=2) + "\n")
