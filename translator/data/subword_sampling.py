"""Subword sampling: a different segmentation of the same sentence every time, drawn by a seed.

SentencePiece can sample too, but its draws differ between processes whatever the seed, so a resumed
run would read other pieces. Here the draws are made from SentencePiece's pieces and scores.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from sentencepiece import SentencePieceProcessor

from translator.config.schema import TokenizerKind

UNKNOWN_PENALTY = 10.0
"""Log-probability of an unknown character below that of the worst piece, as in SentencePiece."""

Ids = list[int]


class SubwordSampling(NamedTuple):
    """Kind, strength and seed of subword sampling."""

    kind: TokenizerKind
    alpha: float
    seed: int
    max_length: int
    """Longest drawn segmentation in pieces, a tag included. The best segmentation replaces a longer
    one."""


class Pieces:
    """The pieces of a vocabulary with ids and scores, and the spelling of unknown characters."""

    def __init__(self, processor: SentencePieceProcessor) -> None:
        self._processor = processor
        ids = range(processor.vocab_size())
        self.scores = {
            processor.id_to_piece(i): processor.get_score(i)
            for i in ids
            if not (processor.is_control(i) or processor.is_unknown(i) or processor.is_byte(i))
        }
        self.ids = {piece: processor.piece_to_id(piece) for piece in self.scores}
        self.longest = max(map(len, self.scores), default=1)
        self.unknown_score = min(self.scores.values(), default=0.0) - UNKNOWN_PENALTY
        self._bytes = {
            int(processor.id_to_piece(i)[3:-1], 16): i for i in ids if processor.is_byte(i)
        }

    @cached_property
    def cross_spaces(self) -> bool:
        """Whether a piece may contain the end of one word and the start of the next."""
        return any("▁" in piece[1:] for piece in self.scores)

    def normalize(self, sentence: str) -> str:
        """The sentence as SentencePiece segments it: normalized, with ▁ for spaces and in front."""
        return str(self._processor.normalize(sentence))

    def spell(self, segments: list[str]) -> Ids:
        """The ids of segments; an unknown character becomes its bytes, or the unknown id."""
        ids = []
        for segment in segments:
            if segment in self.ids:
                ids.append(self.ids[segment])
            elif self._bytes:
                ids.extend(self._bytes[byte] for byte in segment.encode())
            else:
                ids.append(int(self._processor.unk_id()))
        return ids


def sample_unigram(pieces: Pieces, sentence: str, alpha: float, random: np.random.Generator) -> Ids:
    """Draw a segmentation with probability proportional to P(segmentation)^α (Kudo 2018).

    The forward pass computes the log-sum over all segmentations of each prefix. The backward pass
    draws the last piece by the sums of the prefixes before it, then the piece before, and so on.
    """
    text = pieces.normalize(sentence)
    sums = [0.0]
    ways: list[list[tuple[int, float]]] = [[]]
    for end in range(1, len(text) + 1):
        here = []
        for start in range(max(0, end - pieces.longest), end):
            score = pieces.scores.get(text[start:end])
            if score is None and start == end - 1:
                score = pieces.unknown_score
            if score is not None:
                here.append((start, sums[start] + alpha * score))
        best = max(weight for _, weight in here)
        sums.append(best + math.log(sum(math.exp(weight - best) for _, weight in here)))
        ways.append(here)
    segments = []
    end = len(text)
    while end:
        shares = accumulate(math.exp(weight - sums[end]) for _, weight in ways[end])
        chosen = min(bisect_right([*shares], random.random()), len(ways[end]) - 1)
        start, _ = ways[end][chosen]
        segments.append(text[start:end])
        end = start
    return pieces.spell(segments[::-1])


def sample_bpe(pieces: Pieces, sentence: str, alpha: float, random: np.random.Generator) -> Ids:
    """Draw a segmentation by BPE-dropout (Provilkov et al. 2020).

    This is byte-pair encoding in which each round drops every possible merge with probability α.
    """
    segments = []
    text = pieces.normalize(sentence)
    for word in [text] if pieces.cross_spaces else _words(text):
        symbols = list(word)
        while True:
            merges = [
                (-score, i)
                for i, pair in enumerate(pairwise(symbols))
                if (score := pieces.scores.get("".join(pair))) is not None
                and random.random() >= alpha
            ]
            if not merges:
                break
            _, i = min(merges)
            symbols[i : i + 2] = ["".join(symbols[i : i + 2])]
        segments += symbols
    return pieces.spell(segments)


def _words(text: str) -> list[str]:
    """The words of a normalized text, cut before each ▁."""
    return [word for word in text.replace("▁", " ▁").split(" ") if word]
