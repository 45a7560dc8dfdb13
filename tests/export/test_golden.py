"""Comparison with golden sentences, by a scorer with fixed results."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from translator.errors import RunError
from translator.export.golden import Golden, compare, load_golden, save_golden
from translator.export.manifest import Comparison

GOLDEN = [
    Golden(["▁a"], ["▁x", "▁y"], False, [-0.1, -0.2, -0.3]),
    Golden(["▁b", "▁c"], ["▁z"], True, [-0.4, -0.5]),
]


class FixedScorer:
    """Log-probabilities differ by `offset`; `other` translates the last sentence, scored `own`."""

    def __init__(
        self, offset: float = 0.0, other: Sequence[str] = ("▁z",), own: Sequence[float] = ()
    ) -> None:
        self.offset, self.other, self.own = offset, list(other), list(own)

    def forced(
        self, sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        known = {tuple(one.greedy): [p + self.offset for p in one.log_probs] for one in GOLDEN}
        return [known.get(tuple(target), self.own) for target in targets]

    def greedy(self, sources: Sequence[Sequence[str]]) -> list[list[str]]:
        return [[*GOLDEN[0].greedy, "▁and", "so", "on"], self.other]


def test_the_same_model_is_exact() -> None:
    comparison = compare(GOLDEN, FixedScorer(offset=5e-5))
    assert comparison == Comparison(pytest.approx(5e-5), pytest.approx(5e-5), 2, [], [])  # type: ignore[arg-type]
    assert comparison.is_exact


def test_a_model_with_other_log_probabilities_is_not_exact() -> None:
    comparison = compare(GOLDEN, FixedScorer(offset=2e-4))
    assert (comparison.same, comparison.is_exact) == (2, False)


@pytest.mark.parametrize(
    ("other", "own", "near_ties"),
    [
        (["▁w"], [-0.39985, -9.0], 1),  # instead of ▁z at -0.4
        (["▁w"], [-0.3997, -9.0], 0),
        (["▁w"], [-9.0, -9.0], 0),
        ([], [-0.39985], 1),  # the end at once
        (["▁z", "▁z"], [-0.4, -0.49985, -9.0], 1),  # instead of the end at -0.5
        (["▁z", "▁z"], [-0.4, -0.4, -9.0], 0),
    ],
)
def test_a_greedy_translation_may_differ_only_after_a_near_tie(
    other: list[str], own: list[float], near_ties: int
) -> None:
    comparison = compare(GOLDEN, FixedScorer(other=other, own=own))
    assert (comparison.same, len(comparison.near_ties)) == (1, near_ties)
    assert comparison.near_ties + comparison.different == [1]
    assert comparison.is_exact == bool(near_ties)


def test_golden_sentences_are_saved_and_loaded(tmp_path: Path) -> None:
    save_golden(tmp_path / "golden.json", GOLDEN)
    assert load_golden(tmp_path / "golden.json") == GOLDEN
    for damaged in ('[{"source": 1}]', "[]", '[[["▁a"], ["▁x"], true, [-0.1]]]'):
        (tmp_path / "golden.json").write_text(damaged)
        with pytest.raises(RunError, match=r"the golden sentences are missing or damaged"):
            load_golden(tmp_path / "golden.json")
    with pytest.raises(RunError, match=r"gone.json: the golden sentences are missing or damaged"):
        load_golden(tmp_path / "gone.json")
