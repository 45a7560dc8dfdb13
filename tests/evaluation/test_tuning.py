"""The best beam and length penalty."""

import math

import numpy as np
import pytest

from translator.decoding.engine import Translation
from translator.evaluation.tuning import Setting, best, is_better, settings, winner

SHORT = Translation("short", math.log(0.30), length=1)
LONG = Translation("a long one", math.log(0.25), length=7)
GREEDY = Translation("greedy", math.log(0.2), length=2)


def test_the_penalty_decides_what_is_best_in_a_beam() -> None:
    """At length 7 the penalty of α = 1 is 2, so the long one has half its log-probability."""
    assert best([SHORT, LONG], np.ones(8, np.float32)) == "short"
    assert best([SHORT, LONG], np.array([1] * 7 + [2], np.float32)) == "a long one"
    assert best([LONG, LONG._replace(text="later")], np.ones(8, np.float32)) == "a long one"


def test_every_beam_is_tried_with_every_penalty() -> None:
    scores: dict[tuple[str, ...], float] = {
        ("greedy",): 10.0,
        ("short",): 20.0,
        ("a long one",): 30.0,
    }
    asked = []

    def bleu(texts: tuple[str, ...]) -> float:
        asked.append(texts)
        return scores[texts]

    found = settings({1: [[GREEDY]], 2: [[SHORT, LONG]]}, [0.0, 1.0, 2.0], bleu, "gnmt")
    assert found == [
        *(Setting(1, alpha, 10.0) for alpha in (0.0, 1.0, 2.0)),
        *(Setting(2, 0.0, 20.0), Setting(2, 1.0, 30.0), Setting(2, 2.0, 30.0)),
    ]
    assert len(asked) == 3  # what was chosen before is not scored again


def test_the_kind_of_the_penalty_counts() -> None:
    """At lengths 1 and 7 the penalties of α = 0.1 are 1 and 7^0.1 = 1.21 by the length itself, 1
    and 1.07 by GNMT's; the log-probabilities are -1.20 and -1.39."""
    beams = {2: [[SHORT, LONG]]}
    found = {
        kind: settings(beams, [0.1], lambda texts: float(texts == ("a long one",)), kind)[0].bleu
        for kind in ("gnmt", "power")
    }
    assert found == {"gnmt": 0, "power": 1}


@pytest.mark.parametrize("first", [0, 1, 2])
def test_of_equally_good_ones_the_cheapest_wins(first: int) -> None:
    tried = [Setting(4, 0.0, 20.0), Setting(2, 1.0, 20.0), Setting(2, 0.5, 20.0)]
    tried = tried[first:] + tried[:first]
    assert winner(tried) == Setting(2, 0.5, 20.0)
    assert winner([*tried, Setting(8, 2.0, 20.05)]) == Setting(2, 0.5, 20.0)  # that may be chance
    assert winner([*tried, Setting(8, 2.0, 20.2)]) == Setting(8, 2.0, 20.2)


@pytest.mark.parametrize(
    "scores",
    [[20.0, 20.9, 20.0, 20.0, 20.5, 20.6, 20.5, 20.0], [20.9, 20.0, 20.0, 20.5, 20.6, 20.5, 20.0]],
    ids=["inside", "first"],
)
@pytest.mark.parametrize("turned", [False, True])
def test_what_stands_out_alone_does_not_win(scores: list[float], turned: bool) -> None:
    row = scores[::-1] if turned else scores
    tried = [Setting(4, float(alpha), bleu) for alpha, bleu in enumerate(row)]
    assert winner(tried).bleu == winner(tried[::-1]).bleu == 20.6
    assert winner([*tried, Setting(5, 0.0, 20.8)]) == Setting(5, 0.0, 20.8)


def test_the_end_of_a_row_wins_only_where_it_rises_steeply() -> None:
    """Of the last, the mean is that of 20.1, 20.2 and 20.1 again."""
    tried = [Setting(4, alpha, 20 + alpha / 10) for alpha in (0.0, 1.0, 2.0)]
    assert winner(tried).length_penalty == 1.0
    steeper = [Setting(4, alpha, 20 + alpha) for alpha in (0.0, 1.0, 2.0)]
    assert winner(steeper).length_penalty == 2.0


def test_better_is_what_is_so_at_its_best() -> None:
    """The winners have 40.0 and 40.11, and the best of either 40.09 and 40.11."""

    def row(*scores: float) -> list[Setting]:
        return [Setting(4, float(alpha), bleu) for alpha, bleu in enumerate(scores)]

    one, other = (
        row(40.0, 40.0, 40.0, 40.09, 40.09, 40.09),
        row(39.9, 39.9, 39.9, 40.11, 40.11, 40.11),
    )
    assert winner(other).bleu - winner(one).bleu > 0.1
    assert not is_better(other, one)
    assert is_better(row(40.2, 40.2), one)
