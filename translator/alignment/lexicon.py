"""A lexicon: which words translate each other, learnt from sentence pairs by IBM Model 1.

Brown et al. 1993, "The Mathematics of Statistical Machine Translation". A word y of the target is
written by one word x of the source, with probability t(y|x), or by the empty word. Which one it was
is not known. So each y is first shared out equally among the words of its source. Then t is counted
from the shares, the shares follow t, and so on.

S source words and T target words of a sentence pair. An entry is a place in the text where an x and
a y stand in the same pair; E entries, D different pairs (x, y).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

ROUNDS = 10
"""How often t is counted. Chosen on the validation split of data/everyday, as is SMOOTHING."""

SMOOTHING = 0.1
"""Added to every count. It keeps rare words from claiming everything that stands beside them."""

MOST_ENTRIES = 10_000_000
"""Entries from which `thinned` leaves out pairs. Learning from so many takes about 700 MB."""

LEAST_SCORE = 1e-3
"""Pairs of words with lower scores are not kept."""

EMPTY_WORD = 0
"""Its number; other words are numbered from 1."""

WORD = re.compile(r"[^ \t\n\r\f\v]+")
_AROUND = re.compile(r"^[\W_]+|[\W_]+$")


class WordPair(NamedTuple):
    """The words of a sentence pair."""

    source: list[str]
    target: list[str]


class Table(NamedTuple):
    """Probabilities t(y|x) of words that stand together, in order of their keys."""

    keys: np.ndarray
    """[D] x · (number of the last y + 1) + y"""
    probabilities: np.ndarray
    """[D]"""


def split_words(text: str) -> list[str]:
    """The words between spaces and tabs. A no-break space is part of a word."""
    return WORD.findall(text)


def normalized_words(text: str) -> list[str]:
    """`split_words` without case, and without punctuation around words."""
    return [_AROUND.sub("", word).casefold() or word for word in split_words(text)]


class Lexicon:
    """Scores of pairs of words, from 0 to 1. Words are those of `normalized_words`."""

    def __init__(self, scores: Mapping[tuple[str, str], float]) -> None:
        """scores: by source word and target word; missing pairs have the score 0."""
        self._scores = scores
        self._known = {word for pair in scores for word in pair}

    @classmethod
    def learn(cls, pairs: Sequence[WordPair]) -> Lexicon:
        """Two words score √(t(y|x) · t(x|y)): high if each explains the other best."""
        x_words, x = _numbered([pair.source for pair in pairs])
        y_words, y = _numbered([pair.target for pair in pairs])
        forward, backward = model_1(x, y), model_1(y, x)
        x_of, y_of = np.divmod(forward.keys, len(y_words) + 1)
        x_of, y_of, t = (part[x_of != EMPTY_WORD] for part in (x_of, y_of, forward.probabilities))
        found = np.searchsorted(backward.keys, y_of * (len(x_words) + 1) + x_of)
        scores = np.sqrt(t * backward.probabilities[found])
        # As in a file of `to_text`, so that links do not depend on whether it was read or learnt.
        return cls(
            {
                (x_words[i - 1], y_words[j - 1]): float(f"{score:.4g}")
                for i, j, score in zip(x_of.tolist(), y_of.tolist(), scores.tolist(), strict=True)
                if score >= LEAST_SCORE
            }
        )

    def scores(self, pair: WordPair) -> np.ndarray:
        """[T, S]. A word that the lexicon does not know, such as a name, is its own translation."""
        table = np.zeros((len(pair.target), len(pair.source)))
        for j, y in enumerate(pair.target):
            for i, x in enumerate(pair.source):
                is_name = x == y and x not in self._known
                table[j, i] = 1.0 if is_name else self._scores.get((x, y), 0.0)
        return table

    def to_text(self) -> str:
        """Lines of source word, target word and score, separated by tabs."""
        rows = sorted(self._scores.items())
        return "".join(f"{x}\t{y}\t{score:.4g}\n" for (x, y), score in rows)

    @classmethod
    def of_text(cls, text: str) -> Lexicon:
        """The lexicon that `to_text` wrote. Raises ValueError."""
        rows = (line.split("\t") for line in text.split("\n") if line)
        scores = {(x, y): float(score) for x, y, score in rows}
        if not all(0 <= score <= 1 for score in scores.values()):
            raise ValueError("scores lie between 0 and 1")
        return cls(scores)


def model_1(sources: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> Table:
    """t(y|x) for all words that stand in the same pair, and for the empty word as x.

    sources, targets: numbers of the words of each sentence, from 1.
    """
    num_y = max((int(y.max(initial=0)) for y in targets), default=0) + 1
    with_empty = [np.append(EMPTY_WORD, x) for x in sources]
    entries = [x * num_y + y[:, None] for x, y in zip(with_empty, targets, strict=True)]
    if not any(block.size for block in entries):
        return Table(np.zeros(0, np.int64), np.zeros(0))
    keys, pair_of_entry = np.unique(
        np.concatenate([block.ravel() for block in entries]), return_inverse=True
    )
    widths = np.concatenate([np.full(len(block), block.shape[1]) for block in entries])
    y_of_entry = np.repeat(np.arange(len(widths), dtype=np.int32), widths)
    del entries
    pair_of_entry, x_of_pair = pair_of_entry.astype(np.int32), keys // num_y

    t = np.ones(len(keys))
    for _ in range(ROUNDS):
        shares = t[pair_of_entry]
        shares /= np.bincount(y_of_entry, shares)[y_of_entry]
        counts = np.bincount(pair_of_entry, shares)
        totals = np.bincount(x_of_pair, counts)[x_of_pair]
        t = (counts + SMOOTHING) / (totals + SMOOTHING * (num_y - 1))
    return Table(keys, t)


def thinned(pairs: Iterable[tuple[str, str]], most: int = MOST_ENTRIES) -> list[tuple[str, str]]:
    """All pairs of texts, or every second, every fourth … so that they have no more entries."""
    kept: list[tuple[str, str]] = []
    num_entries, stride = 0, 1
    for number, pair in enumerate(pairs):
        if number % stride == 0:
            kept.append(pair)
            num_entries += _num_entries(pair)
        while num_entries > most and len(kept) > 1:
            kept, stride = kept[::2], stride * 2
            num_entries = sum(map(_num_entries, kept))
    return kept


def _num_entries(pair: tuple[str, str]) -> int:
    source, target = pair
    return (source.count(" ") + 2) * (target.count(" ") + 2)


def _numbered(sentences: Sequence[Sequence[str]]) -> tuple[list[str], list[np.ndarray]]:
    """The different words, and sentences of their numbers from 1."""
    numbers: dict[str, int] = {}
    rows = [
        np.array([numbers.setdefault(word, len(numbers) + 1) for word in sentence], np.int64)
        for sentence in sentences
    ]
    return list(numbers), rows
