"""`distill`: a student learns from the translations of a teacher."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree

from pydantic import TypeAdapter, ValidationError

from translator.config import Config
from translator.config.schema import DataConfig
from translator.corpora.corpus import CorpusTag, file_facts
from translator.environment import freeze_weights
from translator.errors import ConfigError, DataError, RunError
from translator.evaluation.metrics import check_training_metrics
from translator.files import check_utf8_name
from translator.runs import RunDirectory
from translator.training.distributed.cluster import find_cluster
from translator.workflows.logs import ensure_handler
from translator.workflows.progress import LOG_LINES, Progress, counting
from translator.workflows.teacher import (
    PlannedCorpus,
    Teacher,
    TeacherRecord,
    check_same_teacher,
    open_teacher,
    read_record,
    ways_out,
)
from translator.workflows.teacher_process import Task, TranslationRequest, translating
from translator.workflows.train import interruptible, read_config, train_run, warn_of_kill
from translator.workflows.translated_text import (
    is_translated,
    keep_usable,
    lay_out_inputs,
    remove_work,
    student_config,
)

log = logging.getLogger(__name__)

SMALLEST_SHARE = 1e-6
"""A smaller share of the pairs teaches nothing."""


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

    If the teacher translates in the student's direction, it translates the sources of data.train
    (sequence-level knowledge distillation, Kim & Rush 2016). One that translates in the other
    direction makes sources for the sentences of `text` (back-translation, Sennrich et al. 2016).

    config, run, overrides: of the student, as in `train`.
    teacher: a run, a bundle or an export; `engine` as in `open_run`.
    text: files of sentences to translate instead, one per line: in the source language of the
    student or, for back-translation, in its target language.
    share: fraction of training pairs that come from translated text (0 < share ≤ 1). By default,
    weights or sizes decide, as for other corpora.
    tag: tag of the translated text; by default, the tag of the corpus it was translated from.

    The same call continues after an interruption. Once training has begun, `train` continues it
    without the teacher.

    Raises UserError; Stopped at SIGINT, SIGTERM or SIGHUP.
    """
    ensure_handler()
    freeze_weights(False)
    if isinstance(text, (str, Path)):
        raise TypeError("text must be a list of files, not a single one")
    settings, directory = read_config(config, run, overrides)
    check_training_metrics(settings)
    teacher, texts = Path(teacher), [Path(one) for one in text]
    _check_paths([directory.path, teacher, *texts], directory)
    _check_run(settings, directory, Path(config), teacher)
    _check_text(settings.data, texts, share, tag)
    with interruptible(directory):
        opened_teacher = open_teacher(teacher, engine, settings.data, bool(texts))
        plan = _plan(settings.data, opened_teacher, texts, tag)
        directory.create()
        with directory.locked() as was_killed:
            if was_killed and directory.was_begun:
                warn_of_kill(directory)
            before = read_record(directory)
            if before is None:
                rmtree(directory.translated, ignore_errors=True)
            else:
                check_same_teacher(before, opened_teacher, directory)
            directory.translated.mkdir(exist_ok=True)
            done = [] if before is None else before.translated
            read = lay_out_inputs(settings.data, directory, plan, done, bool(texts), progress)
            record = opened_teacher.record(*read, share)
            _take_over(directory, record, before)
            _translate(directory, record, opened_teacher, progress)
            student = student_config(settings, directory, record, share)
    return train_run(student, directory, None, progress)


def _check_paths(paths: Sequence[Path], run: RunDirectory) -> None:
    """Raise UserError for names that are not UTF-8, and for files that a begun run has lost."""
    for path in paths:
        check_utf8_name(path, ConfigError)
        if run.was_begun and not path.exists():
            raise RunError(
                f"{path} does not exist. `translator train {run.path}` continues {run.path} "
                "without it."
            )


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
        is_same = run.path.resolve() == teacher.resolve()
        raise ConfigError(
            f"{teacher} is {'the student itself' if is_same else f'inside {run.path}'}. Name "
            "another teacher, or another folder for the student with --run."
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
    if share is not None and not SMALLEST_SHARE <= share <= 1:
        raise ConfigError(
            f"--share should be at least {SMALLEST_SHARE:f} and at most 1, not {share:g}."
        )
    if text and share is None and data.weights:
        raise ConfigError(
            "The corpora of data.train have weights, so the translated text needs a share: set it "
            "with --share."
        )
    if text and share == 1:
        for key, missing in data.tags_missing_from({tag}).items():
            raise ConfigError(
                f"{key}.tag is {missing}, but with --share 1 no training text has that tag. Use a "
                f"--share below 1, or --tag {missing}."
            )
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
) -> list[PlannedCorpus]:
    """What the teacher is to translate. Raises ConfigError."""
    corpora = []

    def add(name: str, tag: str | None, weight: float | None) -> None:
        teacher_tag = teacher.tag_for(tag, name)
        corpora.append(PlannedCorpus(name=name, tag=tag, teacher_tag=teacher_tag, weight=weight))
        if tag and not teacher_tag and teacher.kind == "distillation":
            log.info(
                f"{teacher.path} does not know the tag {tag}. It translates {name} without it."
            )

    for path in text:
        add(str(path), tag, None)
    if not text:
        for corpus in data.corpora("train").values():
            add(corpus.location, corpus.tag or tag, corpus.weight)
    return corpora


def _take_over(run: RunDirectory, record: TeacherRecord, before: TeacherRecord | None) -> None:
    """Keep the counts of earlier sessions.

    Raises DataError if text or tags have changed, and ConfigError if training began with another
    share.
    """
    if before is not None:
        if run.was_begun and "share" in before.model_fields_set and before.share != record.share:
            raise ConfigError(
                f"{run.path} began to train with --share {_shown(before.share)}, not "
                f"{_shown(record.share)}. {ways_out(run, 'Repeat it')}"
            )
        texts = [
            [(one.num_lines, one.sha256, one.teacher_tag) for one in each.corpora]
            for each in (before, record)
        ]
        if texts[0] != texts[1]:
            raise DataError(
                f"{run.path}: the text or its tags are not what the teacher began to translate. "
                f"{ways_out(run, 'Restore them')}"
            )
        record.decided_by = before.decided_by | record.decided_by  # keeps keys of earlier versions
        for corpus, old in zip(record.corpora, before.corpora, strict=True):
            corpus.counts = old.counts
    for number in record.translated:
        remove_work(run, number)
    if not run.was_begun:
        record.save(run)


def _shown(share: float | None) -> str:
    return "unset" if share is None else f"{share:g}"


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
    request = TranslationRequest(
        teacher=teacher.path, engine=teacher.engine, decided_by=record.decided_by, tasks=tasks
    )
    if waiting:
        log.info(f"{teacher.path} translates for {run.path} ({teacher.kind}).")
    with translating(request) as reports:
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
