"""Scorer of a few rows of metrics.jsonl: losses go down by a tenth with each interval."""

import json
from pathlib import Path

import pytest

from translator.runs import RunDirectory
from translator.training.checkpoint import TrainingState
from translator.training.plateau import Overfitting, Unrelated, find_plateau

BEST, LAST = 200, 500


def run_of(
    folder: Path, train: dict[int, float], validation: dict[int, float], bleu: float = 10.0
) -> RunDirectory:
    run = RunDirectory(folder)
    rows = [{"kind": "train", "step": step, "loss": loss} for step, loss in train.items()]
    rows += [
        {"kind": "validation", "step": step, "loss": loss, "bleu": bleu}
        for step, loss in validation.items()
    ]
    run.metrics.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return run


FALLING = {step: 4 - step / 500 for step in range(50, LAST + 1, 50)}
RISING = {100: 3.0, BEST: 2.0, 300: 2.1, 400: 2.2, LAST: 2.3}


def asked(
    folder: Path,
    train: dict[int, float] = FALLING,
    validation: dict[int, float] = RISING,
    stale: int = 3,
) -> Overfitting | None:
    position = TrainingState(step=LAST, best_step=BEST, stale_validations=stale)
    found = find_plateau(run_of(folder, train, validation), position)
    assert not isinstance(found, Unrelated)
    return found


def test_is_a_validation_that_stands_still_while_the_training_loss_falls(tmp_path: Path) -> None:
    found = asked(tmp_path)
    assert found is not None
    assert found[:2] == (BEST, 3)
    assert found[2:] == pytest.approx((3.65, 3.05))  # steps 150 and 200, steps 450 and 500
    assert str(found).startswith(
        "for 3 validations none was better than that of step 200, while the training loss fell "
        "from 3.650 to 3.050: "
    )


@pytest.mark.parametrize(("stale", "is_asked"), [(0, 0), (1, 0), (2, 0), (4, 0), (5, 0), (6, 1)])
def test_is_asked_at_every_third_validation(tmp_path: Path, stale: int, is_asked: int) -> None:
    assert (asked(tmp_path, stale=stale) is not None) == is_asked


def test_is_none_when_the_training_loss_stands_still_too(tmp_path: Path) -> None:
    train = {step: 3 - step / 10_000 for step in FALLING}
    assert asked(tmp_path, train=train) is None


def test_is_none_when_the_validation_loss_still_falls(tmp_path: Path) -> None:
    assert asked(tmp_path, validation=RISING | {LAST: 1.99}) is None


@pytest.mark.parametrize("steps", [range(250, 501, 50), range(50, 201, 50)])
def test_is_none_when_there_are_no_losses_to_compare(tmp_path: Path, steps: range) -> None:
    assert asked(tmp_path, train={step: FALLING[step] for step in steps}) is None


def test_is_none_when_the_best_is_not_recorded(tmp_path: Path) -> None:
    assert asked(tmp_path, validation={LAST: 9.0}) is None


@pytest.mark.parametrize(
    ("bleu", "step", "validations", "is_told"),
    [
        (0.9, 3000, [1000, 2000, 3000], True),
        (1.0, 3000, [1000, 2000, 3000], False),  # something was learnt
        (0.0, 1999, [500, 1000, 1999], False),  # it is early
        (0.0, 3000, [1000, 3000], False),  # told of with every third validation
    ],
)
def test_is_a_bleu_of_next_to_nothing_that_stays(
    tmp_path: Path, bleu: float, step: int, validations: list[int], is_told: bool
) -> None:
    losses = {at: 8.0 - at / 1000 for at in validations}
    run = run_of(tmp_path, losses, losses, bleu)
    found = find_plateau(run, TrainingState(step=step, best_step=step))
    assert (found is not None) == is_told
    if found is not None:
        assert str(found).startswith(
            "after 3,000 steps BLEU is still below 1, while the training loss fell from 7.000 to "
            "5.000: "
        )


def test_is_none_when_nothing_is_learnt_at_all(tmp_path: Path) -> None:
    losses = dict.fromkeys([1000, 2000, 3000], 7.0)
    run = run_of(tmp_path, losses, losses, 0.0)
    assert find_plateau(run, TrainingState(step=3000, best_step=1000)) is None
