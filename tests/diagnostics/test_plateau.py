"""Plateaus in rows of metrics.jsonl. The training loss falls by a tenth in each interval."""

from typing import Any

import pytest

from translator.diagnostics.plateau import Overfitting, Unrelated, find_plateau

BEST, LAST = 200, 500


def rows_of(
    train: dict[int, float], validation: dict[int, float], bleu: float = 10.0
) -> list[dict[str, Any]]:
    """Rows with these losses by step."""
    rows: list[dict[str, Any]] = [
        {"kind": "train", "step": step, "loss": loss} for step, loss in train.items()
    ]
    return rows + [
        {"kind": "validation", "step": step, "loss": loss, "bleu": bleu}
        for step, loss in validation.items()
    ]


FALLING = {step: 4 - step / 500 for step in range(50, LAST + 1, 50)}
RISING = {100: 3.0, BEST: 2.0, 300: 2.1, 400: 2.2, LAST: 2.3}


def overfitting(
    train: dict[int, float] = FALLING, validation: dict[int, float] = RISING, num_stale: int = 3
) -> Overfitting | None:
    found = find_plateau(rows_of(train, validation), LAST, BEST, num_stale)
    assert not isinstance(found, Unrelated)
    return found


def test_stale_validations_with_falling_training_loss_are_overfitting() -> None:
    found = overfitting()
    assert found is not None
    assert found[:2] == (BEST, 3)
    assert found[2:] == pytest.approx((3.65, 3.05))  # steps 150 and 200, steps 450 and 500
    assert str(found).startswith(
        "The last 3 validations were no better than that of step 200, while the training loss fell "
        "from 3.650 to 3.050: "
    )


@pytest.mark.parametrize(
    ("num_stale", "is_found"), [(0, 0), (1, 0), (2, 0), (4, 0), (5, 0), (6, 1)]
)
def test_overfitting_is_looked_for_at_every_third_stale_validation(
    num_stale: int, is_found: int
) -> None:
    assert (overfitting(num_stale=num_stale) is not None) == is_found


def test_no_overfitting_if_the_training_loss_is_flat_too() -> None:
    assert overfitting(train={step: 3 - step / 10_000 for step in FALLING}) is None


def test_no_overfitting_if_the_validation_loss_still_falls() -> None:
    assert overfitting(validation=RISING | {LAST: 1.99}) is None


@pytest.mark.parametrize("steps", [range(250, 501, 50), range(50, 201, 50)])
def test_no_overfitting_without_losses_to_compare(steps: range) -> None:
    assert overfitting(train={step: FALLING[step] for step in steps}) is None


def test_no_overfitting_if_the_best_validation_has_no_row() -> None:
    assert overfitting(validation={LAST: 9.0}) is None


@pytest.mark.parametrize(
    ("bleu", "step", "validations", "is_found"),
    [
        (0.9, 3000, [1000, 2000, 3000], True),
        (1.0, 3000, [1000, 2000, 3000], False),  # something was learnt
        (0.0, 1999, [500, 1000, 1999], False),  # it is early
        (0.0, 3000, [1000, 3000], False),  # reported at every third validation
    ],
)
def test_bleu_that_stays_near_zero_means_unrelated_lines(
    bleu: float, step: int, validations: list[int], is_found: bool
) -> None:
    losses = {at: 8.0 - at / 1000 for at in validations}
    found = find_plateau(rows_of(losses, losses, bleu), step, best_step=step, num_stale=0)
    assert (found is not None) == is_found
    if found is not None:
        assert str(found).startswith(
            "BLEU is still below 1 after 3,000 steps, while the training loss fell from 7.000 to "
            "5.000. "
        )


def test_lines_are_not_called_unrelated_if_nothing_is_learnt() -> None:
    losses = dict.fromkeys([1000, 2000, 3000], 7.0)
    assert find_plateau(rows_of(losses, losses, 0.0), 3000, best_step=1000, num_stale=2) is None
