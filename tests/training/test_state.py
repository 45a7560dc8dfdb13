"""Where a run stands, and what a checkpoint holds of it."""

import json

import pytest

from translator.training.state import (
    KEYS,
    Clock,
    LossWindow,
    Rollbacks,
    Snapshot,
    TrainingState,
    Validations,
    from_facts,
    to_facts,
)

STATE = TrainingState(
    step=9,
    target_tokens=70,
    clock=Clock(seconds=2.5, lost=0.5, recorded_step=8, recorded_seconds=2.25),
    losses=LossWindow(sum=6.0, num_steps=3, lowest_mean=1.5),
    validations=Validations(
        last_step=9,
        best_step=6,
        best_score=30.0,
        num_stale=1,
        averaged_step=9,
        kept=(Snapshot(6, 30.0), Snapshot(9, 29.0)),
    ),
    rollbacks=Rollbacks(count=1, due_step=8, sound_step=4),
)


def test_a_state_survives_the_file_of_a_checkpoint() -> None:
    facts = json.loads(json.dumps(to_facts(STATE)))
    assert facts.keys() == KEYS.keys()
    assert (facts["setbacks"], facts["stale_validations"]) == (1, 1)
    assert from_facts(facts) == STATE


def test_facts_with_other_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="not the keys of a checkpoint"):
        from_facts(to_facts(STATE) | {"more": 1})


def test_without_its_best_weights_a_run_validates_and_averages_again() -> None:
    validations = STATE.forget_best().validations
    assert validations.best_score is None
    assert (validations.last_step, validations.averaged_step) == (8, 8)
