"""One step of learning: loss, gradients, update; and all that a step changes.

B batch, S source length, T target length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from translator.config.schema import TrainingConfig
from translator.data.batches import Batch
from translator.data.tokenizer import PAD_ID
from translator.models.encoder_decoder import EncoderDecoder
from translator.models.weights import Arrays, check_fit, model_weights, set_model_weights
from translator.training.loss import chunked_cross_entropy
from translator.training.optimizer import Adam

_IDS = tf.TensorSpec([None, None], tf.int32)
_BATCH = Batch(_IDS, _IDS, _IDS)


class Update(NamedTuple):
    """What a step tells of itself."""

    loss: float
    """Smoothed cross-entropy a target token, in nats."""
    gradient_norm: float


class Learner:
    """A model with its optimizer, moving average and gradient accumulators.

    Every function is traced once, for batches of any size.
    """

    def __init__(self, model: EncoderDecoder, config: TrainingConfig) -> None:
        self.model = model
        self._config = config
        variables = model.trainable_variables
        self._weights = [variable.value for variable in variables]
        self._optimizer = Adam(config.optimizer, variables)
        self._averages: list[tf.Variable] = []
        if config.averaging.kind == "ema":
            self._averages = [tf.Variable(w) for w in self._weights]
        self._accumulators: list[tf.Variable] = []
        if config.accumulation_steps > 1:
            self._accumulators = [tf.Variable(tf.zeros_like(w)) for w in self._weights]

    def update(self, shards: Sequence[Batch], step: int, rate: float) -> Update:
        """Learn from the shards of one batch; steps count from 1, and decide the dropout."""
        num_tokens = sum(shard.num_target_tokens for shard in shards)
        seeds = [np.array([self._config.seed, step * 2**20 + i]) for i in range(len(shards))]
        total = sum(
            float(self._accumulate(shard, seed))
            for shard, seed in zip(shards, seeds[:-1], strict=False)
        )
        last, norm = self._update(
            shards[-1],
            seeds[-1],
            tf.constant(step, tf.int64),
            tf.constant(rate, tf.float32),
            tf.constant(num_tokens, tf.float32),
        )
        return Update((total + float(last)) / num_tokens, float(norm))

    def shipped_weights(self) -> Arrays:
        """The weights to validate: the moving average if there is one, else the current ones."""
        weights = model_weights(self.model)
        for name, average in zip(list(weights), self._averages, strict=False):
            weights[name] = average.numpy()
        return weights

    def state(self) -> Arrays:
        """All that a resume needs of this learner."""
        return {name: variable.numpy() for name, variable in self._state_variables().items()}

    def restore(self, state: Mapping[str, np.ndarray], origin: str) -> None:
        """Take what `state` gave. Raises RunError if it does not fit."""
        variables = self._state_variables()
        check_fit(state, {name: tuple(v.shape) for name, v in variables.items()}, origin)
        for name, variable in variables.items():
            variable.assign(state[name])

    def start_from(self, weights: Mapping[str, np.ndarray], origin: str) -> None:
        """Begin with the weights of another run. Raises RunError if they do not fit."""
        set_model_weights(self.model, weights, origin)
        for average, weight in zip(self._averages, self._weights, strict=False):
            average.assign(weight)

    def _state_variables(self) -> dict[str, tf.Variable]:
        named = {}
        for kind, variables in (
            ("weights", self._weights),
            ("first_moments", self._optimizer.first_moments),
            ("second_moments", self._optimizer.second_moments),
            ("averages", self._averages),
        ):
            for name, variable in zip(model_weights(self.model), variables, strict=False):
                named[f"{kind}/{name}"] = variable
        return named

    def _gradients(self, batch: Batch, seed: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            states = self.model(batch.source, batch.target, seed=seed)
            real = tf.not_equal(batch.labels, PAD_ID)
            loss = chunked_cross_entropy(
                tf.boolean_mask(states, real),
                tf.convert_to_tensor(self.model.output_table.value),
                tf.boolean_mask(batch.labels, real),
                self._config.label_smoothing,
            )
        gradients = tape.gradient(
            loss, self._weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return loss, gradients

    @tf.function(input_signature=[_BATCH, tf.TensorSpec([2], tf.int64)])
    def _accumulate(self, batch: Batch, seed: tf.Tensor) -> tf.Tensor:
        loss, gradients = self._gradients(batch, seed)
        for accumulator, gradient in zip(self._accumulators, gradients, strict=True):
            accumulator.assign_add(tf.convert_to_tensor(gradient))
        return loss

    @tf.function(
        input_signature=[
            _BATCH,
            tf.TensorSpec([2], tf.int64),
            tf.TensorSpec([], tf.int64),
            tf.TensorSpec([], tf.float32),
            tf.TensorSpec([], tf.float32),
        ]
    )
    def _update(
        self,
        batch: Batch,
        seed: tf.Tensor,
        step: tf.Tensor,
        rate: tf.Tensor,
        num_tokens: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        loss, gradients = self._gradients(batch, seed)
        if self._accumulators:
            gradients = [
                accumulator.assign_add(tf.convert_to_tensor(gradient)).read_value()
                for accumulator, gradient in zip(self._accumulators, gradients, strict=True)
            ]
        gradients = [tf.convert_to_tensor(gradient) / num_tokens for gradient in gradients]
        norm = self._optimizer.apply(gradients, step, rate)
        for accumulator in self._accumulators:
            accumulator.assign(tf.zeros_like(accumulator))
        time = tf.cast(step, tf.float32)
        decay = tf.minimum(self._config.averaging.decay, (1 + time) / (10 + time))
        for average, weight in zip(self._averages, self._weights, strict=False):
            average.assign_sub((1 - decay) * (average - weight))
        return loss, norm
