"""Adam with decoupled weight decay, gradient clipping and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Mapping

import keras
import tensorflow as tf

from translator.config.schema import OptimizerConfig
from translator.models.weight_rules import RULES, Rules, rule_for

WARMUP_SHARE, COOLDOWN_SHARE = 0.1, 0.3


def learning_rate(config: OptimizerConfig, step: int, done: float, lost: float = 0.0) -> float:
    """The learning rate of a step, counted from 1.

    `done` is the share of the run that is over before the step; `lost` is the part of it that
    rollbacks cost. The rate rises linearly over the warm-up. Then it
    - falls with √(warmup / step) (inverse_sqrt),
    - stays (constant),
    - falls to zero with 1 − done (linear) or along half a cosine (cosine),
    - stays, and falls linearly to zero in the last COOLDOWN_SHARE of the run (cooldown, Hägele et
      al. 2024).
    With the schedules that fall to zero, the warm-up takes at most WARMUP_SHARE of the run
    (COOLDOWN_SHARE with cooldown), and ends early if the fall begins before.
    """
    warmup = max(1, config.warmup_steps)
    rise = step / warmup
    short_rise = max(rise, (done - lost) / WARMUP_SHARE)
    match config.schedule:
        case "inverse_sqrt":
            share = min(rise, math.sqrt(warmup / step))
        case "linear":
            share = min(short_rise, 1 - done)
        case "cosine":
            share = min(short_rise, (1 + math.cos(math.pi * done)) / 2)
        case "cooldown":
            rise = max(rise, (done - lost) / COOLDOWN_SHARE)
            share = min(rise, (1 - done) / COOLDOWN_SHARE, 1.0)
        case "constant":
            share = min(rise, 1.0)
        case "auto":
            raise AssertionError("resolve has chosen a schedule")
    return config.learning_rate * share


class Adam:
    """One Adam update for all weights of a model, by TensorFlow's fused kernel.

    m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  w ← w − η √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v +
    ε) (Kingma & Ba 2015, section 2, the efficient order). Weight decay first subtracts η λ w from
    the weights that decay (Loshchilov & Hutter 2019).
    """

    def __init__(
        self,
        config: OptimizerConfig,
        variables: Mapping[str, keras.Variable],
        rules: Rules = RULES,
    ) -> None:
        """rules: which weights decay, by name."""
        self._config = config
        self._weights = [variable.value for variable in variables.values()]
        self._decayed = [rule_for(name, rules).decays for name in variables]
        self.first_moments = [tf.Variable(tf.zeros_like(w)) for w in self._weights]
        self.second_moments = [tf.Variable(tf.zeros_like(w)) for w in self._weights]

    def apply(self, gradients: list[tf.Tensor], step: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        """Update the weights; steps count from 1. Returns the global norm before clipping.

        If the norm is not finite, nothing changes, so that the cause can be examined.
        """
        norm = tf.linalg.global_norm(gradients)
        tf.cond(
            tf.math.is_finite(norm), lambda: self._update(gradients, norm, step, rate), lambda: None
        )
        return norm

    def _update(
        self, gradients: list[tf.Tensor], norm: tf.Tensor, step: tf.Tensor, rate: tf.Tensor
    ) -> None:
        if self._config.clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self._config.clip_norm, norm)
        time = tf.cast(step, tf.float32)
        for weight, decayed, m, v, gradient in zip(
            self._weights,
            self._decayed,
            self.first_moments,
            self.second_moments,
            gradients,
            strict=True,
        ):
            if decayed and self._config.weight_decay:
                weight.assign_sub(rate * self._config.weight_decay * weight)
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=self._config.beta_1**time,
                beta2_power=self._config.beta_2**time,
                lr=rate,
                beta1=self._config.beta_1,
                beta2=self._config.beta_2,
                epsilon=self._config.epsilon,
                grad=tf.convert_to_tensor(gradient),
            )
