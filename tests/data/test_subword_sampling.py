"""Segmentations are drawn by their probabilities, and keep the text."""

import io
import math
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import sentencepiece

from translator.data.subword_sampling import Pieces, sample_bpe, sample_unigram

EVERYDAY = Path(__file__).parents[2] / "data/everyday/train.tsv"


class Toy(Pieces):
    """Pieces a, b and ab: the segmentations are ab (3/4) and a b (1/2 · 1/2)."""

    def __init__(self) -> None:
        self.scores = {"a": math.log(0.5), "b": math.log(0.5), "ab": math.log(0.75)}
        self.ids = {"a": 4, "b": 5, "ab": 6}
        self.longest = 2
        self.unknown_score = -99.0

    def normalize(self, sentence: str) -> str:
        return sentence


def share_of_ab(alpha: float) -> float:
    random = np.random.default_rng(1)
    draws = [sample_unigram(Toy(), "ab", alpha, random) for _ in range(4000)]
    assert {tuple(ids) for ids in draws} <= {(6,), (4, 5)}
    return sum(ids == [6] for ids in draws) / len(draws)


@pytest.mark.parametrize(
    ("alpha", "share"),
    [
        (1.0, 0.75 / (0.75 + 0.25)),
        (0.5, 0.75**0.5 / (0.75**0.5 + 0.25**0.5)),
        (100.0, 1.0),
    ],
)
def test_unigram_draws_by_the_probability_to_the_power_alpha(alpha: float, share: float) -> None:
    assert share_of_ab(alpha) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(("alpha", "share"), [(0.0, 1.0), (0.25, 0.75), (1.0, 0.0)])
def test_bpe_drops_a_merge_with_probability_alpha(alpha: float, share: float) -> None:
    random = np.random.default_rng(1)
    draws = [sample_bpe(Toy(), "ab", alpha, random) for _ in range(4000)]
    assert sum(ids == [6] for ids in draws) / len(draws) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_without_randomness_it_equals_sentencepiece(kind: Literal["unigram", "bpe"]) -> None:
    with EVERYDAY.open(encoding="utf-8") as lines:
        sentences = [line.split("\t")[0] for line in islice(lines, 200)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        model_type=kind,
        vocab_size=400,
        byte_fallback=True,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces, random = Pieces(processor), np.random.default_rng(1)
    if kind == "unigram":
        found = [sample_unigram(pieces, text, 500.0, random) for text in sentences]
    else:
        found = [sample_bpe(pieces, text, 0.0, random) for text in sentences]
    best = processor.encode(sentences)
    same = sum(one == other for one, other in zip(found, best, strict=True))
    assert same >= 0.99 * len(sentences)  # the rest are ties
    assert processor.decode(found) == processor.decode(best)
    strange = sample_unigram(pieces, "A 猫.", 0.2, random)
    assert processor.decode(strange) == "A 猫."


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (sample_unigram, [[6, 6], [4, 5, 6], [6, 4, 5], [6, 4, 5]]),
        (sample_bpe, [[4, 5, 4, 5], [6, 6], [6, 4, 5], [6, 4, 5]]),
    ],
)
def test_draws_equal_recorded_ones(
    sample: Callable[..., list[int]], expected: list[list[int]]
) -> None:
    """Recorded from commit 6ab5e60. A resumed run must draw what an uninterrupted run draws."""
    random = np.random.Generator(np.random.Philox(3))
    assert [sample(Toy(), "abab", 0.5, random) for _ in range(4)] == expected
