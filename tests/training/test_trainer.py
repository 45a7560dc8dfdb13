"""The trainer, with a train step whose only weight is n after step n."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from translator.config.schema import TrainingConfig
from translator.data.batches import Batch, pad
from translator.errors import RunError, Stopped
from translator.models.weights import Arrays, load_arrays, load_facts
from translator.runs import RunDirectory
from translator.training.checkpoint import load_checkpoint
from translator.training.distributed.worker_group import WorkerGroup
from translator.training.interruption import Interruption
from translator.training.limits import shares_done, total_steps
from translator.training.results import Score, StepResult, Update, Validation
from translator.training.state import Clock, TrainingState
from translator.training.train_step import TrainStep
from translator.training.trainer import Stopwatch, Trainer

BATCHES_PER_EPOCH = 3
TOKENS = 4


class CountingStep:
    """A train step whose weight is the number of the last step."""

    def __init__(self) -> None:
        self.weight = np.zeros(1, np.float32)
        self.seen: list[tuple[int, int]] = []
        self.loss: Callable[[int], float] = lambda step: 1 / step
        self.during: Callable[[int], None] = lambda step: None

    def update(self, shards: Sequence[Batch], step: int, rate: float) -> Update:
        self.seen.append((step, int(shards[0].source[0, 0])))
        self.weight += 1
        self.during(step)
        return Update(self.loss(step), 1.0)

    def shipped_weights(self) -> Arrays:
        return {"w": self.weight.copy()}

    def state(self) -> Arrays:
        return {"w": self.weight.copy()}

    def gradient_norms(self, shards: Sequence[Batch], step: int) -> dict[str, float]:
        return {"w": step + float(shards[0].source[0, 0]) / 100}


class Session:
    """A session with a counting step."""

    def __init__(self, train_step: CountingStep, last_step: int | None) -> None:
        self.train_step = cast(TrainStep, train_step)
        self.last_step = last_step
        self._step = train_step

    def batches(self, index: int) -> list[Batch]:
        return [pad([np.array([index + 10])], [np.arange(TOKENS - 1) + 4])]

    def restore(self, step: int, arrays: Mapping[str, np.ndarray] | None) -> None:
        self._step.weight = np.zeros(1, np.float32) if arrays is None else arrays["w"].copy()


class World:
    """A run in a folder, and what a session of it needs."""

    def __init__(self, path: Path) -> None:
        self.run = RunDirectory(path)
        self.run.create()
        self.train_step = CountingStep()
        self.bleu: Callable[[float], float] = lambda weight: weight
        self.validated: list[float] = []
        self.validation_seconds = 0.1

    def evaluate(self, weights: Arrays) -> Validation:
        weight = float(weights["w"][0])
        self.validated.append(weight)
        bleu = self.bleu(weight)
        scores = {"bleu": Score("BLEU", bleu, "signature")}
        return Validation(scores, -bleu, bleu, self.validation_seconds, ["text"])

    def train(self, interruption: Interruption | None = None, **keys: Any) -> Iterator[StepResult]:
        """A session: from the newest checkpoint, or the beginning, until it ends."""
        defaults = {
            "validate_every": 2,
            "save_every": 1000,
            "averaging": {"kind": "none"},
            "optimizer": {"schedule": "inverse_sqrt"},
        }
        config = TrainingConfig.model_validate(defaults | keys)
        if self.train_step.seen:
            self.train_step = type(self.train_step)()
        session = Session(self.train_step, total_steps(config, BATCHES_PER_EPOCH))
        state = TrainingState()
        if found := load_checkpoint(self.run):
            state, arrays = found
            session.restore(state.step, arrays)
        return Trainer(
            config,
            self.run,
            session,
            state,
            self.evaluate,
            interruption or Interruption(),
            WorkerGroup(),
        ).loop()

    def finish(self, **keys: Any) -> list[StepResult]:
        return list(self.train(**keys))

    @property
    def shipped(self) -> float:
        return float(load_arrays(self.run.best)[0]["w"][0])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "run")


def scores(table: dict[float, float], others: float) -> Callable[[float], float]:
    """The BLEU of some weights, and that of all others."""
    return lambda weight: table.get(weight, others)


def steps(results: list[StepResult]) -> list[int]:
    return [p.state.step for p in results if p.validation is None]


def validations(results: list[StepResult]) -> list[tuple[int, float, bool]]:
    """Step, BLEU, and whether it is the best."""
    return [
        (p.state.step, p.validation.scores["bleu"].value, p.is_best)
        for p in results
        if p.validation
    ]


class TestLimits:
    def test_steps(self, world: World) -> None:
        assert steps(world.finish(max_steps=5)) == [1, 2, 3, 4, 5]

    def test_epochs(self, world: World) -> None:
        assert steps(world.finish(max_epochs=2)) == [1, 2, 3, 4, 5, 6]

    @pytest.mark.parametrize(("epochs", "limit"), [(1, 3), (9, 4)])
    def test_whichever_comes_first(self, world: World, epochs: int, limit: int) -> None:
        assert len(steps(world.finish(max_epochs=epochs, max_steps=4))) == limit

    def test_minutes(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        seconds = iter(range(0, 1000, 10))
        monkeypatch.setattr(Stopwatch, "read", lambda self: next(seconds))
        results = world.finish(max_minutes=0.75, validate_every=100)
        assert results[-1].state.step == 6  # read at 0, 10, …, 50 s
        assert validations(results) == [(6, 6.0, True)]

    def test_minutes_count_over_all_sessions(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seconds = iter(range(0, 1000, 10))
        monkeypatch.setattr(Stopwatch, "read", lambda self: next(seconds))
        world.finish(max_minutes=0.75, validate_every=100)
        assert world.finish(max_minutes=0.75, validate_every=100) == []

    def test_patience(self, world: World) -> None:
        world.bleu = scores({2: 5.0, 4: 7.0}, others=6.0)
        results = world.finish(patience=2)
        assert validations(results) == [(2, 5, True), (4, 7, True), (6, 6, False), (8, 6, False)]
        assert world.shipped == 4

    def test_patience_starts_over_with_each_best(self, world: World) -> None:
        world.bleu = scores({2: 5.0, 4: 4.0, 6: 6.0}, others=1.0)
        assert [step for step, *_ in validations(world.finish(patience=2))] == [2, 4, 6, 8, 10]

    def test_an_equal_score_is_no_better(self, world: World) -> None:
        world.bleu = lambda weight: 3.0
        assert [best for *_, best in validations(world.finish(max_steps=4))] == [True, False]
        assert world.shipped == 2

    def test_the_last_step_is_always_validated_once(self, world: World) -> None:
        assert [s for s, *_ in validations(world.finish(max_steps=5))] == [2, 4, 5]
        assert world.finish(max_steps=5) == []

    def test_may_be_raised_afterwards(self, world: World) -> None:
        world.finish(max_steps=3)
        assert steps(world.finish(max_steps=5)) == [4, 5]
        assert world.train_step.weight == 5


LINE: dict[str, Any] = {
    "validate_every": 1000,
    "max_minutes": 2.0,
    "optimizer": {"schedule": "linear", "learning_rate": 1.0, "warmup_steps": 1},
}


class TestASchedule:
    """A schedule that ends with a time budget; the clock is read once after each step."""

    def rates(self, result: list[StepResult]) -> list[float]:
        return [one.learning_rate for one in result if one.validation is None]

    def test_falls_to_zero_with_the_time(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Stopwatch, "read", lambda _: 3.0 * float(world.train_step.weight[0]))
        rates = self.rates(world.finish(**LINE))
        assert rates == pytest.approx([1 - step / 40 for step in range(40)])

    def test_follows_the_limit_that_ends_first(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Stopwatch, "read", lambda _: 3.0 * float(world.train_step.weight[0]))
        rates = self.rates(world.finish(**LINE, max_steps=10))
        assert rates == pytest.approx([1 - step / 10 for step in range(10)])

    @pytest.mark.parametrize(
        ("step", "validation", "every"), [(1, 30, 100), (2, 60, 100), (1, 60, 250)]
    )
    def test_ends_with_the_time_however_long_validations_take(
        self,
        world: World,
        monkeypatch: pytest.MonkeyPatch,
        step: float,
        validation: float,
        every: int,
    ) -> None:
        def seconds(_: object) -> float:
            return step * float(world.train_step.weight[0]) + validation * len(world.validated)

        world.validation_seconds = validation
        monkeypatch.setattr(Stopwatch, "read", seconds)
        results = world.finish(
            max_minutes=10.0,
            validate_every=every,
            optimizer=LINE["optimizer"] | {"schedule": "cooldown"},
        )
        rates = self.rates(results)
        assert max(rates) == 1.0
        assert rates[-1] < 0.05
        assert rates == sorted(rates[:1]) + sorted(rates[1:], reverse=True)
        assert rates.count(0.0) <= 1
        assert 600 <= results[-1].state.clock.seconds < 600 + step + validation

    def test_uses_the_clock_of_recorded_steps_only(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seconds = [0.0, 6.0, *(2.0 * n + 20 for n in range(2, 200))]  # after each step
        monkeypatch.setattr(Stopwatch, "read", lambda _: seconds[int(world.train_step.weight[0])])
        rates = self.rates(world.finish(**LINE))
        assert rates[0] == 1.0
        assert rates[1] == pytest.approx(1 - 6 / 120)
        assert rates[2:4] == pytest.approx([1 - 24 / 120, 1 - 24 / 120 * 3 / 2])
        assert rates[4] == pytest.approx(1 - 28 / 120)
        assert rates[32:] == pytest.approx([1 - 84 / 120 * n / 32 for n in range(32, 46)] + [0] * 4)

    def test_is_determined_by_the_recorded_steps(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        random = np.random.default_rng(1)
        keys = LINE | {"save_every": 7}
        result = list(islice(world.train(**keys), 80))
        for _ in range(2):
            done = load_checkpoint(world.run)
            assert done is not None
            result = result[: done[0].step]
            monkeypatch.setattr(time, "monotonic", ticks(random))
            result += islice(world.train(**keys), 90)
        recorded = {p.state.clock.recorded_step: p.state.clock.recorded_seconds for p in result}
        again = World(tmp_path / "again")
        monkeypatch.setattr(
            Stopwatch, "read", lambda _: recorded.get(int(again.train_step.weight[0]), 1.0)
        )
        replayed = list(islice(again.train(**LINE), len(result)))
        assert self.rates(replayed) == self.rates(result)

    def test_after_a_rollback_continues_after_the_lost_time(self) -> None:
        config = TrainingConfig.model_validate({"max_minutes": 10.0})
        lost = TrainingState(clock=Clock(recorded_seconds=120.0, lost=120.0))
        assert shares_done(config, lost, None) == (0.2, 0.2)
        clock = Clock(recorded_step=4, recorded_seconds=160.0, lost=120.0)
        later = TrainingState(step=6, clock=clock)
        assert shares_done(config, later, None) == (0.3, 0.2)


def ticks(random: np.random.Generator) -> Callable[[], float]:
    """A clock that advances by up to a tenth of a second whenever it is read."""
    now = 0.0

    def read() -> float:
        nonlocal now
        now += random.uniform(0, 0.1)
        return now

    return read


class TestBatches:
    def test_come_in_order(self, world: World) -> None:
        world.finish(max_steps=4)
        assert world.train_step.seen == [(1, 10), (2, 11), (3, 12), (4, 13)]

    def test_continue_where_a_run_stopped(self, world: World) -> None:
        list(islice(world.train(max_steps=9, save_every=3), 7))
        world.finish(max_steps=6)
        assert world.train_step.seen[0] == (5, 14)

    def test_are_counted_in_target_pieces(self, world: World) -> None:
        assert world.finish(max_steps=5)[-1].state.target_tokens == 5 * TOKENS


class TestAveraging:
    def finish(self, world: World, kind: str, **keys: Any) -> list[StepResult]:
        averaging = {"kind": kind} | {k: keys.pop(k) for k in ("count",) if k in keys}
        return world.finish(max_steps=6, averaging=averaging, **keys)

    @pytest.mark.parametrize("kind", ["none", "ema"])
    def test_none_and_ema_ship_the_weights_of_the_train_step(self, world: World, kind: str) -> None:
        self.finish(world, kind)
        assert world.validated == [2, 4, 6]
        assert world.shipped == 6

    def test_last_validates_and_ships_the_mean_of_the_last(self, world: World) -> None:
        self.finish(world, "last", count=2)
        assert world.validated == [2, 3, 5]
        assert world.shipped == 5

    def test_best_tries_the_mean_of_the_best_at_the_end(self, world: World) -> None:
        world.bleu = scores({2: 8.0, 4: 1.0, 6: 7.0}, others=9.0)
        results = self.finish(world, "best", count=2)
        assert world.validated == [2, 4, 6, 4]
        assert validations(results)[-1] == (6, 1.0, False)
        assert world.shipped == 2

    def test_best_ships_the_mean_if_it_is_better(self, world: World) -> None:
        world.bleu = scores({2: 8.0, 4: 7.0, 6: 1.0}, others=9.0)
        results = self.finish(world, "best", count=2)
        assert validations(results)[-1] == (6, 9.0, True)
        assert world.shipped == 3

    @pytest.mark.parametrize("kind", ["last", "best"])
    def test_is_the_same_in_many_sessions(self, world: World, tmp_path: Path, kind: str) -> None:
        keys: dict[str, Any] = {"max_steps": 8, "averaging": {"kind": kind, "count": 3}}
        keys["save_every"] = 3
        unbroken = World(tmp_path / "unbroken")
        for each in (world, unbroken):
            each.bleu = lambda weight: 9 - (weight - 5) ** 2
        results = unbroken.finish(**keys)
        for count in (1, 3, 4, 2, 5, 1, 4):
            list(islice(world.train(**keys), count))
        world.finish(**keys)
        assert world.shipped == unbroken.shipped
        _, expected = load_arrays(unbroken.run.best)
        assert load_arrays(world.run.best)[1] == expected
        assert validations(results)[-1][0] == 8

    def test_tuned_settings_are_deleted_with_the_weights_they_were_tuned_for(
        self, world: World
    ) -> None:
        tuned = [world.run.tuned, world.run.averaged]
        world.bleu = scores({4.0: 30.0, 8.0: 40.0}, 20.0)
        for last_step, is_deleted in ((4, True), (6, False), (8, True)):
            for path in tuned:
                path.write_text("")
            world.finish(max_steps=last_step)
            assert [path.exists() for path in tuned] == [not is_deleted] * 2

    @pytest.mark.parametrize("kind", ["last", "ema", "none"])
    def test_keeps_no_more_files_than_it_needs(self, world: World, kind: str) -> None:
        world.finish(max_steps=20, averaging={"kind": kind, "count": 2})
        assert [p.name for p in world.run.checkpoints()] == [
            "step-00000018.safetensors",
            "step-00000020.safetensors",
        ]
        kept = [load_facts(path)["step"] for path in world.run.snapshots()]
        assert kept == [16, 18, 20]  # what the two checkpoints need


class TestSaving:
    def test_is_done_at_every_validation_and_in_between(self, world: World) -> None:
        saved = {}
        for result in world.train(max_steps=9, validate_every=4, save_every=3):
            if result.validation is None:
                saved[result.state.step] = [int(p.stem[-8:]) for p in world.run.checkpoints()]
        assert {step: found[-1:] for step, found in saved.items()} == {
            **{1: [], 2: [], 3: []},
            **{4: [3], 5: [4], 6: [4]},
            **{7: [6], 8: [6], 9: [8]},
        }
        assert world.run.checkpoints()[-1] == world.run.checkpoint(9)

    def test_yields_a_validation_again_if_it_was_not_saved(self, world: World) -> None:
        """A session that is killed when it gets a validation repeats it when it resumes."""
        results: list[StepResult] = []
        session = world.train(max_steps=4)
        while not (result := next(session)).validation:
            results.append(result)
        results += world.finish(max_steps=4)
        assert [step for step, *_ in validations(results)] == [2, 4]

    def test_names_a_file_that_cannot_be_written(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: int) -> None:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(RunError) as caught:
            world.finish(max_steps=2)
        assert str(caught.value) == (
            f"{world.run.snapshot(2)}: cannot be written: No space left on device. What was saved "
            "before is untouched; fix this and run the same command again."
        )
        assert list(world.run.path.rglob("*.unfinished")) == []


class TestASignal:
    @pytest.fixture
    def interruption(self) -> Iterator[Interruption]:
        with Interruption() as interruption:
            yield interruption

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_in_a_step_lets_it_finish_and_saves(
        self, world: World, interruption: Interruption, number: int
    ) -> None:
        world.train_step.during = lambda step: os.kill(os.getpid(), number) if step == 3 else None
        with pytest.raises(Stopped) as caught:
            list(world.train(interruption, max_steps=9))
        assert caught.value.signal_number == number
        found = load_checkpoint(world.run)
        assert found is not None
        assert (found[0].step, float(found[1]["w"][0])) == (3, 3.0)

    def test_in_a_validation_ends_it_at_once(
        self, world: World, interruption: Interruption
    ) -> None:
        def interrupted(weight: float) -> float:
            if weight == 4:
                os.kill(os.getpid(), signal.SIGINT)
            return weight

        world.bleu = interrupted
        with pytest.raises(Stopped):
            list(world.train(interruption, max_steps=6))
        found = load_checkpoint(world.run)
        assert found is not None
        assert (found[0].step, found[0].validations.last_step) == (4, 2)
        assert world.shipped == 2

    def test_changes_no_result(
        self, world: World, interruption: Interruption, tmp_path: Path
    ) -> None:
        unbroken = World(tmp_path / "unbroken")
        expected = unbroken.finish(max_steps=7)
        world.train_step.during = lambda step: (
            os.kill(os.getpid(), signal.SIGTERM) if step == 4 else None
        )
        results: list[StepResult] = []
        with pytest.raises(Stopped):
            for result in world.train(interruption, max_steps=7):
                results.append(result)
        results += world.finish(max_steps=7)
        assert steps(results) == steps(expected)
        assert validations(results) == validations(expected)
        assert world.train_step.weight == unbroken.train_step.weight

    def test_a_second_one_in_a_step_saves_no_half_of_the_step(
        self, world: World, interruption: Interruption
    ) -> None:
        """The second signal interrupts the step at once; an incomplete step must not be saved."""

        def twice(step: int) -> None:
            if step == 4:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)

        world.train_step.during = twice
        with pytest.raises(Stopped):
            list(world.train(interruption, max_steps=9, save_every=2, validate_every=9))
        found = load_checkpoint(world.run)
        assert found is not None
        assert found[1]["w"] == found[0].step

    @pytest.mark.parametrize(("before", "taken"), [(signal.SIG_DFL, True), (signal.SIG_IGN, False)])
    def test_handles_a_closed_terminal_unless_under_nohup(
        self, before: signal.Handlers, taken: bool
    ) -> None:
        outer = signal.signal(signal.SIGHUP, before)
        try:
            with Interruption() as interruption:
                assert (signal.getsignal(signal.SIGHUP) == interruption._handle) == taken
            assert signal.getsignal(signal.SIGHUP) == before
        finally:
            signal.signal(signal.SIGHUP, outer)

    def test_is_handled_only_during_training(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        with Interruption():
            assert signal.getsignal(signal.SIGTERM) != before
        assert signal.getsignal(signal.SIGTERM) == before

    def test_before_training_stops_at_once(self, interruption: Interruption) -> None:
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGTERM)
