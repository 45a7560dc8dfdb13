"""Rollback, with a train step whose weight is the sum of its learning rates."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from test_trainer import CountingStep, World, steps

from translator.data.batches import Batch
from translator.errors import RunError, Stopped
from translator.training.checkpoint import load_checkpoint
from translator.training.interruption import Interruption
from translator.training.results import (
    Diverged,
    Divergence,
    Failure,
    LossJump,
    StepResult,
    Update,
)
from translator.training.rollback import (
    LOSS_JUMP,
    MAX_ROLLBACKS,
    after_due,
    after_sound_step,
    find_divergence,
    rate_factor,
)
from translator.training.state import KEYS as FILE_KEYS
from translator.training.state import LossWindow, Rollbacks, TrainingState, to_facts

KEYS: dict[str, Any] = {
    "optimizer": {"schedule": "constant", "learning_rate": 1.0, "warmup_steps": 0},
    "validate_every": 1000,
    "save_every": 5,
}


TIMES = [key for key in FILE_KEYS if key.endswith("seconds")]


def faulty(loss: Callable[[int, float], float]) -> CountingStep:
    """A train step with given losses, by step and learning rate. NaN changes no weight."""

    class Faulty(CountingStep):
        def update(self, shards: Sequence[Batch], step: int, rate: float) -> Update:
            self.seen.append((step, int(shards[0].source[0, 0])))
            found = loss(step, rate)
            if math.isfinite(found):
                self.weight += rate
            return Update(found, 2.0)

    return Faulty()


def nan_at(*steps: int, down_to: float = 1.0) -> CountingStep:
    """A train step whose loss is NaN at some steps, while the learning rate is at least this."""
    return faulty(lambda step, rate: math.nan if step in steps and rate >= down_to else 1.0)


def jumping(step: int, rate: float) -> float:
    """A loss that jumps after step 60, and at half the learning rate again after step 150."""
    return 4.0 if (step > 60 and rate == 1) or (step > 150 and rate == 0.5) else 1.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "run")


def failures(results: list[StepResult]) -> list[Failure]:
    return [one.failure for one in results if one.failure is not None]


def checkpoints(world: World) -> list[int]:
    return [int(path.stem[-8:]) for path in world.run.checkpoints()]


def end_of(world: World) -> tuple[float, dict[str, Any]]:
    """Weight and state of the newest checkpoint, without times."""
    found = load_checkpoint(world.run)
    assert found is not None
    return float(found[1]["w"][0]), to_facts(found[0]) | dict.fromkeys(TIMES, 0.0)


class TestFindingADivergence:
    BEFORE = TrainingState(
        step=99,
        losses=LossWindow(lowest_mean=1.5),
        rollbacks=Rollbacks(due_step=90, sound_step=40),
    )

    def after(self, mean: float, step: int = 100) -> TrainingState:
        losses = replace(self.BEFORE.losses, sum=50 * mean, num_steps=50)
        return replace(self.BEFORE, step=step, losses=losses)

    @pytest.mark.parametrize(
        ("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)]
    )
    def test_a_number_that_is_not_finite_leads_to_the_last_due_checkpoint(
        self, loss: float, norm: float
    ) -> None:
        found = find_divergence(self.BEFORE, self.after(1.0), Update(loss, norm))
        assert found == Divergence(back_to=90)

    def test_a_jump_leads_to_the_last_sound_checkpoint(self) -> None:
        mean = 1.5 + LOSS_JUMP + 0.01
        found = find_divergence(self.BEFORE, self.after(mean), Update(9.0, 1.0))
        assert found == Divergence(40, LossJump(1.5, mean))

    def test_a_row_without_a_jump_makes_the_last_due_checkpoint_sound(self) -> None:
        for mean, lowest in ((1.5 + LOSS_JUMP, 1.5), (1.2, 1.2)):
            after = self.after(mean)
            assert find_divergence(self.BEFORE, after, Update(9.0, 1.0)) is None
            found = after_sound_step(after)
            assert (found.losses.lowest_mean, found.rollbacks.sound_step) == (lowest, 90)

    def test_between_rows_any_finite_loss_is_accepted(self) -> None:
        after = self.after(99.0, step=101)
        assert find_divergence(self.BEFORE, after, Update(99.0, 1.0)) is None
        assert after_sound_step(after) == after

    def test_the_first_row_has_nothing_to_jump_from(self) -> None:
        after = TrainingState(step=50, losses=LossWindow(99.0 * 50, 50))
        assert find_divergence(TrainingState(step=49), after, Update(99.0, 1.0)) is None
        assert after_sound_step(after).losses.lowest_mean == 99.0

    @pytest.mark.parametrize(
        ("step", "is_sound", "sound_step"), [(120, False, 40), (150, False, 150), (120, True, 120)]
    )
    def test_a_checkpoint_is_sound_at_once_at_the_end_of_a_row_or_if_it_is_the_best(
        self, step: int, is_sound: bool, sound_step: int
    ) -> None:
        found = after_due(replace(self.BEFORE, step=step), is_sound)
        assert (found.rollbacks.due_step, found.rollbacks.sound_step) == (step, sound_step)

    def test_every_rollback_halves_the_rate(self) -> None:
        states = [TrainingState(rollbacks=Rollbacks(n)) for n in range(4)]
        assert [rate_factor(state) for state in states] == [1, 0.5, 0.25, 0.125]


class TestALossThatIsNotFinite:
    def test_returns_to_the_last_checkpoint_and_halves_the_rate(self, world: World) -> None:
        world.train_step = nan_at(8)
        results = world.finish(**KEYS, max_steps=10)
        assert steps([p for p in results if not p.failure]) == [1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9, 10]
        assert [p.learning_rate for p in results if not p.validation] == [1.0] * 8 + [0.5] * 5
        assert world.train_step.seen == [(n, n + 9) for n in (*range(1, 9), *range(6, 11))]
        assert world.train_step.weight == 5 + 5 * 0.5
        [failure] = failures(results)
        assert math.isnan(failure.update.loss)
        assert failure.update.gradient_norm == 2.0
        assert (failure.step, failure.learning_rate) == (8, 1.0)
        assert failure.gradient_norms == {"w": 8.17}
        assert failure.divergence == Divergence(back_to=5)
        assert failure.shards[0].source[0, 0] == 17

    def test_before_any_checkpoint_returns_to_the_beginning(self, world: World) -> None:
        world.train_step = nan_at(3)
        world.finish(**KEYS, max_steps=4)
        assert world.train_step.weight == 4 * 0.5
        assert checkpoints(world) == [0, 4]
        assert end_of(world)[1]["setbacks"] == 1

    def test_ends_the_run_after_max_rollbacks(self, world: World) -> None:
        world.train_step = nan_at(8, down_to=0.0)
        results = []
        with pytest.raises(Diverged) as caught:
            for result in world.train(**KEYS, max_steps=10):
                results.append(result)
        assert [one.learning_rate for one in failures(results)] == [1.0, 0.5, 0.25]
        assert caught.value.failure.learning_rate == 0.125
        assert [one.divergence.back_to for one in failures(results)] == [5, 0, 5]
        assert len(failures(results)) == MAX_ROLLBACKS
        assert checkpoints(world) == [0, 5]
        assert end_of(world)[1]["setbacks"] == MAX_ROLLBACKS

    def test_caused_before_the_last_checkpoint_returns_to_a_sound_one(self, world: World) -> None:
        class Spoilt(CountingStep):
            def update(self, shards: Sequence[Batch], step: int, rate: float) -> Update:
                self.weight += 1000.0 if step == 53 and rate > 0.3 else rate
                return Update(math.nan if step >= 57 and self.weight > 1000 else 1.0, 2.0)

        world.train_step = Spoilt()
        results = world.finish(**KEYS, max_steps=60)
        assert [one.divergence.back_to for one in failures(results)] == [55, 50]
        assert world.train_step.weight == 50 + 10 * 0.25

    def test_is_announced_to_all_workers(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        messages: list[dict[str, Any]] = []
        monkeypatch.setattr(
            "translator.training.distributed.worker_group.WorkerGroup.send",
            lambda self, **message: messages.append(message),
        )
        world.train_step = nan_at(7)
        world.finish(**KEYS, max_steps=7)
        assert messages[6:10] == [
            {"step": 7, "rate": 1.0},
            {"examine": 7},
            {"back": 5},
            {"step": 6, "rate": 0.5},
        ]

    def test_with_a_damaged_checkpoint_is_a_sentence(self, world: World) -> None:
        world.train_step = nan_at(8)
        session = world.train(**KEYS, max_steps=10)
        list(islice(session, 6))
        world.run.checkpoint(5).write_bytes(b"")
        with pytest.raises(RunError, match="step-00000005"):
            list(session)


class TestALossJump:
    def test_returns_to_a_checkpoint_before_the_jump(self, world: World) -> None:
        world.train_step = faulty(jumping)
        results = world.finish(**KEYS | {"save_every": 30}, max_steps=140)
        [failure] = failures(results)
        assert (failure.step, failure.divergence.back_to, failure.update.loss) == (100, 30, 4.0)
        assert failure.divergence.jump == pytest.approx((1.0, (10 * 1 + 40 * 4) / 50))
        assert world.train_step.weight == 30 + 110 * 0.5
        assert checkpoints(world) == [120, 140]

    def test_returns_to_the_best_validation(self, world: World) -> None:
        world.train_step = faulty(jumping)
        results = world.finish(**KEYS | {"save_every": 30, "validate_every": 56}, max_steps=100)
        [failure] = failures(results)
        assert failure.divergence.back_to == 56

    def test_deletes_later_checkpoints(self, world: World) -> None:
        world.train_step = faulty(jumping)
        session = world.train(**KEYS | {"save_every": 30}, max_steps=140)
        while next(session).failure is None:
            pass
        assert checkpoints(world) == [30, 60, 90]
        next(session)
        assert checkpoints(world) == [30]


@pytest.mark.parametrize("make", [lambda: nan_at(8, 58, 99, down_to=0.5), lambda: faulty(jumping)])
@pytest.mark.parametrize("is_killed", [True, False])
def test_a_run_stopped_anywhere_rolls_back_as_an_uninterrupted_one(
    tmp_path: Path, make: Callable[[], CountingStep], is_killed: bool
) -> None:
    keys = KEYS | {"max_steps": 230, "save_every": 7, "validate_every": 40}
    unbroken, broken = World(tmp_path / "unbroken"), World(tmp_path / "broken")
    unbroken.train_step, broken.train_step = make(), make()
    results = unbroken.finish(**keys)
    assert len(failures(results)) == 2
    for count in (3, 9, 1, 8, 30, 4, 12, 7, 45, 13, 1, 60, 11):
        interruption = Interruption()
        session = broken.train(interruption, **keys)
        if is_killed:
            list(islice(session, count))
        else:
            list(islice(session, count - 1))
            interruption.received = 15
            with pytest.raises(Stopped):
                list(session)
    broken.finish(**keys)
    assert end_of(broken) == end_of(unbroken)
