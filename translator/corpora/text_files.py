"""Parallel text files, one for each language."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from translator.corpora.corpus import (
    Corpus,
    CorpusContext,
    Pair,
    file_facts,
    first_path,
    resolve_paths,
)
from translator.corpora.lines import read_nonempty
from translator.errors import DataError
from translator.section import LocalPaths


class TextFiles(Corpus):
    """Two parallel text files: line i of one translates line i of the other."""

    source: LocalPaths
    """File in the source language, plain or .gz, one sentence per line; or a list of files."""
    target: LocalPaths
    """File in the target language with as many lines; or a list of as many files."""

    @property
    def location(self) -> str:
        return first_path(self.source)

    def read(self, context: CorpusContext, key: str) -> Iterator[Pair]:
        sources = resolve_paths(context, self.source)
        targets = resolve_paths(context, self.target)
        if len(sources) != len(targets):
            raise DataError(
                f"{key} names {len(sources)} source and {len(targets)} target files; "
                "each source file needs the target file that translates it"
            )
        for source, target in zip(sources, targets, strict=True):
            yield from _read_file_pair(source, target)

    def facts(self, context: CorpusContext) -> dict[str, object]:
        return {
            "source": [file_facts(path) for path in resolve_paths(context, self.source)],
            "target": [file_facts(path) for path in resolve_paths(context, self.target)],
        }


def _read_file_pair(source: Path, target: Path) -> Iterator[Pair]:
    num_sources = num_targets = 0
    for source_line, target_line in zip_longest(read_nonempty(source), read_nonempty(target)):
        num_sources += source_line is not None
        num_targets += target_line is not None
        if num_sources == num_targets:  # once they differ, the rest is only counted
            yield Pair(source_line, target_line)
    if num_sources != num_targets:
        raise DataError(
            f"{source} and {target} must have equally many lines, but have {num_sources:,} and "
            f"{num_targets:,}: line i of one translates line i of the other"
        )
