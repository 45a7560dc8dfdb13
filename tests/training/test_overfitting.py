"""Asked of a few rows of metrics.jsonl: losses go down by a tenth with each interval."""

import json
from pathlib import Path

import pytest

from translator.runs import RunDirectory
from translator.training.checkpoint import Position
from translator.training.overfitting import Overfitting, overfitting

BEST, LAST = 200, 500


def run_of(folder: Path, train: dict[int, float], validation: dict[int, float]) -> RunDirectory:
    run = RunDirectory(folder)
    rows = [("train", step, loss) for step, loss in train.items()]
    rows += [("validation", step, loss) for step, loss in validation.items()]
    lines = [json.dumps({"kind": kind, "step": step, "loss": loss}) for kind, step, loss in rows]
    run.metrics.write_text("".join(f"{line}\n" for line in lines))
    return run


FALLING = {step: 4 - step / 500 for step in range(50, LAST + 1, 50)}
RISING = {100: 3.0, BEST: 2.0, 300: 2.1, 400: 2.2, LAST: 2.3}


def asked(
    folder: Path,
    train: dict[int, float] = FALLING,
    validation: dict[int, float] = RISING,
    stale: int = 3,
) -> Overfitting | None:
    position = Position(step=LAST, best_step=BEST, stale_validations=stale)
    return overfitting(run_of(folder, train, validation), position)


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
