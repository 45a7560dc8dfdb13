"""All kinds of corpora, and which of them a user means."""

from __future__ import annotations

from typing import Annotated, Any, Union

from pydantic import Discriminator, Tag

from translator.corpora.corpus import Corpus
from translator.corpora.text_files import TextFiles
from translator.corpora.tfds_split import TfdsSplit
from translator.corpora.tsv_files import TsvFiles

CORPORA: dict[str, type[Corpus]] = {
    "source": TextFiles,
    "tsv": TsvFiles,
    "split": TfdsSplit,
}
"""The kinds of corpora, by the key that distinguishes them. The first is meant by default."""

BARE_NAME = "name"
"""The kind of a corpus that is a mere string: the name of a split."""


def kind_of(value: Any) -> str:
    """The kind of corpus that a value from a configuration is, or is meant to be."""
    if isinstance(value, str):
        return BARE_NAME
    if isinstance(value, Corpus):
        return next(key for key, kind in CORPORA.items() if type(value) is kind)
    default, *others = CORPORA
    return next((key for key in others if isinstance(value, dict) and key in value), default)


def corpus_type() -> Any:
    """The type of a corpus in a configuration: one of all kinds, or the bare name of a split."""
    kinds = [Annotated[str, Tag(BARE_NAME)]]
    kinds += [Annotated[kind, Tag(key)] for key, kind in CORPORA.items()]
    return Annotated[Union[tuple(kinds)], Discriminator(kind_of)]  # noqa: UP007
