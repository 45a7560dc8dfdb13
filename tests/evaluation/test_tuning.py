"""Tuning of beam size and length penalty."""

import math

import numpy as np
import pytest

from translator.config.schema import EvaluationConfig, LengthPenaltyKind
from translator.decoding.engine import Translation
from translator.evaluation.score import BleuCounts
from translator.evaluation.tuning import Baseline, Setting, best, settings

SHORT = Translation("short", math.log(0.30), length=1)
LONG = Translation("a long one", math.log(0.25), length=7)
GREEDY = Translation("greedy", math.log(0.2), length=2)


def test_penalty_decides_which_translation_of_a_beam_is_best() -> None:
    """At length 7 and α = 1 the penalty is 2, which halves the log-probability of the long one."""
    assert best([SHORT, LONG], np.ones(8, np.float32)) == "short"
    assert best([SHORT, LONG], np.array([1] * 7 + [2], np.float32)) == "a long one"
    assert best([LONG, LONG._replace(text="later")], np.ones(8, np.float32)) == "a long one"


def by_character(references: list[str]) -> BleuCounts:
    return BleuCounts(references, EvaluationConfig(tokenize="char"), "en")


def test_every_beam_size_is_tried_with_every_penalty() -> None:
    bleu = by_character(["a long one"])
    found = settings({1: [[GREEDY]], 2: [[SHORT, LONG]]}, [0.0, 1.0, 2.0], bleu, "gnmt")
    tried = [(one.beam_size, one.length_penalty) for one in found]
    assert tried == [(beam, alpha) for beam in (1, 2) for alpha in (0.0, 1.0, 2.0)]
    assert [one.bleu for one in found[4:]] == [100, 100]
    assert max(one.bleu for one in found[:4]) < 10


def test_kind_of_penalty_matters() -> None:
    """With α = 0.1, the penalties of lengths 1 and 7 are 1 and 7^0.1 = 1.21 for power, and 1 and
    1.07 for gnmt. The log-probabilities are -1.20 and -1.39."""
    beams = {2: [[SHORT, LONG]]}
    bleu = by_character(["a long one"])
    kinds: tuple[LengthPenaltyKind, ...] = ("gnmt", "power")
    found = {kind: settings(beams, [0.1], bleu, kind)[0].bleu for kind in kinds}
    assert found["power"] == 100
    assert found["gnmt"] < 10


WORDS = [f"this is the {number} of many sentences" for number in ("one", "two", "six", "ten")] * 25
"""A hundred references."""
BLEU = BleuCounts(WORDS, EvaluationConfig(), "en")


def setting(wrong: int | range, beam_size: int = 5, length_penalty: float = 1.0) -> Setting:
    """A setting that translates `wrong` sentences with one wrong word."""
    which = range(wrong) if isinstance(wrong, int) else wrong
    texts = [word.replace("many", "all") if i in which else word for i, word in enumerate(WORDS)]
    counts = BLEU.count(texts)
    return Setting(beam_size, length_penalty, BLEU.bleu(counts.sum(axis=0)), counts)


def test_error_of_a_gain_is_that_of_the_paired_difference() -> None:
    """Settings with the same wrong sentences have no error. If they differ in one sentence of a
    hundred, samples contain it 0, 1, 2 … times, with a standard deviation of 1."""
    assert Baseline(setting(50), BLEU).gain(setting(50)) == (0, 0)
    one = Baseline(setting(1), BLEU).gain(setting(0))
    assert one.value > 0
    assert one.error == pytest.approx(one.value, rel=0.2)
    assert Baseline(setting(0), BLEU).gain(setting(1)).value == -one.value
    others = Baseline(setting(range(50, 60)), BLEU).gain(setting(range(10)))
    assert others.value == 0
    assert others.error > 2 * one.error


def test_gain_within_chance_does_not_win() -> None:
    """Nine more right and eight more wrong are within chance; ten more right are not."""
    now = setting(20)
    chance = setting(range(9, 28), beam_size=8)
    better = setting(10, beam_size=8, length_penalty=1.2)
    assert chance.bleu > now.bleu
    assert Baseline(now, BLEU).winner([now, chance]) is now
    assert Baseline(now, BLEU).winner([chance, now, better]) is better


def test_ties_go_to_the_baseline_then_the_smallest_beam_then_the_first() -> None:
    now = setting(5)
    tried = [setting(3, beam, alpha) for beam in (8, 4) for alpha in (0.6, 0.8, 1.0)]
    assert Baseline(now, BLEU).winner(tried) is tried[3]
    same = [setting(5, 1, 0.0), setting(5), setting(5, 8)]
    assert Baseline(now, BLEU).winner(same) is same[1]


def test_best_of_the_worse_settings_wins_if_the_baseline_is_not_tried() -> None:
    """As if only small beams were tried: the one that loses least wins."""
    now = setting(5)
    tried = [setting(9, beam_size=1), setting(6, beam_size=2)]
    assert Baseline(now, BLEU).winner(tried) is tried[1]
