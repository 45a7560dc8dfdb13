"""`distill`: a student learns from the translations of a teacher."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from shutil import rmtree
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from translator import __version__
from translator.config import Config
from translator.config.schema import DataConfig
from translator.corpora.corpus import CorpusTag, file_facts
from translator.corpora.lines import read_nonempty
from translator.data.corpus import Pair, read_pairs
from translator.data.corpus_statistics import SHOW_EVERY
from translator.data.tags import split_tag
from translator.environment import freeze_weights
from translator.errors import ConfigError, DataError, RunError
from translator.evaluation.metrics import check_metrics
from translator.runs import RunDirectory
from translator.training.distributed.cluster import find_cluster
from translator.workflows.logs import ensure_handler
from translator.workflows.prepared import SPLIT_NAMES
from translator.workflows.progress import LOG_LINES, Progress, counting
from translator.workflows.teacher import (
    Teacher,
    TeacherRecord,
    TranslatedCorpus,
    check_same_teacher,
    open_teacher,
    read_record,
)
from translator.workflows.teacher_process import Order, Task, translating
from translator.workflows.train import interruptible, read_config, train_run, warn_of_kill
from translator.workflows.translated_text import (
    is_translated,
    keep_usable,
    lay_out,
    remove_work,
    student_config,
)

log = logging.getLogger(__name__)

Item = TypeVar("Item")


def distill(
    config: str | Path,
    teacher: str | Path,
    run: str | Path | None = None,
    text: Sequence[str | Path] = (),
    share: float | None = None,
    tag: str | None = None,
    engine: str | None = None,
    overrides: Sequence[str] = (),
    progress: Progress = LOG_LINES,
) -> Path:
    """Train a student on a teacher's translations too; return the run's directory.

    A teacher that translates as the student does translates the sources of data.train
    (sequence-level knowledge distillation, Kim & Rush 2016). One that translates in the other
    direction makes sources for the sentences of `text` (back-translation, Sennrich et al. 2016).

    config, run, overrides: of the student, as in `train`.
    teacher: a run, a bundle or an export; `engine` as in `open_run`.
    text: files of sentences to translate instead, one per line: in the source language of the
    student or, for back-translation, in its target language.
    share: of the training pairs that come from translated text, above 0; 1 means all. By default,
    weights or sizes decide, as for other corpora.
    tag: of the translated text; by default, that of the corpus that it translates.

    The same call continues after an interruption. Once training has begun, `train` continues it
    without the teacher.

    Raises UserError; Stopped at SIGINT, SIGTERM or SIGHUP.
    """
    ensure_handler()
    freeze_weights(False)
    if isinstance(text, str):
        raise TypeError("text must be a list of files, not a string")
    settings, directory = read_config(config, run, overrides)
    check_metrics(settings)
    teacher, texts = Path(teacher), [Path(one) for one in text]
    _check_run(settings, directory, Path(config), teacher)
    _check_text(settings.data, texts, share, tag)
    with interruptible(directory):
        found = open_teacher(teacher, engine, settings.data, bool(texts))
        before = read_record(directory)
        if before is not None:
            check_same_teacher(before, found, directory)
        record = _plan(settings.data, found, texts, tag)
        student_config(settings, directory, record, share)
        directory.create()
        with directory.locked() as was_killed:
            if was_killed and directory.was_begun:
                warn_of_kill(directory)
            if before is None:
                rmtree(directory.translated, ignore_errors=True)
            directory.translated.mkdir(exist_ok=True)
            _read_text(settings.data, directory, record, texts, progress)
            _continue(directory, record, before)
            _translate(directory, record, found, progress)
            student = student_config(settings, directory, record, share)
    return train_run(student, directory, None, progress)


def _check_run(config: Config, run: RunDirectory, path: Path, teacher: Path) -> None:
    """Raise UserError if the run cannot be a student of this teacher."""
    if not config.training.keep_text:
        raise ConfigError(
            "training.keep_text is false, but the run of a student contains its translated text. "
            "Set it to true, or translate the text with `translator translate` and train on it."
        )
    own = {path.resolve(), path.resolve().parent}
    if run.was_begun and run.path.resolve() in own:
        raise ConfigError(
            f"{path} belongs to a run. `translator train {run.path}` continues it without a "
            "teacher; or name another folder for a student with --run."
        )
    if run.was_begun and not run.teacher.exists():
        raise RunError(
            f"{run.path}: this run began without a teacher. Name another folder with --run."
        )
    if run.path.resolve() in (teacher.resolve(), *teacher.resolve().parents):
        raise ConfigError(
            f"{teacher} is the student itself. Name another teacher, or another folder for the "
            "student with --run."
        )
    if run.was_begun and not teacher.exists():
        raise RunError(
            f"{teacher}: there is no such run. `translator train {run.path}` continues {run.path} "
            "without it."
        )
    if find_cluster(config.training.distribution, os.environ) is not None:
        raise ConfigError(
            "`translator distill` is one process, but TF_CONFIG or Slurm names several workers. "
            "Run it with --set training.distribution=single and stop it when training begins; then "
            f"all workers can continue with `translator train {run.path}`."
        )


def _check_text(
    data: DataConfig, text: Sequence[Path], share: float | None, tag: str | None
) -> None:
    """Raise UserError for wrong options, and for text that is missing."""
    if share is not None and not 0 < share <= 1:
        raise ConfigError(f"--share should be above 0 and at most 1, not {share:g}.")
    if tag is not None:
        try:
            TypeAdapter(CorpusTag).validate_python(tag)
        except ValidationError as error:
            raise ConfigError(f"--tag should be {error.errors()[0]['msg']}, not {tag!r}.") from None
        tagged = [key for key, corpus in data.corpora("train").items() if corpus.tag]
        if tagged and not text:
            raise ConfigError(
                f"{tagged[0]} has a tag, which its translation keeps. Leave out --tag."
            )
    for path in text:
        file_facts(path)


def _plan(
    data: DataConfig, teacher: Teacher, text: Sequence[Path], tag: str | None
) -> TeacherRecord:
    """What is to be translated, without having read it. Raises ConfigError."""
    corpora = []

    def add(name: str, tag: str | None, weight: float | None) -> None:
        teacher_tag = teacher.tag_for(tag, name)
        corpora.append(TranslatedCorpus(name=name, tag=tag, teacher_tag=teacher_tag, weight=weight))
        if tag and not teacher_tag and teacher.kind == "distillation":
            log.info(
                f"{teacher.path} does not know the tag {tag}. It translates {name} without it."
            )

    given = data.corpora("train").values()
    for path in text:
        add(str(path), tag, None)
    if not text:
        for corpus in given:
            add(corpus.location, corpus.tag or tag, corpus.weight)
    return TeacherRecord(
        version=__version__,
        kind=teacher.kind,
        path=str(teacher.path.resolve()),
        engine=teacher.engine,
        decided_by=teacher.decided_by,
        num_pairs=[1] * len(given),
        corpora=corpora,
    )


def _read_text(
    data: DataConfig,
    run: RunDirectory,
    record: TeacherRecord,
    text: Sequence[Path],
    progress: Progress,
) -> None:
    """Read all text once, so that its faults appear before the long work.

    Lays out what the teacher translates, and completes the record. Raises DataError.
    """

    def pairs(split: str, index: int) -> Iterator[Pair]:
        task = f"Reading the {SPLIT_NAMES[split]} text"
        return _watched(read_pairs(data, split, index), progress, task)

    def sources(index: int, tag: str | None) -> Iterator[str]:
        for pair in pairs("train", index):
            yield split_tag(pair.source, {tag} if tag else ())[1]

    given = list(data.corpora("train").values())
    for split in ("validation", "test"):
        for index in range(len(data.corpora(split))):
            _count(pairs(split, index))
    if text:
        record.num_pairs = [_count(pairs("train", index)) for index in range(len(given))]
        sentences = [_watched(read_nonempty(path), progress, f"Reading {path}") for path in text]
    else:
        sentences = [sources(index, corpus.tag) for index, corpus in enumerate(given)]
    for number, (corpus, lines) in enumerate(zip(record.corpora, sentences, strict=True), start=1):
        corpus.num_lines, corpus.sha256 = lay_out(lines, run.translation(number, "input"))
    if not text:
        record.num_pairs = [corpus.num_lines for corpus in record.corpora]


def _watched(items: Iterable[Item], progress: Progress, task: str) -> Iterator[Item]:
    """Yield the items unchanged, and show their number."""
    with counting(progress, task) as show:
        for number, item in enumerate(items, start=1):
            yield item
            if number % SHOW_EVERY == 0:
                show(number)


def _count(items: Iterable[object]) -> int:
    return sum(1 for _ in items)


def _continue(run: RunDirectory, record: TeacherRecord, before: TeacherRecord | None) -> None:
    """Take over what has been translated. Raises DataError if it was another text."""
    if before is not None:
        texts = [
            [(one.num_lines, one.sha256, one.teacher_tag) for one in each.corpora]
            for each in (before, record)
        ]
        if texts[0] != texts[1]:
            raise DataError(
                f"{run.path}: the text or its tags are not what the teacher began to translate. "
                "Restore them, or start another run with --run."
            )
        for corpus, old in zip(record.corpora, before.corpora, strict=True):
            corpus.counts = old.counts
    for number, corpus in enumerate(record.corpora, start=1):
        if corpus.counts is not None:
            remove_work(run, number)
    if not run.was_begun:
        record.save(run)


def _translate(
    run: RunDirectory, record: TeacherRecord, teacher: Teacher, progress: Progress
) -> None:
    """Let the teacher translate what is not translated yet, and keep what is usable.

    Raises RunError if its process fails.
    """
    pending = [n for n, corpus in enumerate(record.corpora, start=1) if corpus.counts is None]
    waiting = [n for n in pending if not is_translated(run, n, record.corpora[n - 1].num_lines)]
    tasks = [
        Task(
            source=run.translation(number, "input"),
            tag=record.corpora[number - 1].teacher_tag,
            output=run.translation(number, "output"),
        )
        for number in waiting
    ]
    order = Order(
        teacher=teacher.path, engine=teacher.engine, decided_by=teacher.decided_by, tasks=tasks
    )
    if waiting:
        log.info(f"{teacher.path} translates for {run.path} ({teacher.kind}).")
    with translating(order) as reports:
        for number in pending:
            corpus = record.corpora[number - 1]
            if number in waiting:
                task = f"Translating {corpus.name}"
                with counting(progress, task, corpus.num_lines, "lines") as show:
                    for num_done in iter(lambda: next(reports), None):
                        show(num_done)
            corpus.counts = keep_usable(run, number, record.kind)
            record.save(run)
            remove_work(run, number)
            reasons = f" Left out: {corpus.counts.left_out}." if corpus.counts.left_out else ""
            log.info(
                f"{corpus.name}: {corpus.counts.kept:,} of {corpus.num_lines:,} translations "
                f"kept.{reasons}"
            )
