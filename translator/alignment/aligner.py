"""Word links of translations, from two witnesses: attention and a lexicon.

Attention says where the model looked while it wrote a word. It knows the order of the words, but it
also looks at what it will need next. A lexicon says which words translate each other, but not which
of two equal words is meant. Their product is better than either.

N heads, P source pieces, Q target pieces; S source words, T target words.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from translator.alignment.lexicon import WORD, Lexicon, WordPair, normalized_words, split_words
from translator.alignment.links import Link, alignment_error_rate
from translator.alignment.run_files import At, Reading
from translator.data.batches import pad_rows
from translator.data.tokenizer import BEGIN_ID, END_ID, Span, Tokenizer
from translator.models.seq2seq import Seq2SeqModel

FLOOR = 3e-3
"""Added to the scores of the lexicon, so that attention can link words that it does not know.
Chosen on the validation split of data/everyday."""

WEIGHTS_AT_ONCE = 2**20
"""Largest number of attention weights of a head in a batch of several lines."""

WORD_BYTES = re.compile(WORD.pattern.encode())
"""The words of `split_words` in bytes of UTF-8."""


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

    def decided_by(self) -> dict[str, Any]:
        """What its links depend on, apart from the model, by the file that a run keeps it in."""
        digest = hashlib.sha256(self._lexicon.to_text().encode()).hexdigest()
        return {"lexicon.tsv": digest, "alignment.json": self._reading.model_dump()}

    def align(self, lines: Sequence[TranslatedLine]) -> list[frozenset[Link]]:
        """The links of each line, between words of `split_words`."""
        links: list[frozenset[Link]] = [frozenset()] * len(lines)
        for i, one in self._attention.read(lines):
            links[i] = find_links(one.mean(self._reading), self._lexicon.scores(one.words))
        return links


def find_links(attention: np.ndarray, lexical: np.ndarray) -> frozenset[Link]:
    """Link each word of either side to the word of the other side with the largest share.

    The share of two words is p / √(row sum · column sum), where p is the product of both witnesses.
    So a word that all others look at, such as "the", has small shares.

    attention: [T, S]. lexical: [T, S] scores of a lexicon. A word whose row or column of the
    attention is zero has no link.
    """
    together = attention * (lexical + FLOOR)
    rows, columns = together.sum(axis=1, keepdims=True), together.sum(axis=0, keepdims=True)
    shares = together / np.sqrt(np.maximum(rows * columns, np.finfo(np.float64).tiny))
    links = set()
    if shares.size:
        links |= {(int(i), j) for j, i in enumerate(shares.argmax(axis=1)) if rows[j, 0] > 0}
        links |= {(i, int(j)) for i, j in enumerate(shares.argmax(axis=0)) if columns[0, i] > 0}
    return frozenset(links)


def choose_reading(attention: Sequence[WordAttention], lexicon: Lexicon) -> tuple[Reading, float]:
    """The reading that agrees best with the lexicon, and its agreement, from 0 to 1.

    Both witnesses find links alone: attention without the lexicon, and the lexicon without
    attention. The agreement is one minus the alignment error rate. In each layer, heads are added
    from the best to the worst.

    attention: of several lines. Raises ValueError if they have no words.
    """
    lexical = [lexicon.scores(one.words) for one in attention]
    by_lexicon = [find_links(np.ones(table.shape), table) for table in lexical]

    def agreement(reading: Reading) -> float:
        means = [one.mean(reading) for one in attention]
        by_attention = [find_links(mean, np.ones(mean.shape)) for mean in means]
        return 1 - alignment_error_rate(by_attention, by_lexicon, by_lexicon)

    candidates: list[tuple[float, Reading]] = []
    for (layer, at), weights in sorted(attention[0].weights.items()):
        single = [Reading(layer=layer, heads=[i], at=at) for i in range(len(weights))]
        ordered = [one.heads[0] for one in sorted(single, key=agreement, reverse=True)]
        for count in range(1, len(ordered) + 1):
            reading = Reading(layer=layer, heads=sorted(ordered[:count]), at=at)
            candidates.append((agreement(reading), reading))
    best, reading = max(candidates, key=lambda candidate: candidate[0])
    return reading, best


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
            source = pad_rows([[*pieces[i].source_ids, END_ID] for i in batch])
            target = pad_rows([[BEGIN_ID, *pieces[i].target_ids] for i in batch])
            maps = self._model.attention_maps(tf.constant(source), tf.constant(target), {"cross"})
            by_layer = {one.layer: one.weights.numpy() for one in maps}
            for row, i in enumerate(batch):
                weights = {layer: one[row] for layer, one in by_layer.items()}
                yield i, _of_words(pieces[i], weights)

    def _pieces(self, line: TranslatedLine) -> _Pieces | None:
        """The pieces that the model reads and writes; None if there is nothing to align."""
        source = self._tokenizer.source.encode_with_spans(line.source)[: self._max_length]
        text, target_spans = self._tokenizer.target.decode_with_spans(line.target_ids)
        if not source or not line.target_ids or split_words(text) != split_words(line.target):
            return None
        return _Pieces(
            WordPair(normalized_words(line.source), normalized_words(line.target)),
            [id_ for id_, _ in source],
            line.target_ids,
            _membership(line.source, [span for _, span in source]),
            _membership(text, target_spans),
        )


class _Pieces(NamedTuple):
    """A line and its translation as the model has them."""

    words: WordPair
    source_ids: Sequence[int]
    target_ids: Sequence[int]
    to_source: np.ndarray
    """[P, S] `_membership`"""
    to_target: np.ndarray
    """[Q, T]"""


def _membership(text: str, spans: Sequence[Span]) -> np.ndarray:
    """[pieces, words]: the share of each word in a piece.

    A piece belongs to the words that it overlaps, in equal shares, and a piece of spaces to the
    word behind it.
    """
    words = [found.span() for found in WORD_BYTES.finditer(text.encode())]
    member = np.zeros((len(spans), len(words)), np.float32)
    begins = np.searchsorted([end for _, end in words], [span.begin for span in spans], "right")
    ends = np.searchsorted([begin for begin, _ in words], [span.end for span in spans], "left")
    for row, begin, end in zip(member, begins, np.maximum(ends, begins + 1), strict=True):
        row[begin:end] = 1 / (end - begin)
    return member


def _batches(pieces: dict[int, _Pieces]) -> Iterator[list[int]]:
    """Yield numbers of lines of similar length."""
    size = {i: max(len(one.source_ids), len(one.target_ids)) + 1 for i, one in pieces.items()}
    batch: list[int] = []
    for i in sorted(size, key=size.__getitem__):
        if batch and (len(batch) + 1) * size[i] ** 2 > WEIGHTS_AT_ONCE:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _of_words(pieces: _Pieces, by_layer: dict[int, np.ndarray]) -> WordAttention:
    """by_layer: [N, Q + 1, P + 1] with padding; query q predicts piece q."""
    num_source, num_target = len(pieces.source_ids), len(pieces.target_ids)
    to_target = pieces.to_target / np.maximum(pieces.to_target.sum(axis=0), 1e-9)
    firsts: dict[At, int] = {"output": 0, "input": 1}
    weights = {
        (layer, at): to_target.T
        @ one[:, first : first + num_target, :num_source]
        @ pieces.to_source
        for layer, one in by_layer.items()
        for at, first in firsts.items()
    }
    return WordAttention(pieces.words, weights)
