"""Where sentence pairs come from: parallel text files, tab-separated files, named sets.

Everything streams; no corpus is ever held in memory. An empty line is a sentence like any other
here: what cannot be learnt from is left out later, on both sides at once.

A corpus's tag is put in front of its source sentences here and nowhere else. From then on it is
text: `<2de> Good morning` is the same sentence in a store, in validation and typed by a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from translator.config.schema import Corpus, DataConfig, NamedSplit, Paths, TextFiles, TsvFiles
from translator.data.lines import file_errors, is_blank, read_lines
from translator.data.tfds_corpus import read_tfds, tfds_facts
from translator.errors import DataError


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str


def read_pairs(data: DataConfig, split_name: str, index: int | None = None) -> Iterator[Pair]:
    """The pairs of `train`, `validation` or `test`: all of them, in order, empty lines included,
    with their tags.

    Of several corpora all, one after the other; with `index`, that one alone. Raises DataError,
    possibly only after the last pair: that two files are not equally long, or that a side has
    nothing but empty lines, shows at the end.
    """
    for key, corpus in _corpora(data, split_name, index):
        pairs = _with_text_on_both_sides(_read(data, corpus, key), key)
        yield from pairs if corpus.tag is None else _tagged(pairs, corpus.tag)


def fingerprint(data: DataConfig, split_name: str, index: int | None = None) -> dict[str, object]:
    """What changes when the text that `read_pairs` gives may have changed; fit for JSON, and found
    unread."""
    facts = [_facts(data, corpus) for _, corpus in _corpora(data, split_name, index)]
    return facts[0] if len(facts) == 1 else {"corpora": facts}


def read_unchanged(
    data: DataConfig, split_name: str, known: dict[str, object], index: int | None = None
) -> Iterator[Pair]:
    """What `read_pairs` gives of text whose fingerprint is `known`.

    Raises DataError after the last pair when the fingerprint has become another.
    """
    yield from read_pairs(data, split_name, index)
    if fingerprint(data, split_name, index) != known:
        raise DataError(
            f"data.{split_name}: its text has changed while it was being prepared; give the same "
            "command again when it no longer changes"
        )


def name_of(corpus: Corpus) -> str:
    """What a person may know a corpus by: its tag and its (first) file or split."""
    match corpus:
        case TextFiles(source=place) | TsvFiles(tsv=place) | NamedSplit(split=place):
            name = Path(place if isinstance(place, str) else [*place, ""][0]).name
            return f"{corpus.tag} {name}" if corpus.tag else name
    raise TypeError(corpus)


def _corpora(data: DataConfig, split_name: str, index: int | None) -> list[tuple[str, Corpus]]:
    corpora = list(data.corpora(split_name).items())
    if not corpora:
        raise DataError(f"data.{split_name} is not set; say there which text to read")
    return corpora if index is None else [corpora[index]]


def _read(data: DataConfig, corpus: Corpus, key: str) -> Iterator[Pair]:
    match corpus:
        case TextFiles(source=source, target=target):
            return _read_text(_paths(data, source), _paths(data, target), key)
        case TsvFiles(tsv=tsv, columns=columns):
            return _read_tsv(_paths(data, tsv), columns, key)
        case NamedSplit(split=split):
            return (Pair(*pair) for pair in read_tfds(data, split, key))
    raise TypeError(corpus)


def _facts(data: DataConfig, corpus: Corpus) -> dict[str, object]:
    facts: dict[str, object] = {"tag": corpus.tag} if corpus.tag else {}
    match corpus:
        case TextFiles(source=source, target=target):
            facts["source"] = [_file_facts(path) for path in _paths(data, source)]
            facts["target"] = [_file_facts(path) for path in _paths(data, target)]
        case TsvFiles(tsv=tsv, columns=columns):
            facts["tsv"] = [_file_facts(path) for path in _paths(data, tsv)]
            facts |= {"columns": columns} if columns else {}
        case NamedSplit(split=split):
            facts |= tfds_facts(data, split)
    return facts


def _tagged(pairs: Iterable[Pair], tag: str) -> Iterator[Pair]:
    """An empty source stays empty: there is nothing in it to translate."""
    for source, target in pairs:
        yield Pair(f"{tag} {source}" if source.strip() else source, target)


def _read_text(sources: list[Path], targets: list[Path], key: str) -> Iterator[Pair]:
    if len(sources) != len(targets):
        raise DataError(
            f"{key} names {len(sources)} source and {len(targets)} target files; "
            "each source file needs the target file that translates it"
        )
    for source, target in zip(sources, targets, strict=True):
        yield from _read_file_pair(source, target)


def _read_file_pair(source: Path, target: Path) -> Iterator[Pair]:
    num_sources = num_targets = 0
    for source_line, target_line in zip_longest(read_lines(source), read_lines(target)):
        num_sources += source_line is not None
        num_targets += target_line is not None
        if num_sources == num_targets:  # once they differ, only counting is left to do
            yield Pair(source_line, target_line)
    for path, num_lines in ((source, num_sources), (target, num_targets)):
        if num_lines == 0:
            raise _no_lines(path)
    if num_sources != num_targets:
        raise DataError(
            f"{source} has {num_sources} lines and {target} has {num_targets}; "
            "line i of one must translate line i of the other"
        )


def _read_tsv(paths: list[Path], columns: Sequence[int] | None, key: str) -> Iterator[Pair]:
    source, target = columns or (1, 2)
    last = max(source, target)
    for path in paths:
        number = 0
        for number, line in enumerate(read_lines(path), start=1):
            cells = line.split("\t")
            if len(cells) < last or (columns is None and len(cells) > 2):
                found = _wrong_columns(len(cells), columns, key)
                raise DataError(f"{path}, line {number}: {found}")
            yield Pair(cells[source - 1], cells[target - 1])
        if number == 0:
            raise _no_lines(path)


def _wrong_columns(count: int, columns: Sequence[int] | None, key: str) -> str:
    found = "no tab, so one column" if count == 1 else f"{count} columns"
    if columns is not None:
        return f"{found}, but {key}.columns names column {max(columns)}"
    if count == 1:
        return f"{found}; {key} needs two, the source, a tab, and the target"
    return f"{found}; say which are source and target, such as {key}.columns: [1, 2]"


def _no_lines(path: Path) -> DataError:
    return DataError(f"{path} has no lines; name a file with text")


def _with_text_on_both_sides(pairs: Iterable[Pair], key: str) -> Iterator[Pair]:
    num_pairs, has_source, has_target = 0, False, False
    for pair in pairs:
        num_pairs += 1
        has_source = has_source or not is_blank(pair.source)
        has_target = has_target or not is_blank(pair.target)
        yield pair
    if num_pairs == 0:
        raise DataError(f"{key} has no pairs; name text there that is not empty")
    for side, has_text in (("source", has_source), ("target", has_target)):
        if not has_text:
            raise DataError(
                f"{key} has one empty side: all {num_pairs} lines of its {side} are empty; "
                "check which files or columns it names"
            )


def _paths(data: DataConfig, names: Paths) -> list[Path]:
    return [Path(data.folder, name) for name in ([names] if isinstance(names, str) else names)]


def _file_facts(path: Path) -> dict[str, object]:
    with file_errors(path):
        if path.is_dir():
            raise IsADirectoryError
        facts = path.stat()
    return {
        "path": str(path.resolve()),
        "size": facts.st_size,
        "times": [facts.st_mtime_ns, facts.st_ctime_ns],
    }
