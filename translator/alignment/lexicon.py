"""A lexicon: which words translate each other, learnt from sentence pairs by IBM Model 1.

Brown et al. 1993, "The Mathematics of Statistical Machine Translation". A word y of the target is
written by one word x of the source, with probability t(y|x), or by an empty word. Which one it was
is not known. So each y is first shared out equally among the words of its source. Then t is counted
from the shares, the shares follow t, and so on.

S source words and T target words of a sentence pair, E entries: a pair of words for each place
where it occurs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

ROUNDS = 10
"""How often t is counted."""

SMOOTHING = 0.1
"""Added to every count. It keeps rare words from claiming everything that stands beside them."""

LARGEST_SAMPLE = 10_000_000
"""Entries from which the text is thinned out. They take about 500 MB."""

LEAST_SCORE = 1e-3
"""Pairs of words with lower scores are not kept."""

EMPTY_WORD = ""

_AROUND = re.compile(r"^[\W_]+|[\W_]+$")


class WordPair(NamedTuple):
    """Sentences as `normalized_words`."""

    source: list[str]
    target: list[str]


def split_words(text: str) -> list[str]:
    """The words between spaces, as Pharaoh format counts them."""
    return [word for word in text.split(" ") if word]


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
    def learn(cls, pairs: Iterable[WordPair]) -> Lexicon:
        """√(t(y|x) · t(x|y)): two words score high if each is the best account of the other."""
        sample = thinned(pairs, LARGEST_SAMPLE)
        sources, targets = [pair.source for pair in sample], [pair.target for pair in sample]
        forward, backward = model_1(sources, targets), model_1(targets, sources)
        scores = {
            (x, y): math.sqrt(probability * backward[y, x])
            for (x, y), probability in forward.items()
            if x != EMPTY_WORD
        }
        return cls({pair: score for pair, score in scores.items() if score >= LEAST_SCORE})

    def scores(self, pair: WordPair) -> np.ndarray:
        """[T, S]. A word that the lexicon does not know, such as a name, is its own translation."""
        found = np.zeros((len(pair.target), len(pair.source)))
        for j, y in enumerate(pair.target):
            for i, x in enumerate(pair.source):
                is_name = x == y and x not in self._known
                found[j, i] = 1.0 if is_name else self._scores.get((x, y), 0.0)
        return found

    def to_text(self) -> str:
        """Lines of source word, target word and score, separated by tabs."""
        rows = sorted(self._scores.items())
        return "".join(f"{x}\t{y}\t{score:.4g}\n" for (x, y), score in rows)

    @classmethod
    def of_text(cls, text: str) -> Lexicon:
        """The lexicon that `to_text` wrote. Raises ValueError."""
        rows = (line.split("\t") for line in text.split("\n") if line)
        return cls({(x, y): float(score) for x, y, score in rows})


def model_1(
    sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]
) -> dict[tuple[str, str], float]:
    """t(y|x) by (x, y), for all words that occur together. x may be EMPTY_WORD."""
    x_ids = _numbered([EMPTY_WORD], *sources)
    y_ids = _numbered(*targets)
    xs = [np.array([x_ids[word] for word in (EMPTY_WORD, *source)]) for source in sources]
    ys = [np.array([y_ids[word] for word in target], dtype=np.int64) for target in targets]
    if not any(map(len, ys)):
        return {}
    keys = np.concatenate(
        [(x[None, :] * len(y_ids) + y[:, None]).ravel() for x, y in zip(xs, ys, strict=True)]
    )
    pairs, pair_of_entry = np.unique(keys, return_inverse=True)
    x_of_pair = pairs // len(y_ids)
    widths = np.concatenate([np.full(len(y), len(x)) for x, y in zip(xs, ys, strict=True)])
    place_of_entry = np.repeat(np.arange(len(widths)), widths)  # which y of which sentence

    t = np.ones(len(pairs))
    for _ in range(ROUNDS):
        shares = t[pair_of_entry]
        shares /= np.bincount(place_of_entry, shares)[place_of_entry]
        counts = np.bincount(pair_of_entry, shares)
        totals = np.bincount(x_of_pair, counts)[x_of_pair]
        t = (counts + SMOOTHING) / (totals + SMOOTHING * len(y_ids))
    x_words, y_words = list(x_ids), list(y_ids)
    return {
        (x_words[pair // len(y_ids)], y_words[pair % len(y_ids)]): probability
        for pair, probability in zip(pairs.tolist(), t.tolist(), strict=True)
    }


def thinned(pairs: Iterable[WordPair], most_entries: int) -> list[WordPair]:
    """All pairs, or every second, every fourth … so that they have no more entries."""
    kept: list[WordPair] = []
    num_entries, stride = 0, 1
    for number, pair in enumerate(pairs):
        if number % stride == 0:
            kept.append(pair)
            num_entries += _num_entries(pair)
        while num_entries > most_entries and len(kept) > 1:
            kept, stride = kept[::2], stride * 2
            num_entries = sum(map(_num_entries, kept))
    return kept


def _num_entries(pair: WordPair) -> int:
    return (len(pair.source) + 1) * (len(pair.target) + 1)


def _numbered(*sentences: Sequence[str]) -> dict[str, int]:
    """The different words and their numbers, in the order in which they occur."""
    words = dict.fromkeys(word for sentence in sentences for word in sentence)
    return {word: number for number, word in enumerate(words)}
