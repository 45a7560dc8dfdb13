"""Adam against its formula, and learning rates that are easy to compute by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from translator.config.schema import OptimizerConfig
from translator.training.optimizer import Adam, learning_rate


def adam(config: OptimizerConfig, **values: list[float]) -> tuple[Adam, list[keras.Variable]]:
    named = {f"layer/{name}": keras.Variable(np.array(w, "float32")) for name, w in values.items()}
    return Adam(config, named), list(named.values())


def apply(optimizer: Adam, gradients: list[list[float]], step: int = 1, rate: float = 0.1) -> float:
    return float(
        optimizer.apply(
            [tf.constant(g) for g in gradients], tf.constant(step, tf.int64), tf.constant(rate)
        )
    )


class TestAdam:
    def test_moves_by_the_learning_rate_against_the_first_gradient(self) -> None:
        optimizer, (weight,) = adam(OptimizerConfig(clip_norm=None), bias=[1.0, 1.0, 1.0])
        apply(optimizer, [[5.0, -0.01, 0.0]])
        np.testing.assert_allclose(weight, [0.9, 1.1, 1.0], rtol=1e-5)

    def test_follows_the_formula(self) -> None:
        config = OptimizerConfig(clip_norm=None, beta_1=0.8, beta_2=0.9, epsilon=0.05)
        optimizer, (weight,) = adam(config, kernel=[1.0, -2.0])
        w, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
        for t, gradient in enumerate(([1.0, -3.0], [-2.0, 0.5], [0.3, 4.0]), 1):
            g, rate = np.array(gradient), 0.1 * t
            apply(optimizer, [gradient], t, rate)
            m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
            w -= rate * np.sqrt(1 - 0.9**t) / (1 - 0.8**t) * m / (np.sqrt(v) + 0.05)
            np.testing.assert_allclose(weight, w, rtol=1e-5)
        np.testing.assert_allclose(optimizer.first_moments[0], m, rtol=1e-5)
        np.testing.assert_allclose(optimizer.second_moments[0], v, rtol=1e-5)

    def test_decays_kernels_and_tables_alone_and_apart_from_the_gradient(self) -> None:
        names = ("kernel", "table", "bias", "scale", "offset")
        config = OptimizerConfig(weight_decay=0.5)
        optimizer, variables = adam(config, **{name: [8.0] for name in names})
        apply(optimizer, [[0.0]] * 5)  # takes 0.1 · 0.5 of a weight
        np.testing.assert_allclose([float(v[0]) for v in variables], [7.6, 7.6, 8.0, 8.0, 8.0])
        assert not any(m.numpy().any() for m in optimizer.first_moments)

    def test_decays_besides_the_update(self) -> None:
        optimizer, (weight,) = adam(OptimizerConfig(weight_decay=0.5), kernel=[8.0])
        apply(optimizer, [[1.0]])
        np.testing.assert_allclose(weight, [8.0 - 0.4 - 0.1], rtol=1e-6)

    def test_scales_a_long_gradient_down_to_the_clip_norm_and_returns_its_norm(self) -> None:
        config = OptimizerConfig(clip_norm=1.0, beta_1=0.9)
        optimizer, _ = adam(config, kernel=[0.0], bias=[0.0])
        assert apply(optimizer, [[3.0], [-4.0]]) == pytest.approx(5.0)
        moments = [m.numpy()[0] for m in optimizer.first_moments]
        np.testing.assert_allclose(moments, [0.06, -0.08], rtol=1e-5)

    @pytest.mark.parametrize("clip_norm", [10.0, None])
    def test_leaves_a_short_gradient_as_it_is(self, clip_norm: float | None) -> None:
        optimizer, _ = adam(OptimizerConfig(clip_norm=clip_norm), kernel=[0.0], bias=[0.0])
        assert apply(optimizer, [[3.0], [-4.0]]) == pytest.approx(5.0)
        moments = [m.numpy()[0] for m in optimizer.first_moments]
        np.testing.assert_allclose(moments, [0.3, -0.4], rtol=1e-5)


class TestLearningRate:
    @pytest.mark.parametrize(
        "schedule", ["inverse_sqrt", "linear", "cosine", "cooldown", "constant"]
    )
    def test_rises_linearly_over_the_warm_up(self, schedule: str) -> None:
        rates = self.rates(schedule, [1, 2, 3])
        np.testing.assert_allclose(rates, [0.5, 1.0, 1.5])

    @pytest.mark.parametrize(
        ("schedule", "expected"),
        [
            ("inverse_sqrt", {4: 2.0, 16: 1.0, 64: 0.5, 256: 0.25}),
            ("linear", {10: 1.8, 50: 1.0, 90: 0.2, 100: 0.0}),
            ("cosine", {50: 1.0, 100: 0.0}),
            ("cooldown", {10: 2.0, 70: 2.0, 85: 1.0, 100: 0.0}),
            ("constant", {4: 2.0, 12: 2.0, 1000: 2.0}),
        ],
    )
    def test_falls_as_its_schedule_says(self, schedule: str, expected: dict[int, float]) -> None:
        rates = self.rates(schedule, list(expected))
        np.testing.assert_allclose(rates, list(expected.values()), atol=1e-12)

    def test_along_a_cosine_is_slow_at_both_ends(self) -> None:
        quarters = self.rates("cosine", [25, 75])  # (1 ± cos 45°) of half the height
        np.testing.assert_allclose(quarters, [1 + np.sqrt(0.5), 1 - np.sqrt(0.5)])

    def test_without_warm_up_begins_at_its_maximum(self) -> None:
        assert self.rates("inverse_sqrt", [1, 4], warmup=0) == [2.0, 1.0]
        assert self.rates("constant", [1, 4], warmup=0) == [2.0, 2.0]

    @pytest.mark.parametrize("schedule", ["linear", "cosine"])
    def test_warms_up_over_a_tenth_of_a_run_at_most(self, schedule: str) -> None:
        rates = self.rates(schedule, [1, 5], warmup=10_000)
        np.testing.assert_allclose(rates, [0.2, 1.0])  # 1 % and 5 % are over

    def test_with_cooldown_warms_up_as_long_as_it_falls_at_most(self) -> None:
        rates = self.rates("cooldown", [3, 15, 30, 70, 85], warmup=10_000)
        np.testing.assert_allclose(rates, [0.2, 1.0, 2.0, 2.0, 1.0])

    def test_warms_up_again_after_a_rollback_to_the_beginning(self) -> None:
        config = OptimizerConfig(learning_rate=1.0, schedule="linear", warmup_steps=10_000)
        assert learning_rate(config, 1, done=0.41, lost=0.4) == pytest.approx(0.1)
        assert learning_rate(config, 1, done=0.61, lost=0.4) == pytest.approx(0.39)

    def rates(self, schedule: str, steps: list[int], warmup: int = 4) -> list[float]:
        """The learning rates of a run of 100 steps."""
        config = OptimizerConfig.model_validate(
            {"learning_rate": 2.0, "schedule": schedule, "warmup_steps": warmup}
        )
        return [learning_rate(config, step, min(1.0, step / 100)) for step in steps]
