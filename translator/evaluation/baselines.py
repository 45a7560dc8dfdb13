"""Translations without a model. A model whose scores are no higher has learnt little.

N training pairs of a block, V words, E entries: one for each word of each source of the block.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from translator.corpora.lines import is_blank
from translator.data.corpus import Pair
from translator.data.tags import is_empty, split_tag
from translator.evaluation.words import first_words, num_written_words, words

FIRST_WORDS = "first words"
NEAREST_PAIR = "nearest training pair"

LARGEST_BLOCK = 2_000_000
"""Entries from which a block of training pairs is complete. It takes about 100 MB."""


NUMBERS_OF_WORDS = (1, 2, 4, 8, 16, 32)
"""How many words FIRST_WORDS may take."""

Scorer = Callable[[Sequence[str], Sequence[str]], float]
"""(translations, references) → a score; higher is better."""


def choose_num_words(pairs: Sequence[Pair], score: Scorer, tags: Sequence[str] = ()) -> int:
    """The number of first words that scores best on these pairs; of equal ones the lowest."""
    references = [pair.target for pair in pairs]
    sources = [pair.source for pair in pairs]

    def scored(num_words: int) -> float:
        return score(beginnings(sources, num_words, tags), references)

    return max(NUMBERS_OF_WORDS, key=scored)


def beginnings(sources: Sequence[str], num_words: int, tags: Sequence[str] = ()) -> list[str]:
    """FIRST_WORDS: the first words of each source."""
    return [first_words(split_tag(source, tags)[1], num_words) for source in sources]


def nearest_targets(
    sources: Sequence[str], read_training: Callable[[], Iterable[Pair]], tags: Sequence[str] = ()
) -> list[str]:
    """NEAREST_PAIR: the target of the training pair whose source is most similar.

    Similarity is the cosine of TF-IDF vectors; of equally similar pairs, the first counts.

    read_training: returns the training pairs. They are read twice, and never all in memory. Pairs
    with an empty side do not count.
    """

    def pairs() -> Iterator[Pair]:
        for pair in read_training():
            if not (is_empty(pair.source, tags) or is_blank(pair.target)):
                yield pair

    counts = _count_words(pairs())
    queries = [_Entries.of([source], counts) for source in sources]
    best, targets = np.full(len(sources), -1.0), [""] * len(sources)
    for block in _blocks(pairs(), counts):
        index = _Index(block.entries, len(block.targets), len(counts.idf))
        for i, query in enumerate(queries):
            similarities = index.similarities(query)
            nearest = int(np.argmax(similarities))
            if similarities[nearest] > best[i]:
                best[i], targets[i] = similarities[nearest], block.targets[nearest]
    return targets


class _Counts(NamedTuple):
    """Words of the training text."""

    numbers: dict[str, int]
    """A number for each word of its sources."""
    idf: np.ndarray
    """[V] log((1 + pairs) / (1 + sources with the word)) + 1."""


def _count_words(pairs: Iterable[Pair]) -> _Counts:
    num_pairs = 0
    num_sources: Counter[str] = Counter()
    for source, _ in pairs:
        num_pairs += 1
        num_sources.update(set(words(source)))
    frequencies = np.fromiter(num_sources.values(), np.float64, len(num_sources))
    return _Counts(
        {word: number for number, word in enumerate(num_sources)},
        np.log((1 + num_pairs) / (1 + frequencies)) + 1,
    )


class _Entries(NamedTuple):
    """TF-IDF vectors of some texts, each of length 1 unless it has no known word."""

    texts: np.ndarray
    """[E] the number of the text."""
    words: np.ndarray
    """[E] the number of the word."""
    weights: np.ndarray
    """[E] (1 + log count) · idf, divided by the length of the text's vector."""

    @classmethod
    def of(cls, texts: Iterable[str], counts: _Counts) -> _Entries:
        numbers, known, frequencies = array("i"), array("i"), array("i")
        for number, text in enumerate(texts):
            for word, count in Counter(words(text)).items():
                if word in counts.numbers:
                    numbers.append(number)
                    known.append(counts.numbers[word])
                    frequencies.append(count)
        owners, ids, tf = (np.array(one, np.int32) for one in (numbers, known, frequencies))
        weights = (1 + np.log(tf)) * counts.idf[ids]
        lengths = np.sqrt(np.bincount(owners, weights**2))
        return cls(owners, ids, weights / lengths[owners])


class _Block(NamedTuple):
    """Some training pairs."""

    entries: _Entries
    targets: list[str]


def _blocks(pairs: Iterable[Pair], counts: _Counts) -> Iterator[_Block]:
    """The pairs in blocks of limited size."""
    sources: list[str] = []
    targets: list[str] = []
    size = 0
    for source, target in pairs:
        sources.append(source)
        targets.append(target)
        size += num_written_words(source)
        if size >= LARGEST_BLOCK:
            yield _Block(_Entries.of(sources, counts), targets)
            sources, targets, size = [], [], 0
    if sources:
        yield _Block(_Entries.of(sources, counts), targets)


class _Index:
    """The vectors of a block by word, so that a query reads only those of its words."""

    def __init__(self, entries: _Entries, num_pairs: int, num_words: int) -> None:
        order = np.argsort(entries.words, kind="stable")
        self._num_pairs = num_pairs
        self._pairs = entries.texts[order]
        self._weights = entries.weights[order]
        self._starts = np.searchsorted(entries.words[order], np.arange(num_words + 1))

    def similarities(self, query: _Entries) -> np.ndarray:
        """[N] cosine of the query and each pair's source."""
        spans = [slice(*self._starts[word : word + 2]) for word in query.words]
        if not spans:
            return np.zeros(self._num_pairs)
        pairs = np.concatenate([self._pairs[span] for span in spans])
        products = [
            self._weights[span] * weight for span, weight in zip(spans, query.weights, strict=True)
        ]
        return np.bincount(pairs, np.concatenate(products), self._num_pairs)
