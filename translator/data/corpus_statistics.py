"""The first pass over a text: its statistics, and a sample to learn the vocabulary from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from typing import NamedTuple
from unicodedata import east_asian_width

from translator.config import CorpusStatistics
from translator.data.corpus import Pair

LARGEST_SAMPLE = 30_000_000
"""Largest sample, in UTF-8 bytes of both sides. SentencePiece takes about 20 times as much
memory."""

MOST_SENTENCES = 2_000_000
"""Largest sample, in sentences of both sides."""

LONGEST_SENTENCE = 2**16
"""Longest line that SentencePiece learns from, in UTF-8 bytes."""

SHOW_EVERY = 10_000
"""Pairs between two reports of progress."""


class CorpusSample(NamedTuple):
    """A text that has been read once."""

    num_pairs: int
    sample: list[Pair]
    """All pairs, or every 2nd, 4th, 8th … of a text that is too large. Pairs with an overlong line
    are left out."""
    num_overlong: int = 0
    """Number of pairs with a line of more than LONGEST_SENTENCE bytes."""

    def statistics(self) -> CorpusStatistics:
        """The statistics of the sample, for the rules of `auto`."""
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
    """Read a text to its end; `show` gets the number of pairs read.

    Errors of reading are raised, so faults of the text appear before the long work starts.
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
    """Number of letters that a character counts as: two for an East Asian character, which carries
    more information, and one for any other."""
    return 2 if east_asian_width(character) in "WF" else 1


def _sum_of_letters(counts: Counter[str]) -> int:
    """Number of letters of a text with these character counts."""
    return sum(count * letters(character) for character, count in counts.items())


def _overlap(source: Counter[str], target: Counter[str]) -> float:
    """Overlap of the letter frequencies of two texts, from 0 to 1; 1 for texts without letters."""
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
