"""The pairs of a split: all its corpora, one after the other.

Everything streams; no corpus is ever held in memory. An empty line is a sentence like any other
here. Pairs that cannot be learnt from are left out later, when the store is written.

A corpus's tag is put in front of its source sentences here and nowhere else. From then on it is
text: `<2de> Good morning` is the same sentence in a store, in validation and typed by a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from translator.config.schema import DataConfig
from translator.corpora.corpus import Corpus, Pair
from translator.corpora.lines import is_blank
from translator.errors import DataError

__all__ = ["Pair", "fingerprint", "read_pairs", "read_unchanged"]


def read_pairs(data: DataConfig, split_name: str, index: int | None = None) -> Iterator[Pair]:
    """Yield the pairs of `train`, `validation` or `test` in order, with tags and empty lines.

    With `index`, only that corpus of the split is read. Raises DataError, in some cases only after
    the last pair: if two files differ in length, or if one side has only empty lines.
    """
    for key, corpus in _corpora(data, split_name, index):
        pairs = _with_text_on_both_sides(corpus.read(data, key), key)
        yield from pairs if corpus.tag is None else _tagged(pairs, corpus.tag)


def fingerprint(data: DataConfig, split_name: str, index: int | None = None) -> dict[str, object]:
    """JSON values that differ if the text that `read_pairs` yields may differ.

    They are computed without reading the text. Raises DataError.
    """
    facts = [
        ({"tag": corpus.tag} if corpus.tag else {}) | corpus.facts(data)
        for _, corpus in _corpora(data, split_name, index)
    ]
    return facts[0] if len(facts) == 1 else {"corpora": facts}


def read_unchanged(
    data: DataConfig, split_name: str, known: dict[str, object], index: int | None = None
) -> Iterator[Pair]:
    """`read_pairs` of a text whose fingerprint is `known`.

    Raises DataError after the last pair if the fingerprint is no longer the same.
    """
    yield from read_pairs(data, split_name, index)
    if fingerprint(data, split_name, index) != known:
        raise DataError(
            f"data.{split_name}: the text has changed while it was being read; run the command "
            "again when it no longer changes"
        )


def _corpora(data: DataConfig, split_name: str, index: int | None) -> list[tuple[str, Corpus]]:
    corpora = list(data.corpora(split_name).items())
    if not corpora:
        raise DataError(f"data.{split_name} is not set; set it to the text to read")
    return corpora if index is None else [corpora[index]]


def _tagged(pairs: Iterable[Pair], tag: str) -> Iterator[Pair]:
    """Pairs with the tag in front of the source; an empty source stays empty."""
    for source, target in pairs:
        yield Pair(f"{tag} {source}" if source.strip() else source, target)


def _with_text_on_both_sides(pairs: Iterable[Pair], key: str) -> Iterator[Pair]:
    """The same pairs. Raises DataError at their end if a side shows no text at all."""
    num_pairs, has_source, has_target = 0, False, False
    for pair in pairs:
        num_pairs += 1
        has_source = has_source or not is_blank(pair.source)
        has_target = has_target or not is_blank(pair.target)
        yield pair
    if num_pairs == 0:
        raise DataError(f"{key} has no pairs; name text that is not empty")
    for side, has_text in (("source", has_source), ("target", has_target)):
        if not has_text:
            raise DataError(
                f"{key} has an empty side: every line of its {side} is empty; "
                "check which files or columns it names"
            )
