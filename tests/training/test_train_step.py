"""What a training step changes. It depends only on state, batch, seed and step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import MakeModel

from translator.config.schema import TrainingConfig
from translator.data.batches import Batch, pad
from translator.errors import OutOfMemory, RunError
from translator.layers.dropout import fold_in
from translator.models.weights import Arrays, model_weights
from translator.training import train_step as module
from translator.training.dry_run import dry_run
from translator.training.loss import chunked_cross_entropy, cross_entropy
from translator.training.train_step import TrainStep

PAIRS = [
    ([4, 5, 6], [7, 8]),
    ([9], [10, 4, 5, 6]),
    ([6, 7], [8]),
    ([10, 9, 8, 7], [6, 5, 4]),
    ([5], [5]),
    ([8, 4], [9, 9, 10]),
]
DROPOUT = {
    "dropout_rate": 0.3,
    "attention_dropout_rate": 0.3,
    "embedding_dropout_rate": 0.3,
}
NONE = {"kind": "none"}
EMA = {"kind": "ema", "decay": 0.1}
FIXED: dict[str, object] = {
    "max_steps": 10,
    "accumulation_steps": 1,
    "optimizer": {"epsilon": 1e-3},
    "averaging": NONE,
}
R_DROPS = pytest.mark.parametrize("r_drop", [0.0, 5.0])


def batch_of(*rows: int) -> Batch:
    sources, targets = zip(*(PAIRS[row] for row in rows), strict=True)
    return pad(sources, targets)


BATCHES = [batch_of(0, 1, 2), batch_of(3), batch_of(4, 5), batch_of(1, 3)]


MakeTrainStep = Callable[..., TrainStep]


@pytest.fixture(scope="module")
def traced() -> dict[object, tuple[TrainStep, Arrays]]:
    """Train steps with their first state. Tests share them, because tracing takes a second."""
    return {}


@pytest.fixture
def make_train_step(
    make_model: MakeModel, traced: dict[object, tuple[TrainStep, Arrays]]
) -> MakeTrainStep:
    """Make a train step with a model of one layer, in its first state.

    `changes` are keys of training.
    """

    def make(
        dtype: str = "float32", model_seed: int = 1, dropout: bool = False, **changes: object
    ) -> TrainStep:
        changes = {key: value for key, value in changes.items() if value}  # 0 is every default
        key = (dtype, model_seed, dropout, str(changes))
        if key not in traced:
            config = TrainingConfig.model_validate(FIXED | changes)
            rates = DROPOUT if dropout else {}
            train_step = TrainStep(
                make_model(dtype=dtype, seed=model_seed, num_layers=1, **rates), config
            )
            traced[key] = (train_step, train_step.state())
        train_step, first_state = traced[key]
        train_step.restore(first_state, "the first state")
        return train_step

    return make


@pytest.fixture
def eagerly() -> Iterator[None]:
    """Run without tracing, which is faster for a few updates."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def learn(train_step: TrainStep, *steps: int) -> Arrays:
    for step in steps:
        train_step.update([BATCHES[step % 4]], step, 0.01)
    return train_step.state()


def assert_same_bits(one: Arrays, other: Arrays) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].tobytes() == other[name].tobytes(), name


class TestUpdate:
    @R_DROPS
    def test_returns_the_mean_smoothed_loss_per_token_without_padding(
        self, make_train_step: MakeTrainStep, r_drop: float
    ) -> None:
        train_step, batch = make_train_step(r_drop=r_drop), BATCHES[0]
        states, real = train_step.model(batch.source, batch.target), batch.labels != 0
        table = train_step.model.output_table.value
        expected = cross_entropy(states[real], table, batch.labels[real], 0.1) / real.sum()
        assert train_step.update([batch], 1, 0.01).loss == pytest.approx(float(expected), rel=1e-5)

    def test_does_not_depend_on_padding(self, make_train_step: MakeTrainStep) -> None:
        padded = Batch(*(np.pad(ids, [(0, 0), (0, 3)]) for ids in BATCHES[0]))
        results = []
        for batch in (BATCHES[0], padded):
            train_step = make_train_step()
            results.append((train_step.update([batch], 1, 0.01), train_step.state()))
        (one, state), (other, other_state) = results
        assert one == pytest.approx(other, rel=1e-5)
        for name in state:
            np.testing.assert_allclose(state[name], other_state[name], atol=1e-6)

    def test_learns_a_batch_by_heart(self, make_train_step: MakeTrainStep) -> None:
        train_step = make_train_step()
        losses = [train_step.update([BATCHES[0]], step, 0.01).loss for step in range(1, 101)]
        # The best prediction is 0.1 / 11 for each piece, and the rest for the label.
        each, itself = 0.1 / 11, 0.9 + 0.1 / 11
        floor = -itself * np.log(itself) - 10 * each * np.log(each)
        assert floor < losses[-1] < floor + 0.05 < 2 < losses[0]

    def test_is_traced_once_for_batches_of_any_size(
        self, make_train_step: MakeTrainStep, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        train_step = make_train_step(accumulation_steps=3, model_seed=3)
        calls = []

        def counted(*arguments: Any) -> tf.Tensor:
            calls.append(arguments)
            return chunked_cross_entropy(*arguments)

        monkeypatch.setattr(module, "chunked_cross_entropy", counted)
        for step, shards in enumerate([BATCHES[:2], BATCHES[2:], BATCHES[3:], BATCHES[:3]], 1):
            train_step.update(shards, step, 0.01 * step)
        assert len(calls) == 1

    @pytest.mark.parametrize(
        "dtype, r_drop", [("float32", 0.0), ("mixed_bfloat16", 0.0), ("mixed_bfloat16", 5.0)]
    )
    def test_repeats_to_the_bit_with_dropout(
        self, make_train_step: MakeTrainStep, dtype: str, r_drop: float
    ) -> None:
        once, again = (
            learn(make_train_step(dtype, dropout=True, averaging=EMA, r_drop=r_drop), 1, 2, 3, 4)
            for _ in range(2)
        )
        assert_same_bits(once, again)

    def test_in_bfloat16_is_near_that_in_float32(self, make_train_step: MakeTrainStep) -> None:
        low, full = (
            make_train_step(dtype, dropout=True, averaging=EMA).update([BATCHES[0]], 1, 0.01)
            for dtype in ("mixed_bfloat16", "float32")
        )
        assert low == pytest.approx(full, rel=0.05)
        assert low != full

    def test_draws_other_dropout_at_every_step(self, make_train_step: MakeTrainStep) -> None:
        losses = {
            make_train_step(dropout=True, averaging=EMA).update([BATCHES[0]], step, 0.01).loss
            for step in (1, 2, 3)
        }
        assert len(losses) == 3

    @pytest.mark.usefixtures("eagerly")
    def test_draws_dropout_by_the_seed_of_training(self, make_train_step: MakeTrainStep) -> None:
        one, other = (make_train_step(dropout=True, seed=seed) for seed in (1, 2))
        losses = [train_step.update([BATCHES[0]], 1, 0.01).loss for train_step in (one, other)]
        assert losses[0] != pytest.approx(losses[1], rel=1e-3)

    @pytest.mark.usefixtures("eagerly")
    def test_draws_other_dropout_in_every_shard(self, make_train_step: MakeTrainStep) -> None:
        train_step = make_train_step(dropout=True, accumulation_steps=2)
        alone = train_step.update([BATCHES[0]], 1, 0.0)
        twice = train_step.update([BATCHES[0], BATCHES[0]], 1, 0.0)
        assert twice.loss != pytest.approx(alone.loss, rel=1e-3)

    @pytest.mark.parametrize("clip_norm", [1.0, None])
    def test_with_a_gradient_of_nan_changes_nothing(
        self, make_train_step: MakeTrainStep, clip_norm: float | None
    ) -> None:
        train_step = make_train_step(optimizer={"epsilon": 1e-3, "clip_norm": clip_norm})
        before = learn(train_step, 1)
        before["weights/decoder_norm/scale"][0] = np.nan
        train_step.restore(before, "a checkpoint")
        update = train_step.update([BATCHES[0]], 2, 0.01)
        assert np.isnan([update.loss, update.gradient_norm]).all()
        assert_same_bits(train_step.state(), before)

    @pytest.mark.usefixtures("eagerly")
    def test_returns_nan_for_an_impossibly_low_loss(
        self, make_train_step: MakeTrainStep, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def beyond_float32(*arguments: tf.Tensor) -> tf.Tensor:
            return cross_entropy(*arguments) - 1e3

        monkeypatch.setattr(module, "chunked_cross_entropy", beyond_float32)
        update = make_train_step(model_seed=2).update([BATCHES[0]], 1, 0.01)
        assert np.isnan(update.loss) and np.isfinite(update.gradient_norm)


class TestGradientNorms:
    @pytest.mark.parametrize("num_shards", [1, 3])
    def test_are_those_of_the_next_update_and_change_nothing(
        self, make_train_step: MakeTrainStep, num_shards: int
    ) -> None:
        keys = {"dropout": True} | ({"accumulation_steps": 3} if num_shards > 1 else {})
        train_step, shards = make_train_step(**keys), BATCHES[:num_shards]
        before = learn(train_step, 1)
        norms = train_step.gradient_norms(shards, 2)
        assert_same_bits(train_step.state(), before)
        assert norms.keys() == model_weights(train_step.model).keys()
        update = train_step.update(shards, 2, 0.01)
        assert np.sqrt(sum(norm**2 for norm in norms.values())) == pytest.approx(
            update.gradient_norm, rel=1e-5
        )
        after = train_step.state()
        train_step.restore(before, "a checkpoint")
        assert train_step.update(shards, 2, 0.01) == update
        assert_same_bits(train_step.state(), after)

    def test_show_where_a_gradient_is_not_finite(self, make_train_step: MakeTrainStep) -> None:
        train_step = make_train_step()
        state = train_step.state()
        state["weights/encoder_0/feed_forward/inner/bias"][0] = np.inf
        train_step.restore(state, "a checkpoint")
        assert not np.isfinite(list(train_step.gradient_norms([BATCHES[0]], 1).values())).all()


class TestRDrop:
    def test_without_dropout_equals_plain_cross_entropy(
        self, make_train_step: MakeTrainStep
    ) -> None:
        plain, twice = make_train_step(), make_train_step(r_drop=5.0)
        for step in (1, 2, 3):
            one, other = (
                train_step.update([BATCHES[0]], step, 0.01) for train_step in (plain, twice)
            )
            assert other == pytest.approx(one, rel=1e-5)
        state = twice.state()
        for name, array in plain.state().items():
            np.testing.assert_allclose(state[name], array, atol=1e-6, err_msg=name)

    @pytest.mark.usefixtures("eagerly")
    def test_pulls_two_passes_with_dropout_together(self, make_train_step: MakeTrainStep) -> None:
        weak, strong = (
            make_train_step(dropout=True, r_drop=alpha).update([BATCHES[0]], 1, 0.0)
            for alpha in (1e-3, 100.0)
        )
        assert strong.loss == pytest.approx(weak.loss, rel=1e-4)
        assert strong.gradient_norm > 10 * weak.gradient_norm


class TestSeeds:
    """The seeds of a step's dropout. Changing them would break the resume of old runs."""

    def test_of_the_shards_count_from_step_times_two_to_the_twentieth(
        self, make_train_step: MakeTrainStep
    ) -> None:
        train_step = make_train_step(dropout=True, accumulation_steps=3, seed=5)
        shards = [batch_of(0, 1), batch_of(2), batch_of(3, 4)]
        losses = [
            self.loss(train_step, shard, tf.constant([5, 7 * 2**20 + i], tf.int64))
            for i, shard in enumerate(shards)
        ]
        num_tokens = sum(shard.num_target_tokens for shard in shards)
        loss = train_step.update(shards, 7, 0.0).loss
        assert loss == pytest.approx(sum(losses) / num_tokens, rel=1e-5)

    def test_of_r_drops_passes_are_folded_in_0_and_1(self, make_train_step: MakeTrainStep) -> None:
        train_step = make_train_step(dropout=True, r_drop=1.0, seed=5)
        shard = batch_of(0, 1, 2)
        seed = tf.constant([5, 7 * 2**20], tf.int64)
        losses = [self.loss(train_step, shard, fold_in(seed, i)) for i in (0, 1)]
        loss = train_step.update([shard], 7, 0.0).loss
        assert loss == pytest.approx(sum(losses) / 2 / shard.num_target_tokens, rel=1e-5)

    def loss(self, train_step: TrainStep, shard: Batch, seed: tf.Tensor | None) -> float:
        """The loss of all tokens, by the plain formula."""
        model, real = train_step.model, shard.labels != 0
        states = tf.boolean_mask(model(shard.source, shard.target, seed=seed), real)
        return float(cross_entropy(states, model.output_table.value, shard.labels[real], 0.1))


class TestAccumulation:
    @pytest.mark.parametrize(
        "shards, r_drop",
        [
            ([(0,), (1, 2), (3, 4, 5)], 0.0),
            ([(0, 1, 2, 3, 4), (5,)], 0.0),
            ([(0, 1, 2, 3, 4), (5,)], 5.0),
        ],
    )
    def test_over_shards_equals_one_batch(
        self, make_train_step: MakeTrainStep, shards: list[tuple[int, ...]], r_drop: float
    ) -> None:
        whole, parts = (make_train_step(accumulation_steps=n, r_drop=r_drop) for n in (1, 3))
        for step in (1, 2, 3):
            one = whole.update([batch_of(0, 1, 2, 3, 4, 5)], step, 0.01)
            other = parts.update([batch_of(*rows) for rows in shards], step, 0.01)
            assert other == pytest.approx(one, rel=1e-5)
        state = parts.state()
        for name, array in whole.state().items():
            np.testing.assert_allclose(state[name], array, atol=1e-6, err_msg=name)


class TestShardsAtOnce:
    @pytest.mark.slow
    @pytest.mark.parametrize("num_shards", [1, 3])
    def test_give_the_same_updates_as_one_after_the_other(
        self, make_model: MakeModel, num_shards: int
    ) -> None:
        """The dropout is the same, whether or not the number of shards is even."""
        shards = [batch_of(i, i + 1) for i in range(num_shards)]
        config = TrainingConfig.model_validate(
            {"max_steps": 10, "accumulation_steps": 4, "optimizer": {"epsilon": 1e-3}}
        )
        one, two = (
            TrainStep(make_model(num_layers=1, **DROPOUT), config, at_once) for at_once in (1, 2)
        )
        for step in (1, 2):
            expected = one.update(shards, step, 0.01)
            assert two.update(shards, step, 0.01) == pytest.approx(expected, rel=1e-5)
        norms = one.gradient_norms(shards, 3)
        assert two.gradient_norms(shards, 3) == pytest.approx(norms, rel=1e-4, abs=1e-6)
        state = two.state()
        for name, array in one.state().items():
            np.testing.assert_allclose(state[name], array, atol=1e-6, err_msg=name)

    def test_determine_the_number_of_shards_of_a_batch(self, make_model: MakeModel) -> None:
        for steps, expected in ((1, 3), (2, 3), (8, 8)):
            config = TrainingConfig.model_validate({"accumulation_steps": steps, "max_steps": 1})
            assert TrainStep(make_model(num_layers=1), config, 3).num_shards == expected


class TestAveraging:
    def test_moves_by_its_decay_and_faster_in_the_beginning(
        self, make_train_step: MakeTrainStep
    ) -> None:
        train_step = make_train_step(dropout=True, averaging=EMA)
        average = train_step.state()
        # (1 + step) / (25 + step) is 2/26, then 3/27 and 4/28, which are above 0.1.
        for step, decay in ((1, 2 / 26), (2, 0.1), (3, 0.1)):
            state = learn(train_step, step)
            for name in model_weights(train_step.model):
                mean = decay * average[f"averages/{name}"]
                mean += (1 - decay) * state[f"weights/{name}"]
                np.testing.assert_allclose(state[f"averages/{name}"], mean, atol=1e-6)
            average = state

    def test_ships_the_averages(self, make_train_step: MakeTrainStep) -> None:
        train_step = make_train_step(dropout=True, averaging=EMA)
        state = learn(train_step, 1, 2)
        averages = {f"averages/{name}": w for name, w in train_step.shipped_weights().items()}
        assert_same_bits(averages, {name: state[name] for name in averages})
        assert averages.keys() == {name for name in state if name.startswith("averages/")}

    def test_without_averaging_ships_the_weights(self, make_train_step: MakeTrainStep) -> None:
        train_step = make_train_step()
        learn(train_step, 1, 2)
        assert_same_bits(train_step.shipped_weights(), model_weights(train_step.model))
        assert not any(name.startswith("averages/") for name in train_step.state())


class TestState:
    def test_restored_leads_to_the_same_next_updates(self, make_train_step: MakeTrainStep) -> None:
        one = make_train_step(dropout=True, averaging=EMA)
        other = make_train_step(model_seed=9, dropout=True, averaging=EMA)
        learn(one, 1, 2)
        other.restore(one.state(), "a checkpoint")
        assert_same_bits(other.state(), one.state())
        assert_same_bits(learn(other, 3, 4), learn(one, 3, 4))

    def test_holds_all_that_an_update_changes(self, make_train_step: MakeTrainStep) -> None:
        train_step = make_train_step(dropout=True, averaging=EMA)
        kinds = ("weights", "first_moments", "second_moments", "averages")
        before, after = train_step.state(), learn(train_step, 1)
        names = model_weights(train_step.model)
        assert after.keys() == {f"{kind}/{name}" for kind in kinds for name in names}
        for kind in kinds:
            name = f"{kind}/encoder_0/attention/query/kernel"
            assert before[name].tobytes() != after[name].tobytes()

    def test_of_another_model_is_refused(
        self, make_train_step: MakeTrainStep, make_model: MakeModel
    ) -> None:
        train_step = make_train_step()
        deeper = TrainStep(make_model(num_layers=2), TrainingConfig.model_validate(FIXED))
        with pytest.raises(RunError, match=r"^a checkpoint: it does not fit.*decoder_1.*absent"):
            deeper.restore(train_step.state(), "a checkpoint")

    def test_of_another_run_can_be_started_from(
        self, make_train_step: MakeTrainStep, make_model: MakeModel
    ) -> None:
        weights = model_weights(make_model(seed=8, num_layers=1))
        train_step = make_train_step(dropout=True, averaging=EMA)
        learn(train_step, 1, 2)
        train_step.start_from(weights, "a run")
        assert_same_bits(model_weights(train_step.model), weights)
        assert_same_bits(train_step.shipped_weights(), weights)
        moments = {name: a for name, a in train_step.state().items() if "_moments/" in name}
        assert not any(array.any() for array in moments.values())


@pytest.mark.slow
class TestGradientCheckpointing:
    @R_DROPS
    def test_changes_no_update(self, make_train_step: MakeTrainStep, r_drop: float) -> None:
        kept, again = (
            make_train_step(dropout=True, recompute_activations=again, r_drop=r_drop)
            for again in (False, True)
        )
        for step in (1, 2, 3):
            one, other = (
                train_step.update([BATCHES[0]], step, 0.01) for train_step in (kept, again)
            )
            assert other == pytest.approx(one, rel=1e-5)
        state = again.state()
        for name, array in kept.state().items():
            np.testing.assert_allclose(state[name], array, atol=1e-6, err_msg=name)


@pytest.mark.usefixtures("eagerly")
class TestKinds:
    """Each kind of model, with dropout."""

    @pytest.fixture
    def make_any_step(self, make_any_model: MakeModel) -> MakeTrainStep:
        def make(at_once: int = 1, **changes: object) -> TrainStep:
            config = TrainingConfig.model_validate(FIXED | changes)
            return TrainStep(make_any_model(num_layers=1, **DROPOUT), config, at_once)

        return make

    def test_a_restored_state_leads_to_the_same_next_updates(
        self, make_any_step: MakeTrainStep
    ) -> None:
        train_step, resumed = make_any_step(averaging=EMA), make_any_step(averaging=EMA)
        resumed.restore(learn(train_step, 1), "a checkpoint")
        assert_same_bits(learn(train_step, 2), learn(resumed, 2))

    def test_gradient_checkpointing_changes_no_update(self, make_any_step: MakeTrainStep) -> None:
        kept = learn(make_any_step(), 1)
        recomputed = learn(make_any_step(recompute_activations=True), 1)
        for name in kept:
            np.testing.assert_allclose(recomputed[name], kept[name], atol=1e-6, err_msg=name)

    @pytest.mark.slow
    def test_shards_at_once_in_a_graph_give_the_same_update(
        self, make_any_step: MakeTrainStep
    ) -> None:
        batch = [batch_of(0, 1), batch_of(2, 3), batch_of(4, 5)]
        one_by_one = make_any_step(accumulation_steps=3)
        one_by_one.update(batch, 1, 0.01)
        tf.config.run_functions_eagerly(False)
        at_once = make_any_step(accumulation_steps=3, recompute_activations=True, at_once=2)
        at_once.update(batch, 1, 0.01)
        expected, found = one_by_one.state(), at_once.state()
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-5, err_msg=name)

    def test_every_weight_learns(self, make_any_step: MakeTrainStep) -> None:
        train_step = make_any_step()
        before = model_weights(train_step.model)
        learn(train_step, 1, 2)
        for name, weight in model_weights(train_step.model).items():
            assert not np.array_equal(weight, before[name]), name


class TestMemory:
    def test_that_runs_out_is_reported_with_the_number_of_shards(
        self, make_train_step: MakeTrainStep, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        train_step = make_train_step(accumulation_steps=2, model_seed=4)

        def fail(*_: object) -> None:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

        monkeypatch.setattr(module, "chunked_cross_entropy", fail)
        with pytest.raises(OutOfMemory) as caught:
            train_step.update([BATCHES[0], BATCHES[1]], 1, 0.01)
        assert (caught.value.num_shards, caught.value.num_pairs) == (2, 4)

    def test_is_measured_by_a_dry_run_that_changes_nothing(
        self, make_train_step: MakeTrainStep
    ) -> None:
        train_step = make_train_step(dropout=True, averaging=EMA, accumulation_steps=2)
        before = train_step.state()
        rows = (0, 1, 2, 3, 4, 5)

        def cut(num_shards: int) -> list[Batch]:
            cuts = [6 * i // num_shards for i in range(num_shards + 1)]
            parts = [rows[start:end] for start, end in pairwise(cuts)]
            return [batch_of(*part) for part in parts if part]

        dry_run_result = dry_run(train_step, cut)
        assert_same_bits(train_step.state(), before)
        assert dry_run_result.seconds * dry_run_result.tokens_per_second == pytest.approx(20)
        assert dry_run_result.peak_bytes > 2**20
