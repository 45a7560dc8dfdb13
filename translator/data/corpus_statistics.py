"""The one pass over a text before anything is made of it: how long it is, and a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from typing import NamedTuple
from unicodedata import east_asian_width

from translator.config import CorpusStatistics
from translator.data.corpus import Pair

LARGEST_SAMPLE = 30_000_000
"""Bytes of both sides in UTF-8, so that it holds about as much in any script. SentencePiece takes
some 20 times as much memory."""

MOST_SENTENCES = 2_000_000
"""In a sample, even if they are short."""

LONGEST_SENTENCE = 2**16
"""Bytes of a line that SentencePiece may learn from."""

SHOW_EVERY = 10_000


class CorpusSample(NamedTuple):
    """What is known of a text that has been read once."""

    num_pairs: int
    sample: list[Pair]
    """All pairs, or every 2nd, 4th, 8th … when there are too many to learn a vocabulary from;
    without those with a line that is too long."""
    num_overlong: int = 0
    """Pairs with a line of more than LONGEST_SENTENCE bytes."""

    def statistics(self) -> CorpusStatistics:
        """What follows from the sample for the rules of `auto`."""
        if not self.sample:
            return CorpusStatistics(self.num_pairs)
        source, target = (
            Counter(chain.from_iterable(side)) for side in zip(*self.sample, strict=True)
        )
        return CorpusStatistics(
            num_pairs=self.num_pairs,
            length=(_sum_of_letters(source) + _sum_of_letters(target)) / (2 * len(self.sample)),
            num_characters=len(source | target),
            shared_letters=_overlap(source, target),
        )


def sample_corpus(
    pairs: Iterable[Pair], show: Callable[[int], None] = lambda _: None
) -> CorpusSample:
    """Read a text to its end; `show` hears now and then how many pairs it had so far.

    Raises what reading raises: what is wrong with a text shows here, before the long work.
    """
    sample: list[Pair] = []
    num_pairs, num_overlong, stride, size = 0, 0, 1, 0
    for pair in pairs:
        if _is_overlong(pair):
            num_overlong += 1
        elif num_pairs % stride == 0:
            sample.append(pair)
            size += _size(pair)
            while len(sample) > 1 and (size > LARGEST_SAMPLE or 2 * len(sample) > MOST_SENTENCES):
                del sample[1::2]
                stride *= 2
                size = sum(map(_size, sample))
        num_pairs += 1
        if num_pairs % SHOW_EVERY == 0:
            show(num_pairs)
    return CorpusSample(num_pairs, sample, num_overlong)


def letters(character: str) -> int:
    """Letters that a character counts for: an East Asian one, which says more, two."""
    return 2 if east_asian_width(character) in "WF" else 1


def _sum_of_letters(counts: Counter[str]) -> int:
    """How many letters a text has, its characters being counted."""
    return sum(count * letters(character) for character, count in counts.items())


def _overlap(source: Counter[str], target: Counter[str]) -> float:
    """How far two texts use the same letters equally often, 0 to 1; 1 for texts without letters."""
    alphabet = [character for character in source | target if character.isalpha()]
    totals = [sum(side[letter] for letter in alphabet) for side in (source, target)]
    if not all(totals):
        return 1.0
    return sum(min(source[x] / totals[0], target[x] / totals[1]) for x in alphabet)


def _is_overlong(pair: Pair) -> bool:
    return any(
        4 * len(text) > LONGEST_SENTENCE and len(text.encode()) > LONGEST_SENTENCE for text in pair
    )


def _size(pair: Pair) -> int:
    return len(pair.source.encode()) + len(pair.target.encode())
