"""Word links in Pharaoh format, and the alignment error rate (Och & Ney 2003).

A line holds the links of one sentence pair: `0-0 1-2 2?1`. The numbers are a word of the source and
a word of the target, counted from 0 and split at spaces. `-` is a sure link and `?` a possible one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from translator.errors import DataError

Link = tuple[int, int]
"""A word of the source and a word of the target."""

LINK = re.compile(r"([0-9]+)([-?])([0-9]+)")


@dataclass(frozen=True)
class WordLinks:
    """The links of one sentence pair."""

    sure: frozenset[Link]

    possible: frozenset[Link]
    """All links: the sure ones are possible too."""


def read_links(lines: Iterable[str], name: str) -> list[WordLinks]:
    """Parse lines in Pharaoh format. `name` is the file that a DataError names."""
    return [_links(line, f"{name}, line {number}") for number, line in enumerate(lines, start=1)]


def _links(line: str, where: str) -> WordLinks:
    sure, possible = set(), set()
    for item in line.split():
        match = LINK.fullmatch(item)
        if match is None:
            raise DataError(
                f"{where}: {item!r} is not a word link; write the positions of two words such as "
                "0-2, or 0?2 for a possible link."
            )
        link = int(match[1]), int(match[3])
        possible.add(link)
        if match[2] == "-":
            sure.add(link)
    return WordLinks(frozenset(sure), frozenset(possible))


def pharaoh(links: Iterable[Link]) -> str:
    """Such as "0-0 1-2", in order of the source."""
    return " ".join(f"{source}-{target}" for source, target in sorted(links))


def alignment_error_rate(
    found: Sequence[AbstractSet[Link]],
    sure: Sequence[AbstractSet[Link]],
    possible: Sequence[AbstractSet[Link]],
) -> float:
    """1 − (|A∩S| + |A∩P|) / (|A| + |S|), with sums over all sentence pairs; 0 is perfect.

    A are the links found, S the sure and P the possible ones. Sure links count as possible whether
    `possible` contains them or not. Raises ValueError if there is no link in A and S.
    """
    hits = links = 0
    for a, s, p in zip(found, sure, possible, strict=True):
        hits += len(a & s) + len(a & (s | p))
        links += len(a) + len(s)
    if not links:
        raise ValueError("the alignment error rate needs at least one link")
    return 1 - hits / links
