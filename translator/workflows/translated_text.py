"""The text that a teacher translates for a student, in the student's run.

A text is first laid out as plain lines. The teacher translates them. Then the pairs that a student
can learn from become a corpus of two files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from translator.config import Config, replaced
from translator.config.schema_errors import check
from translator.corpora.lines import is_blank, one_line, read_lines
from translator.corpora.text_files import TextFiles
from translator.data.corpus import Pair
from translator.errors import ConfigError, DataError
from translator.files import opened_whole
from translator.runs import RunDirectory
from translator.workflows.resumable_output import count_lines, is_half_done
from translator.workflows.teacher import Counts, Kind, TeacherRecord


def lay_out(sentences: Iterable[str], path: Path) -> tuple[int, str]:
    """Write sentences as lines; return their number and their SHA-256. Raises DataError, OSError.

    A file that is there already, because the work was interrupted, is replaced.
    """
    digest, num_lines = hashlib.sha256(), 0
    with opened_whole(path) as file:
        for sentence in sentences:
            line = f"{one_line(sentence)}\n".encode()
            digest.update(line)
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
    decide. Corpora that are not translated yet count with all their lines.

    Raises ConfigError, and DataError if no translation can be used.
    """
    data = config.data
    if share is None and data.weights and any(one.weight is None for one in record.corpora):
        raise ConfigError(
            "The corpora of data.train have weights, so the translated text needs a share: set it "
            "with --share."
        )
    given = list(data.corpora("train").values())
    numbers = [n for n, corpus in enumerate(record.corpora, start=1) if corpus.num_kept]
    if not numbers:
        raise DataError(_nothing_left(record))
    corpora = [record.corpora[number - 1] for number in numbers]
    weights = [corpus.weight for corpus in corpora]
    if share == 1:
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
            weight=weight,
        )
        for number, corpus, weight in zip(numbers, corpora, weights, strict=True)
    ]
    return check(replaced(config, {"data.train": [*given, *translated]}), str(run.path))


def _nothing_left(record: TeacherRecord) -> str:
    reasons = "; ".join(
        f"{one.name}: {one.counts.left_out}" for one in record.corpora if one.counts
    )
    return (
        f"No translation by {record.path} can be used ({reasons}). Train the teacher longer, or "
        "give it text like that which it learnt from."
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
