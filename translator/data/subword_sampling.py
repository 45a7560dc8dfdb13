"""Subword sampling: another segmentation of the same sentence every time, decided by a seed.

SentencePiece samples too, but not the same in another process, whatever its seed; a resumed run
would read other pieces. So the draws are made here, from SentencePiece's pieces and scores.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np
from sentencepiece import SentencePieceProcessor

UNKNOWN_PENALTY = 10.0
"""By how much an unknown character scores below the worst piece, as in SentencePiece."""

Ids = list[int]


class Pieces:
    """What a vocabulary knows of text: ids and scores of its pieces, and how to spell the rest."""

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
        """Whether a piece may hold the end of a word and the beginning of the next."""
        return any("▁" in piece[1:] for piece in self.scores)

    def normalize(self, sentence: str) -> str:
        """As SentencePiece sees it: normalized, with ▁ for spaces and in front."""
        return str(self._processor.normalize(sentence))

    def spell(self, segments: list[str]) -> Ids:
        """Segments → ids; an unknown character becomes its bytes, or the unknown id."""
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
    """A segmentation drawn with a probability proportional to P(segmentation)^α (Kudo 2018).

    Forward: the log-sum over all ways to segment each prefix. Backward: the last piece is drawn by
    the sums of what may stand before it, then the one before.
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
    """Byte-pair encoding in which every merge is left out with probability α, each time it is due
    (BPE-dropout, Provilkov et al. 2020)."""
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
    """Cut before each ▁."""
    return [word for word in text.replace("▁", " ▁").split(" ") if word]
