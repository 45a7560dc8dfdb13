"""Prepare a new run: decide tokenizer, precision and everything `auto`, once for all sessions."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from translator import environment
from translator.cache import cache_folder, make_once
from translator.config import Config, CorpusStatistics, Machine, resolve, save_config
from translator.config.keys import is_set
from translator.config.preset import Choice, choose
from translator.config.statistics import LEAST_LIMIT, LengthLimit
from translator.data.corpus import fingerprint, read_unchanged
from translator.data.corpus_statistics import LONGEST_SENTENCE, CorpusSample, sample_corpus
from translator.data.length_limit import needed_limit
from translator.data.mixture import Mixture
from translator.data.tokenizer import Tokenizer, tokenizer_key, train_tokenizer
from translator.data.vocabulary_coverage import longest_side
from translator.errors import DataError, RunError
from translator.files import write_whole
from translator.models.weights import save_arrays
from translator.runs import RunDirectory
from translator.workflows.prepared import (
    BLANK_LEFT_OUT,
    SPLIT_NAMES,
    Prepared,
    open_text,
    text_digests,
)
from translator.workflows.progress import LOG_LINES, Progress, counting
from translator.workflows.start_from import check_weights, read_start

log = logging.getLogger(__name__)


def prepare_new_run(
    config: Config, run: RunDirectory, start_from: Path | None, progress: Progress = LOG_LINES
) -> Prepared:
    """Decide tokenizer, precision and everything `auto`, and write them into a new run.

    start_from: the run whose weights and tokenizer this one begins with.

    config.yaml is written last, so an interrupted preparation starts over. Raises UserError.
    """
    start = None
    if start_from is not None:
        config, start = read_start(config, start_from)
    text, text_fingerprint = _read_corpus(config, progress)
    statistics = text.statistics()
    # Precision comes last. Measuring it loads TensorFlow, whose half GiB SentencePiece may need.
    machine = Machine(None, environment.has_gpu(), environment.num_threads())
    _describe_choices(choose(config, statistics, machine), text.num_pairs)
    config = resolve(config, statistics, machine)
    tokenizer = start.tokenizer if start else _train_tokenizer(config, text, text_fingerprint)
    tokenizer.save(run.vocabularies)
    statistics = _with_longest_side(statistics, config, text, tokenizer)
    config = resolve(config, statistics, machine)
    prepared = open_text(config, tokenizer, progress, num_pairs=text.num_pairs)
    config = resolve(
        config,
        statistics._replace(length_limit=_length_limit(config, prepared.training)),
        machine._replace(bfloat16_speedup=_bfloat16_speedup(config)),
    )
    prepared = prepared._replace(config=config, start_weights=start.weights if start else None)
    run.start.unlink(missing_ok=True)  # An interrupted preparation may have left one.
    if start is not None:
        check_weights(config, start, str(start_from))
        save_arrays(run.start, start.weights)
    environment.record(run.environment)
    write_whole(run.text, json.dumps(text_digests(prepared) | BLANK_LEFT_OUT, indent=2) + "\n")
    origin = None if start_from is None else str(start_from.resolve())
    run.update_state(has_checkpoint=False, begun_from=origin)
    save_config(config, run.config)
    return prepared


def _read_corpus(config: Config, progress: Progress) -> tuple[CorpusSample, dict[str, object]]:
    """A sample of the training text, and the fingerprint of that text.

    It reads all splits, so that errors in them are found before the work begins.
    """
    log.info(f"Reading {config.data.dataset or 'the text'} …")

    def read(split: str) -> tuple[CorpusSample, dict[str, object]]:
        before = fingerprint(config.data, split)
        with counting(progress, f"Reading the {SPLIT_NAMES[split]} text") as show:
            return sample_corpus(read_unchanged(config.data, split, before), show), before

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
    """How many times as fast bfloat16 is as float32; None if the precision is configured."""
    if config.training.precision != "auto":
        return None
    if not environment.has_bfloat16():
        log.info("This processor has no instructions for bfloat16.")
        return 0.0
    from translator.training.precision import bfloat16_speedup

    speedup = bfloat16_speedup()
    log.info(f"bfloat16 is {speedup:.2f} times as fast as float32 here.")
    return speedup


def _train_tokenizer(
    config: Config, text: CorpusSample, text_fingerprint: dict[str, object]
) -> Tokenizer:
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

    folder = cache_folder() / tokenizer_key(text_fingerprint, config.tokenizer, seed)
    make_once(folder, train, log.info, is_whole)
    return Tokenizer.load(RunDirectory(folder).vocabularies)


def _with_longest_side(
    statistics: CorpusStatistics, config: Config, text: CorpusSample, tokenizer: Tokenizer
) -> CorpusStatistics:
    """The statistics with the longest side in pieces, if a preset uses it."""
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


def _length_limit(config: Config, training: Mixture) -> LengthLimit:
    """The length limit, with values that fit the training targets where the user set none."""
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
