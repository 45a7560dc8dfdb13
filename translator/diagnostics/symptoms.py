"""Faults of translations that can be seen without knowing the languages.

A model that has learnt too little, or the wrong thing, shows it in one of four ways: its
translations are empty, copy their sources, repeat themselves, or are the same for different
sources. A translation is not counted if its reference does the same: a name may be copied.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

MIN_SHARE = 0.05
"""Share of the translations at which a symptom is reported. Human translations have hardly any: of
3,000 second translations of Tatoeba's sentences, 0.3 % are the same for different sources, and no
other share is above zero."""

LOOP = re.compile(r"(.{4,60}?)\1{2}|(.{1,3}?)\2{5}")
"""The same 4 to 60 characters three times in a row, or 1 to 3 characters six times. It counts
characters, so it also works for languages without spaces."""

FEW_DISTINCT_WORDS = 1 / 3
"""A long translation repeats itself if at most this share of its words are distinct."""

LONG = 12
"""Words of a long translation."""


class Symptoms(NamedTuple):
    """Shares of the translations, each from 0 to 1."""

    empty: float
    """No text, although source and reference have some."""
    copied: float
    """The source again, in any case, although the reference differs."""
    repeating: float
    """A loop, or a long sentence of few distinct words, although the reference is neither."""
    ignoring: float
    """The same as the translation of another source, although both the sources and the references
    differ."""


def symptoms(
    sources: Sequence[str], translations: Sequence[str], references: Sequence[str]
) -> Symptoms:
    """The share of translations that show each symptom. Sources come without tags.

    Case and outer spaces are ignored. An empty translation has no other symptom.
    """
    triples = [
        (_plain(source), _plain(translation), _plain(reference))
        for source, translation, reference in zip(sources, translations, references, strict=True)
    ]
    with_text = [triple for triple in triples if triple[1]]
    total = max(1, len(triples))
    return Symptoms(
        empty=sum(bool(s and r and not t) for s, t, r in triples) / total,
        copied=sum(t == s != r for s, t, r in with_text) / total,
        repeating=sum(_repeats(t) and not _repeats(r) for _, t, r in with_text) / total,
        ignoring=_num_ignoring(with_text) / total,
    )


def search_symptoms(at_limit: Sequence[bool], num_stray_bytes: Sequence[int]) -> dict[str, float]:
    """The shares of translations that ended at the length limit, and that have stray bytes, by
    name."""
    total = max(1, len(at_limit))
    return {
        "at_limit": sum(at_limit) / total,
        "stray_bytes": sum(count > 0 for count in num_stray_bytes) / total,
    }


def describe_symptoms(shares: Mapping[str, float]) -> str | None:
    """One sentence on the frequent symptoms, the most frequent first; None without any.

    shares: those of Symptoms and search_symptoms, by name.
    """
    words = {
        "empty": "are empty",
        "copied": "copy their source",
        "repeating": "repeat themselves",
        "ignoring": "are the same for different sources",
        "at_limit": "end at the length limit",
        "stray_bytes": "contain bytes that form no character",
    }
    found = sorted(shares.items(), key=lambda item: -item[1])
    parts = [f"{share:.0%} {words[name]}" for name, share in found if share >= MIN_SHARE]
    if not parts:
        return None
    parts[0] = parts[0].replace("%", "% of the translations", 1)
    *others, last = parts
    return f"{', '.join(others)}{' and ' if others else ''}{last}."


def _plain(text: str) -> str:
    return text.strip().casefold()


def _repeats(text: str) -> bool:
    words = text.split()
    if len(words) >= LONG and len(set(words)) <= FEW_DISTINCT_WORDS * len(words):
        return True
    return LOOP.search(f" {text}") is not None  # with a space before the first word, too


def _num_ignoring(triples: Sequence[tuple[str, str, str]]) -> int:
    """How many have a partner: an equal translation of another source with another reference.

    The number of partners follows by inclusion–exclusion over source and reference.
    """
    by_translation = Counter(t for _, t, _ in triples)
    by_source = Counter((t, s) for s, t, _ in triples)
    by_reference = Counter((t, r) for _, t, r in triples)
    by_both = Counter(triples)
    return sum(
        by_translation[t] - by_source[t, s] - by_reference[t, r] + by_both[s, t, r] > 0
        for s, t, r in triples
    )
