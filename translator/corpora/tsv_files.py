"""Tab-separated text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

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
from translator.section import Count, LocalPaths


def _are_two_columns(columns: list[int]) -> list[int]:
    if len(columns) == 2 == len(set(columns)):
        return columns
    raise PydanticCustomError("columns", "two different columns, such as [1, 2]")


Columns = Annotated[
    list[Count],
    Field(json_schema_extra={"minItems": 2, "maxItems": 2, "uniqueItems": True}),
    AfterValidator(_are_two_columns),
]


class TsvFiles(Corpus):
    """Tab-separated text: each line holds the source sentence, a tab, and the target sentence."""

    tsv: LocalPaths
    """File, plain or .gz; or a list of files."""
    columns: Columns | None = None
    """Columns of source and target, counted from 1, such as [1, 3]. Set it when lines have more
    than two columns; without it, every line must have exactly two."""

    @property
    def location(self) -> str:
        return first_path(self.tsv)

    def read(self, context: CorpusContext, key: str) -> Iterator[Pair]:
        source, target = self.columns or (1, 2)
        last = max(source, target)
        for path in resolve_paths(context, self.tsv):
            for number, line in enumerate(read_nonempty(path), start=1):
                cells = line.split("\t")
                if len(cells) < last or (self.columns is None and len(cells) > 2):
                    problem = _wrong_columns(len(cells), self.columns, key)
                    raise DataError(f"{path}, line {number}: {problem}")
                yield Pair(cells[source - 1], cells[target - 1])

    def facts(self, context: CorpusContext) -> dict[str, object]:
        facts: dict[str, object] = {
            "tsv": [file_facts(path) for path in resolve_paths(context, self.tsv)]
        }
        return facts | ({"columns": self.columns} if self.columns else {})


def _wrong_columns(count: int, columns: Sequence[int] | None, key: str) -> str:
    found = "no tab, so one column" if count == 1 else f"{count} columns"
    if columns is not None:
        return f"{found}, but {key}.columns names column {max(columns)}"
    if count == 1:
        return f"{found}; {key} needs two: the source, a tab, and the target"
    return f"{found}; name those of source and target, such as {key}.columns: [1, 2]"
