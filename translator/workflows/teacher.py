"""The teacher of `distill`: what it translates, into what, and how a run remembers it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ValidationError

from translator import __version__
from translator.config import Config
from translator.config.schema import DataConfig
from translator.errors import ConfigError, RunError
from translator.files import write_whole
from translator.runs import RunDirectory, read_json
from translator.workflows.open_run import open_run
from translator.workflows.resumable_output import find_change

Kind = Literal["distillation", "back-translation"]


class Teacher(NamedTuple):
    """What is known of a teacher without its weights."""

    path: Path
    engine: str | None
    kind: Kind
    decided_by: dict[str, Any]
    """What determines its translations: digests of weights and vocabularies, decoding …"""
    tags: Sequence[str]
    """Tags of its source vocabulary."""
    needs_tag: bool
    """Whether every sentence that it learnt from had a tag."""

    def record(
        self, num_pairs: list[int], corpora: list[TranslatedCorpus], share: float | None
    ) -> TeacherRecord:
        """What a run remembers of it; the arguments as in `TeacherRecord`."""
        return TeacherRecord(
            version=__version__,
            kind=self.kind,
            path=str(self.path.resolve()),
            engine=self.engine,
            decided_by=self.decided_by,
            num_pairs=num_pairs,
            corpora=corpora,
            share=share,
        )

    def tag_for(self, tag: str | None, corpus: str) -> str | None:
        """The tag that it reads in front of a corpus whose tag in the student is `tag`.

        A tag that it does not know is left out. Raises ConfigError if it cannot do without.
        """
        known = tag if tag in self.tags and self.kind == "distillation" else None
        if known is None and self.needs_tag:
            problem = f"the tag of {corpus} is {tag}" if tag else f"{corpus} has no tag"
            way_out = "Use one of these tags, or another teacher"
            if self.kind == "back-translation":
                problem, way_out = "back-translation gives it none", "Use another teacher"
            raise ConfigError(
                f"{self.path} learnt only from sentences with a tag ({', '.join(self.tags)}), but "
                f"{problem}. {way_out}."
            )
        return known


class Counts(BaseModel):
    """What became of the lines that a teacher translated."""

    kept: int = 0
    empty: int = 0
    """Lines whose translation is empty."""
    truncated: int = 0
    """Lines that the teacher did not read to their end, or translations that hit their limit."""
    copied: int = 0
    """Lines whose translation is the line itself."""

    @property
    def left_out(self) -> str:
        """Such as "3 truncated, 1 copied"; empty if all are kept."""
        return ", ".join(f"{n:,} {reason}" for reason, n in self if reason != "kept" and n)


class PlannedCorpus(BaseModel):
    """A text that the teacher is to translate."""

    name: str
    """The (first) file or split of the text."""
    tag: str | None
    """Its tag in the student."""
    teacher_tag: str | None
    """The tag that the teacher read in front of each line."""
    weight: float | None
    """The weight of its corpus in data.train."""


class TranslatedCorpus(PlannedCorpus):
    """A text that was read, and what became of its translation."""

    num_lines: int
    sha256: str
    """Digest of the text."""
    counts: Counts | None = None
    """None until it is translated."""

    @property
    def num_kept(self) -> int:
        """Number of pairs for the student."""
        return 0 if self.counts is None else self.counts.kept


class TeacherRecord(BaseModel):
    """The content of teacher.json."""

    version: str
    """Version of this program."""
    kind: Kind
    path: str
    engine: str | None
    decided_by: dict[str, Any]
    """`Teacher.decided_by`"""
    num_pairs: list[int]
    """Number of pairs of each corpus of data.train, empty lines included."""
    corpora: list[TranslatedCorpus]
    share: float | None = None
    """The option --share; not set in records of earlier versions."""

    @property
    def translated(self) -> list[int]:
        """Numbers of the corpora that are translated, from 1."""
        return [n for n, corpus in enumerate(self.corpora, start=1) if corpus.counts is not None]

    def save(self, run: RunDirectory) -> None:
        write_whole(run.teacher, self.model_dump_json(indent=2) + "\n")


def read_record(run: RunDirectory) -> TeacherRecord | None:
    """The teacher that a run remembers, if any. Raises RunError.

    A teacher of which no translation can be used is forgotten: the run may start over with another
    teacher or other text.
    """
    if not run.teacher.exists():
        return None
    try:
        record = TeacherRecord.model_validate(read_json(run.teacher))
    except ValidationError:
        raise RunError(f"{run.teacher}: this file of the run is missing or damaged.") from None
    is_done = len(record.translated) == len(record.corpora)
    return None if is_done and not any(one.num_kept for one in record.corpora) else record


def open_teacher(path: Path, engine: str | None, data: DataConfig, has_text: bool) -> Teacher:
    """Read a run, a bundle or an export that is to translate for a student.

    data: that of the student. has_text: whether the teacher translates other text.

    Raises ConfigError if it translates in another direction; RunError if it is missing or damaged.
    """
    opened = open_run(path, engine=engine)
    config, tags = opened.config, sorted(opened.tokenizer.source.tags)
    kind = _kind(path, config, data, has_text)
    needs_tag = bool(tags) and all(one.tag for one in config.data.corpora("train").values())
    return Teacher(path, engine, kind, opened.decided_by(), tags, needs_tag)


def _kind(path: Path, teacher: Config, student: DataConfig, has_text: bool) -> Kind:
    source, target = student.source_language, student.target_language
    languages = teacher.data.source_language, teacher.data.target_language
    if languages == (source, target):
        return "distillation"
    if languages != (target, source):
        raise ConfigError(
            f"{path} translates {' → '.join(languages)}, and the student {source} → {target}. Name "
            f"a teacher that translates {source} → {target}, or {target} → {source} with --text."
        )
    if not has_text:
        raise ConfigError(
            f"{path} translates {target} → {source}, against the direction of the student. That "
            f"makes sources for targets (back-translation): name text in {target} with --text, or "
            f"a teacher that translates {source} → {target}."
        )
    return "back-translation"


def check_same_teacher(record: TeacherRecord, teacher: Teacher, run: RunDirectory) -> None:
    """Raise RunError if another teacher, or the same one with other decoding, began to translate
    for the run."""
    change = find_teacher_change(record.decided_by, teacher.decided_by)
    if record.kind != teacher.kind:
        change = f"it was {record.kind} and is now {teacher.kind}"
    if change is not None:
        raise RunError(
            f"{run.path}: the teacher {teacher.path} is not the one that translated for this run: "
            f"{change}. {ways_out(run, 'Use the teacher as it was')}"
        )


def find_teacher_change(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """`find_change` of what decides a teacher's translations.

    Earlier versions recorded more keys of an export than the digest of its manifest.
    """
    return find_change({key: value for key, value in before.items() if key in now}, now)


def ways_out(run: RunDirectory, restore: str) -> str:
    """What a user can do when the teacher or the text of a run has changed.

    restore: the sentence, without its end, that undoes the change.
    """
    if run.was_begun:
        way_out = f"`translator train {run.path}` continues without the teacher;"
    else:
        way_out = f"{restore}, delete {run.path} to start over,"
    return f"{way_out} or start another run with --run."
