"""One step of learning: loss, gradients, update; and all that a step changes.

B batch, S source length, T target length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from translator.config.schema import TrainingConfig
from translator.data.batches import Batch
from translator.data.tokenizer import PAD_ID
from translator.errors import OutOfMemory
from translator.layers.dropout import fold_in
from translator.models.encoder_decoder import EncoderDecoder
from translator.models.weights import (
    Arrays,
    check_fit,
    model_weights,
    named_variables,
    set_model_weights,
)
from translator.training.distributed.strategy import Replicas, deal
from translator.training.loss import (
    chunked_cross_entropy,
    chunked_r_drop,
    least_cross_entropy,
)
from translator.training.optimizer import Adam

_IDS = tf.TensorSpec([None, None], tf.int32)
_BATCH = Batch(_IDS, _IDS, _IDS)
_SEED = tf.TensorSpec([2], tf.int64)
_NO_IDS = np.zeros([0, 0], np.int32)
_NOTHING = Batch(_NO_IDS, _NO_IDS, _NO_IDS), np.zeros(2, np.int64)
"""What is dealt where a batch has not enough shards."""

Shards: TypeAlias = tuple[Batch, ...]
"""That a replica computes at once."""
Seeds: TypeAlias = tuple[tf.Tensor, ...]


class Update(NamedTuple):
    """What a step tells of itself."""

    loss: float
    """Smoothed cross-entropy a target token, in nats; with R-Drop the mean of both passes. NaN if
    what was computed is below any cross-entropy, as logits too far apart for float32 make it."""
    gradient_norm: float


class TrainStep:
    """A model with its optimizer, moving average and gradient accumulators.

    Made in the scope of a tf.distribute strategy, as its model must be, it learns with all replicas
    of that: each adds up the gradients of its share of the shards, `at_once` of them at the same
    time, all add these up together, and each makes the same update. A step is traced once, for
    batches of any size.
    """

    def __init__(self, model: EncoderDecoder, config: TrainingConfig, at_once: int = 1) -> None:
        self.model = model
        self.model.recompute_activations = config.recompute_activations
        self._config = config
        variables = named_variables(model)
        self._weights = [variable.value for variable in variables.values()]
        least = least_cross_entropy(config.label_smoothing, model.output_table.shape[0])
        self._impossible_below = least / 2 - 0.01  # so far rounding does not go
        self._optimizer = Adam(config.optimizer, variables)
        self._averages: list[tf.Variable] = []
        if config.averaging.kind == "ema":
            self._averages = [tf.Variable(w) for w in self._weights]
        self._replicas = Replicas()
        self._at_once, self._num_places = at_once, self._replicas.count * at_once
        assert config.accumulation_steps != "auto"
        self.num_shards = max(config.accumulation_steps, self._num_places)
        """Into which a batch is to be cut."""
        self._accumulators: list[tf.Variable] = []
        if self.num_shards > self._num_places:
            sums = [tf.zeros([]), *self._weights]
            self._accumulators = [tf.Variable(tf.zeros_like(each)) for each in sums]
        number, num_local = tf.TensorSpec([], tf.float32), len(self._replicas.local)
        shards = [[(_BATCH,) * at_once] * num_local, [(_SEED,) * at_once] * num_local]
        # No Python here branches on tensors, so that tracing can leave out what would find such.
        self._learn_from = tf.function(
            self._sums_of, input_signature=[_BATCH, _SEED], autograph=False
        )
        self._accumulate = tf.function(
            self._accumulate_all, input_signature=shards, autograph=False
        )
        self._update = tf.function(
            self._update_all,
            input_signature=[*shards, tf.TensorSpec([], tf.int64), number, number],
            autograph=False,
        )

    def update(self, shards: Sequence[Batch], step: int, rate: float) -> Update:
        """Learn from the shards of one batch; steps count from 1, and decide the dropout.

        A gradient that is no number changes nothing but the moving average. Raises OutOfMemory; the
        state is then undefined.
        """
        num_tokens = sum(shard.num_target_tokens for shard in shards)
        try:
            loss, norm = self._update(
                *self._all_but_last(shards, step),
                tf.constant(step, tf.int64),
                tf.constant(rate, tf.float32),
                tf.constant(num_tokens, tf.float32),
            )
            loss = float(loss) / num_tokens
            return Update(loss if loss >= self._impossible_below else math.nan, float(norm))
        except tf.errors.ResourceExhaustedError:
            num_pairs = sum(len(shard.labels) for shard in shards)
            raise OutOfMemory(self.num_shards, num_pairs) from None

    def gradient_norms(self, shards: Sequence[Batch], step: int) -> dict[str, float]:
        """The norm of each weight's gradient, before clipping, that a step would learn from."""
        norms = tf.function(self._norms_all, autograph=False)(
            *self._all_but_last(shards, step),
            tf.constant(sum(shard.num_target_tokens for shard in shards), tf.float32),
        )
        names = model_weights(self.model)
        return {name: float(norm) for name, norm in zip(names, norms, strict=True)}

    def _all_but_last(self, shards: Sequence[Batch], step: int) -> tuple[list[Shards], list[Seeds]]:
        """Add up the gradients of a batch; gives the last shards of each local replica, whose
        gradients are still to come, and their seeds."""
        # Old runs resume with these seeds.
        numbers = range(step * 2**20, step * 2**20 + len(shards))
        seeds = [tf.constant([self._config.seed, i], tf.int64) for i in numbers]
        local, at_once = self._replicas.local, self._at_once
        *rounds, last = (
            [
                tuple(zip(*dealt[start : start + at_once], strict=True))
                for start in range(0, len(dealt), at_once)
            ]
            for dealt in deal(
                list(zip(shards, seeds, strict=True)),
                self._num_places,
                range(local.start * at_once, local.stop * at_once),
                _NOTHING,
            )
        )
        for each in rounds:
            self._accumulate(*map(list, zip(*each, strict=True)))
        return [each for each, _ in last], [each for _, each in last]

    def forget(self) -> None:
        """Undo updates at a learning rate of zero on a new learner: they left the weights alone."""
        for variable in (*self._optimizer.first_moments, *self._optimizer.second_moments):
            variable.assign(tf.zeros_like(variable))

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
        """Begin, or begin again, with these weights. Raises RunError if they do not fit."""
        self.forget()
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
        """The sum of the smoothed cross-entropy, and the gradients of what is to become less."""
        real = tf.not_equal(batch.labels, PAD_ID)
        labels = tf.boolean_mask(batch.labels, real)
        alpha, smoothing = self._config.r_drop, self._config.label_smoothing
        with tf.GradientTape() as tape:
            table = tf.convert_to_tensor(self.model.output_table.value)
            if alpha:
                seeds = (fold_in(seed, 0), fold_in(seed, 1))
                passes = [self.model(batch.source, batch.target, seed=each) for each in seeds]
                states = tf.boolean_mask(tf.stack(passes, axis=2), real)
                loss, cross_entropy = chunked_r_drop(states, table, labels, smoothing, alpha)
            else:
                states = tf.boolean_mask(self.model(batch.source, batch.target, seed=seed), real)
                loss = cross_entropy = chunked_cross_entropy(states, table, labels, smoothing)
        gradients = tape.gradient(
            loss, self._weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return cross_entropy, gradients

    def _accumulate_all(self, shards: list[Shards], seeds: list[Seeds]) -> None:
        """What each local replica computes at once."""

        def on_replica(shards: Shards, seeds: Seeds) -> None:
            for accumulator, part in zip(
                self._accumulators, self._sums(shards, seeds), strict=True
            ):
                accumulator.assign_add(part)

        self._replicas.run(on_replica, shards, seeds)

    def _update_all(
        self,
        shards: list[Shards],
        seeds: list[Seeds],
        step: tf.Tensor,
        rate: tf.Tensor,
        num_tokens: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The last shards of each local replica, and the update. Gives loss sum and norm."""

        def on_replica(shards: Shards, seeds: Seeds) -> tuple[tf.Tensor, tf.Tensor]:
            loss, *gradients = self._totals(shards, seeds)
            norm = self._optimizer.apply([g / num_tokens for g in gradients], step, rate)
            self._empty_accumulators()
            time = tf.cast(step, tf.float32)
            decay = tf.minimum(self._config.averaging.decay, (1 + time) / (25 + time))
            for average, weight in zip(self._averages, self._weights, strict=False):
                average.assign_sub((1 - decay) * (average - weight))
            return loss, norm

        return self._replicas.run(on_replica, shards, seeds)[0]

    def _norms_all(
        self, shards: list[Shards], seeds: list[Seeds], num_tokens: tf.Tensor
    ) -> list[tf.Tensor]:
        """The last shards of each local replica; gives the norms of the gradients."""

        def on_replica(shards: Shards, seeds: Seeds) -> list[tf.Tensor]:
            _, *gradients = self._totals(shards, seeds)
            norms = [tf.norm(gradient / num_tokens) for gradient in gradients]
            self._empty_accumulators()
            return norms

        return self._replicas.run(on_replica, shards, seeds)[0]

    def _totals(self, shards: Shards, seeds: Seeds) -> list[tf.Tensor]:
        """Loss sum and gradients of these shards, of those accumulated, and of all replicas."""
        sums = self._sums(shards, seeds)
        if self._accumulators:
            sums = [
                accumulator.assign_add(part).read_value()
                for accumulator, part in zip(self._accumulators, sums, strict=True)
            ]
        return self._replicas.sum(sums)

    def _empty_accumulators(self) -> None:
        for accumulator in self._accumulators:
            accumulator.assign(tf.zeros_like(accumulator))

    def _sums(self, shards: Shards, seeds: Seeds) -> list[tf.Tensor]:
        """The loss sum of some shards and its gradients; they do not wait for each other."""
        each = [self._learn_from(*one) for one in zip(shards, seeds, strict=True)]
        return [tf.add_n(parts) for parts in zip(*each, strict=True)]

    def _sums_of(self, shard: Batch, seed: tf.Tensor) -> list[tf.Tensor]:
        """The loss sum of a shard and its gradients; zeros for a shard without pairs."""

        def of_pairs() -> list[tf.Tensor]:
            loss, gradients = self._gradients(shard, seed)
            return [loss, *(tf.convert_to_tensor(gradient) for gradient in gradients)]

        if self._num_places == 1:
            return of_pairs()

        def of_none() -> list[tf.Tensor]:
            return [tf.zeros([]), *(tf.zeros(weight.shape) for weight in self._weights)]

        return tf.cond(tf.size(shard.labels) > 0, of_pairs, of_none)
