"""What is wrong with translations that can be seen without understanding them.

A model that has learnt too little, or learns the wrong thing, shows it in one of four ways: it
says nothing, copies its source, repeats itself, or says the same whatever it reads. A reference
that does as much excuses its translation: it is right to copy a name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from translator.decoding.engine import Translation

WORTH_SAYING = 0.05
"""Share of the translations from which on a symptom is said. People have hardly any: of 3,000
second translations of Tatoeba's sentences 0.3 % are the same for different sources, and no other
share is above zero."""

LOOP = re.compile(r"(.{4,60}?)\1{2}|(.{1,3}?)\2{5}")
"""The same 4 to 60 characters three times in a row, or shorter ones six times. Of characters, so
that it holds in languages without spaces, too."""

FEW_DISTINCT_WORDS = 1 / 3
"""Share of a long translation's words at which it repeats itself, if not in a row."""

LONG = 12
"""Words."""


class Symptoms(NamedTuple):
    """Shares of the translations, each from 0 to 1."""

    empty: float
    """No text, where source and reference have some."""
    copied: float
    """The source once more, in whatever case, where the reference is another text."""
    repeating: float
    """A loop, or a long sentence of few distinct words, where the reference is neither."""
    ignoring: float
    """What another source is translated to as well, where both the sources and the references
    differ."""


def symptoms(
    sources: Sequence[str], translations: Sequence[str], references: Sequence[str]
) -> Symptoms:
    """How many translations show which symptom. Sources come without tags.

    Case and outer space never count. An empty translation has no other symptom.
    """
    triples = [
        (_plain(source), _plain(translation), _plain(reference))
        for source, translation, reference in zip(sources, translations, references, strict=True)
    ]
    spoken = [triple for triple in triples if triple[1]]
    total = max(1, len(triples))
    return Symptoms(
        empty=sum(bool(s and r and not t) for s, t, r in triples) / total,
        copied=sum(t == s != r for s, t, r in spoken) / total,
        repeating=sum(_repeats(t) and not _repeats(r) for _, t, r in spoken) / total,
        ignoring=_num_ignoring(spoken) / total,
    )


def search_symptoms(found: Sequence[Translation]) -> dict[str, float]:
    """What the search knows of the translations: shares, by name."""
    total = max(1, len(found))
    return {
        "at_limit": sum(one.at_limit for one in found) / total,
        "stray_bytes": sum(one.num_stray_bytes > 0 for one in found) / total,
    }


def said(shares: Mapping[str, float]) -> str | None:
    """One sentence on the symptoms that are worth it, the most frequent first; None without any.

    `shares` are those of Symptoms and search_symptoms, by name.
    """
    words = {
        "empty": "are empty",
        "copied": "copy their source",
        "repeating": "repeat themselves",
        "ignoring": "are the same for different sources",
        "at_limit": "end at the length limit",
        "stray_bytes": "have bytes that spell nothing",
    }
    found = sorted(shares.items(), key=lambda item: -item[1])
    parts = [f"{share:.0%} {words[name]}" for name, share in found if share >= WORTH_SAYING]
    if not parts:
        return None
    *first, last = parts
    return f"Of the translations, {', '.join(first)}{' and ' if first else ''}{last}."


def _plain(text: str) -> str:
    return text.strip().casefold()


def _repeats(text: str) -> bool:
    words = text.split()
    if len(words) >= LONG and len(set(words)) <= FEW_DISTINCT_WORDS * len(words):
        return True
    return LOOP.search(f" {text}") is not None  # with a space before the first word, too


def _num_ignoring(triples: Sequence[tuple[str, str, str]]) -> int:
    """How many have a partner with the same translation, another source and another reference.

    Of those with the same translation, the partners are all but those with the same source or the
    same reference; who has both is in either number.
    """
    by_translation = Counter(t for _, t, _ in triples)
    by_source = Counter((t, s) for s, t, _ in triples)
    by_reference = Counter((t, r) for _, t, r in triples)
    by_both = Counter(triples)
    return sum(
        by_translation[t] - by_source[t, s] - by_reference[t, r] + by_both[s, t, r] > 0
        for s, t, r in triples
    )
