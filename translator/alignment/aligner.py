"""Word links of translations, from two witnesses: attention and a lexicon.

Attention says where the model looked while it wrote a word. It knows the order of the words, but it
also looks at what it will need next. A lexicon says which words translate each other, but not which
of two equal words is meant. Their product is better than either.

N heads, P source pieces, Q target pieces; S source words, T target words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from translator.alignment.kept import At, Reading
from translator.alignment.lexicon import Lexicon, WordPair, normalized_words, split_words
from translator.alignment.links import Link, alignment_error_rate
from translator.data.batches import pad_rows
from translator.data.tokenizer import BEGIN_ID, END_ID, Tokenizer, Vocabulary
from translator.models.seq2seq import Seq2SeqModel

FLOOR = 3e-3
"""Added to the scores of the lexicon, so that attention can link words that it does not know."""

POSITIONS_AT_ONCE = 8192
"""Pieces of the longer side of a batch, padding included."""


class TranslatedLine(NamedTuple):
    """A line, and a translation of it."""

    source: str
    target: str
    target_ids: Sequence[int]
    """Without the end."""


class WordAttention(NamedTuple):
    """What the words of a translation look at."""

    words: WordPair
    weights: dict[tuple[int, At], np.ndarray]
    """[N, T, S] by layer and `Reading.at`: summed over the pieces of the source word, averaged over
    those of the target word. All zero for words that were not read."""

    def mean(self, reading: Reading) -> np.ndarray:
        """[T, S]: the heads of a reading."""
        heads: np.ndarray = self.weights[reading.layer, reading.at][reading.heads]
        return heads.mean(axis=0)


class Aligner:
    """Finds the word links of translations."""

    def __init__(self, attention: AttentionReader, lexicon: Lexicon, reading: Reading) -> None:
        self._attention, self._lexicon, self._reading = attention, lexicon, reading

    @property
    def digest(self) -> str:
        """SHA-256 of what its links depend on, apart from the model."""
        text = self._reading.model_dump_json() + "\n" + self._lexicon.to_text()
        return hashlib.sha256(text.encode()).hexdigest()

    def align(self, lines: Sequence[TranslatedLine]) -> list[frozenset[Link]]:
        """The links of each line. Words are counted between spaces."""
        links: list[frozenset[Link]] = [frozenset()] * len(lines)
        for i, one in self._attention.read(lines):
            links[i] = find_links(one.mean(self._reading), self._lexicon.scores(one.words))
        return links


def find_links(attention: np.ndarray, lexical: np.ndarray) -> frozenset[Link]:
    """Link each word of either side to the word of the other side that is most its own.

    attention: [T, S]. lexical: [T, S] scores of a lexicon. A word whose row or column of the
    attention is zero has no link.
    """
    together = attention * (lexical + FLOOR)
    rows, columns = together.sum(axis=1, keepdims=True), together.sum(axis=0, keepdims=True)
    # A word that everybody looks at, such as "the", is nobody's own.
    shares = together / np.sqrt(np.maximum(rows * columns, np.finfo(np.float64).tiny))
    links = set()
    if shares.size:
        links |= {(int(i), j) for j, i in enumerate(shares.argmax(axis=1)) if rows[j, 0] > 0}
        links |= {(i, int(j)) for i, j in enumerate(shares.argmax(axis=0)) if columns[0, i] > 0}
    return frozenset(links)


def choose_reading(lines: Sequence[WordAttention], lexicon: Lexicon) -> tuple[Reading, float]:
    """The reading that agrees best with the lexicon, and its agreement, from 0 to 1.

    Both sides find links alone: attention without the lexicon, and the lexicon without attention.
    The agreement is one minus the alignment error rate. Within a layer, heads are added from the
    best to the worst.

    lines: from `AttentionReader`. Raises ValueError if they have no words.
    """
    lexical = [lexicon.scores(one.words) for one in lines]
    by_lexicon = [find_links(np.ones(one.shape), one) for one in lexical]

    def agreement(reading: Reading) -> float:
        means = [one.mean(reading) for one in lines]
        by_attention = [find_links(mean, np.ones(mean.shape)) for mean in means]
        return 1 - alignment_error_rate(by_attention, by_lexicon, by_lexicon)

    best: list[tuple[float, Reading]] = []
    for (layer, at), weights in sorted(lines[0].weights.items()):
        single = [Reading(layer=layer, heads=[i], at=at) for i in range(len(weights))]
        ordered = [one.heads[0] for one in sorted(single, key=agreement, reverse=True)]
        for count in range(1, len(ordered) + 1):
            reading = Reading(layer=layer, heads=sorted(ordered[:count]), at=at)
            best.append((agreement(reading), reading))
    value, reading = max(best, key=lambda one: one[0])
    return reading, value


class AttentionReader:
    """Computes what the words of translations look at."""

    def __init__(self, model: Seq2SeqModel, tokenizer: Tokenizer, max_length: int) -> None:
        self._model, self._tokenizer, self._max_length = model, tokenizer, max_length

    def read(self, lines: Sequence[TranslatedLine]) -> Iterator[tuple[int, WordAttention]]:
        """Yield numbers of lines with their attention, in any order.

        Lines without a piece on one side are missing. So are translations with bytes that spell no
        character, where words cannot be told from the pieces.
        """
        pieces = {i: found for i, line in enumerate(lines) if (found := self._pieces(line))}
        for batch in _batches(pieces):
            source = pad_rows([[*pieces[i].source.ids, END_ID] for i in batch])
            target = pad_rows([[BEGIN_ID, *pieces[i].target.ids] for i in batch])
            maps = self._model.attention_maps(tf.constant(source), tf.constant(target))
            by_layer = {one.layer: one.weights.numpy() for one in maps if one.part == "cross"}
            for row, i in enumerate(batch):
                weights = {layer: one[row] for layer, one in by_layer.items()}
                yield i, _of_words(lines[i], pieces[i], weights)

    def _pieces(self, line: TranslatedLine) -> _Pieces | None:
        source = _side(self._tokenizer.source, line.source, self._max_length)
        target = _target_side(self._tokenizer.target, line)
        return _Pieces(source, target) if source.ids and target and target.ids else None


class _Side(NamedTuple):
    ids: list[int]
    words: list[int]
    """The number of the word that each piece belongs to."""


class _Pieces(NamedTuple):
    source: _Side
    target: _Side


def _side(vocabulary: Vocabulary, text: str, most: int) -> _Side:
    """The first pieces of a text."""
    found = vocabulary.encode_with_offsets(text)[:most]
    return _Side([id_ for id_, _ in found], _words_at(text, [offset for _, offset in found]))


def _target_side(vocabulary: Vocabulary, line: TranslatedLine) -> _Side | None:
    """None if the words of the pieces are not those of the text."""
    text, offsets = vocabulary.decode_with_offsets(line.target_ids)
    if split_words(text) != split_words(line.target):
        return None
    return _Side(list(line.target_ids), _words_at(text, offsets))


def _words_at(text: str, offsets: Sequence[int]) -> list[int]:
    """Number of the word at each offset, in bytes; at a space, that of the word behind it."""
    ends, end = [], 0
    for word in text.encode().split(b" "):
        end += len(word)
        if word:
            ends.append(end)
        end += 1
    numbers = np.searchsorted(ends, offsets, side="right")
    return np.minimum(numbers, max(0, len(ends) - 1)).tolist()


def _batches(pieces: dict[int, _Pieces]) -> Iterator[list[int]]:
    """Yield numbers of lines of similar length."""
    size = {i: max(len(one.source.ids), len(one.target.ids)) + 1 for i, one in pieces.items()}
    batch: list[int] = []
    for i in sorted(size, key=size.__getitem__):
        if batch and (len(batch) + 1) * size[i] > POSITIONS_AT_ONCE:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _of_words(
    line: TranslatedLine, pieces: _Pieces, by_layer: dict[int, np.ndarray]
) -> WordAttention:
    """by_layer: [N, Q + 1, P + 1] with padding; query q predicts piece q."""
    words = WordPair(normalized_words(line.source), normalized_words(line.target))
    num_source, num_target = len(pieces.source.ids), len(pieces.target.ids)
    to_source = _membership(pieces.source.words, len(words.source))
    to_target = _membership(pieces.target.words, len(words.target))
    to_target /= np.maximum(to_target.sum(axis=0), 1)
    weights: dict[tuple[int, At], np.ndarray] = {}
    firsts: dict[At, int] = {"output": 0, "input": 1}
    for layer, one in by_layer.items():
        for at, first in firsts.items():
            of_pieces = one[:, first : first + num_target, :num_source]
            weights[layer, at] = to_target.T @ of_pieces @ to_source
    return WordAttention(words, weights)


def _membership(words: Sequence[int], num_words: int) -> np.ndarray:
    """[pieces, words]: 1 where a piece belongs to a word."""
    member = np.zeros((len(words), num_words))
    member[np.arange(len(words)), words] = 1
    return member
