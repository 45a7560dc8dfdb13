"""The text that a teacher translates for a student, in the student's run.

A text is first laid out as plain lines. The teacher translates them. Then the pairs that a student
can learn from become a corpus of two files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from translator.config import Config, replaced
from translator.config.schema import DataConfig
from translator.config.schema_errors import check
from translator.corpora.lines import is_blank, one_line, read_lines, read_nonempty
from translator.corpora.text_files import TextFiles
from translator.data.corpus import Pair, read_pairs
from translator.data.corpus_statistics import SHOW_EVERY
from translator.data.tags import split_tag
from translator.errors import ConfigError, DataError
from translator.files import opened_whole
from translator.runs import RunDirectory
from translator.workflows.prepared import SPLIT_NAMES
from translator.workflows.progress import Progress, counting
from translator.workflows.resumable_output import count_lines, is_half_done
from translator.workflows.teacher import (
    Counts,
    Kind,
    PlannedCorpus,
    TeacherRecord,
    TranslatedCorpus,
)

Item = TypeVar("Item")


def lay_out_inputs(
    data: DataConfig,
    run: RunDirectory,
    plan: Sequence[PlannedCorpus],
    done: Sequence[int],
    has_text: bool,
    progress: Progress,
) -> tuple[list[int], list[TranslatedCorpus]]:
    """Read all text once, so that its faults appear before the long work.

    Lays out what the teacher translates, except for the numbers that are done. Returns the number
    of pairs of each corpus of data.train, and the corpora to translate. Raises DataError.
    """

    def pairs(split: str, index: int) -> Iterator[Pair]:
        task = f"Reading the {SPLIT_NAMES[split]} text"
        return _watched(read_pairs(data, split, index), progress, task)

    def sources(index: int, tag: str | None) -> Iterator[str]:
        for pair in pairs("train", index):
            yield split_tag(pair.source, {tag} if tag else ())[1]

    def count(split: str) -> list[int]:
        return [sum(1 for _ in pairs(split, index)) for index in range(len(data.corpora(split)))]

    def sentences(index: int, name: str) -> Iterator[str]:
        if has_text:
            return _watched(read_nonempty(Path(name)), progress, f"Reading {name}")
        return sources(index, given[index].tag)

    given = list(data.corpora("train").values())
    count("validation")
    count("test")
    num_pairs = count("train") if has_text else []
    corpora = []
    for number, one in enumerate(plan, start=1):
        path = None if number in done else run.translation(number, "input")
        num_lines, digest = _lay_out(sentences(number - 1, one.name), path)
        corpora.append(TranslatedCorpus(**one.model_dump(), num_lines=num_lines, sha256=digest))
    return num_pairs or [corpus.num_lines for corpus in corpora], corpora


def _watched(items: Iterable[Item], progress: Progress, task: str) -> Iterator[Item]:
    """Yield the items unchanged, and show their number."""
    with counting(progress, task) as show:
        for number, item in enumerate(items, start=1):
            yield item
            if number % SHOW_EVERY == 0:
                show(number)


def _lay_out(sentences: Iterable[str], path: Path | None) -> tuple[int, str]:
    """Write sentences as lines; return their number and their SHA-256. Raises DataError, OSError.

    An existing file, left by an interruption, is replaced. Without a path, nothing is written.
    """
    digest, num_lines = hashlib.sha256(), 0
    with nullcontext() if path is None else opened_whole(path) as file:
        for sentence in sentences:
            line = f"{one_line(sentence)}\n".encode()
            digest.update(line)
            if file is not None:
                file.write(line)
            num_lines += 1
    return num_lines, digest.hexdigest()


def is_translated(run: RunDirectory, number: int, num_lines: int) -> bool:
    """Whether the teacher has translated all lines of a text."""
    output = run.translation(number, "output")
    if not output.exists() or is_half_done(output):
        return False
    return count_lines(output) == num_lines


def keep_usable(run: RunDirectory, number: int, kind: Kind) -> Counts:
    """Write the usable pairs of a translated text as a corpus of the student, and count them."""
    counts = Counts()
    paths = [run.translation(number, part) for part in ("input", "output", "source", "target")]
    lines, translations = map(read_lines, paths[:2])
    with opened_whole(paths[2]) as sources, opened_whole(paths[3]) as targets:
        for pair, reason in _judged(lines, translations):
            setattr(counts, reason, getattr(counts, reason) + 1)
            if reason == "kept":
                source, target = pair if kind == "distillation" else (pair.target, pair.source)
                sources.write(f"{source}\n".encode())
                targets.write(f"{target}\n".encode())
    return counts


def _judged(lines: Iterator[str], outputs: Iterator[str]) -> Iterator[tuple[Pair, str]]:
    """Yield each line with its translation, and the name in Counts of what becomes of them."""
    for line, output in zip(lines, outputs, strict=True):
        is_truncated, _, translation = output.partition("\t")
        reason = "kept"
        if is_blank(line) or is_blank(translation):
            reason = "empty"
        elif is_truncated == "1":
            reason = "truncated"
        elif translation.strip() == line.strip():
            reason = "copied"
        yield Pair(line, translation), reason


def remove_work(run: RunDirectory, number: int) -> None:
    """Delete what the teacher read and wrote, once the corpus of the student is complete."""
    for part in ("input", "output"):
        run.translation(number, part).unlink(missing_ok=True)


def student_config(
    config: Config, run: RunDirectory, record: TeacherRecord, share: float | None
) -> Config:
    """The configuration of a student: data.train gets the corpora that the teacher translated.

    share: of the training pairs that come from translated text, 1 for all; None if weights or sizes
    decide.

    Raises ConfigError, and DataError if no translation can be used.
    """
    data = config.data
    given = list(data.corpora("train").values())
    numbers = [n for n, corpus in enumerate(record.corpora, start=1) if corpus.num_kept]
    if not numbers:
        raise DataError(_nothing_left(record))
    corpora = [record.corpora[number - 1] for number in numbers]
    weights = [corpus.weight for corpus in corpora]
    if share == 1:
        _check_tags(data, record)
        given = []
    elif share is not None:
        old, new = weights_for_share(
            share,
            data.weights or [size ** (1 / data.temperature) for size in record.num_pairs],
            [one.weight or one.num_kept ** (1 / data.temperature) for one in corpora],
        )
        given = [
            corpus.model_copy(update={"weight": weight})
            for corpus, weight in zip(given, old, strict=True)
        ]
        weights = [*new]
        config = replaced(config, {"data.temperature": 1.0})
    translated = [
        TextFiles(
            source=str(run.translation(number, "source").resolve()),
            target=str(run.translation(number, "target").resolve()),
            tag=corpus.tag,
        ).model_copy(update={"weight": weight})  # `check` has a sentence for a weight too small
        for number, corpus, weight in zip(numbers, corpora, weights, strict=True)
    ]
    config = replaced(config, {"data.train": [*given, *translated]})
    splits = [config.data.corpora(split) for split in ("train", "validation", "test")]
    if not any(corpus.needs_dataset for split in splits for corpus in split.values()):
        config = replaced(config, {"data.dataset": None})
    return check(config, str(run.path))


def _check_tags(data: DataConfig, record: TeacherRecord) -> None:
    """Raise ConfigError if usable translations lack a tag of the validation or test text."""
    kept = {corpus.tag for corpus in record.corpora if corpus.num_kept}
    for key, tag in data.tags_missing_from(kept).items():
        names = " or ".join(corpus.name for corpus in record.corpora if corpus.tag == tag)
        raise ConfigError(
            f"No translation of {names} ({tag}) can be used, but {key} needs that tag. Use a "
            "--share below 1."
        )


def _nothing_left(record: TeacherRecord) -> str:
    reasons = "; ".join(
        f"{one.name}: {one.counts.left_out}" for one in record.corpora if one.counts
    )
    return (
        f"No translation by {record.path} can be used ({reasons}). Train the teacher longer, or "
        "give it text that resembles its training text."
    )


def weights_for_share(
    share: float, given: Sequence[float], translated: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Weights by which translated corpora together get a share of the pairs.

    given, translated: the proportions among the given corpora, and among the translated ones, which
    both keep. The weights are exact: 0.7 leaves 0.3.
    """
    exact = Fraction(repr(float(share)))

    def scaled(proportions: Sequence[float], total: Fraction) -> list[float]:
        parts = [Fraction(repr(float(one))) for one in proportions]
        return [float(total * part / sum(parts)) for part in parts]

    return scaled(given, 1 - exact), scaled(translated, exact)
