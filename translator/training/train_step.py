"""One training step: loss, gradients, update, and all the state that a step changes.

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
from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID
from translator.errors import OutOfMemory
from translator.layers.dropout import fold_in
from translator.models.seq2seq import Seq2SeqModel
from translator.models.weights import (
    Arrays,
    check_fit,
    model_weights,
    named_variables,
    set_model_weights,
)
from translator.training.distributed.strategy import Replicas, deal
from translator.training.loss import chunked_cross_entropy, chunked_r_drop, least_cross_entropy
from translator.training.optimizer import Adam
from translator.training.results import Update

_IDS = tf.TensorSpec([None, None], tf.int32)
_BATCH = Batch(_IDS, _IDS, _IDS)
_SEED = tf.TensorSpec([2], tf.int64)
_NUMBER = tf.TensorSpec([], tf.float32)

_EMPTY_SHARD = Batch(*(np.array([[id_]], np.int32) for id_ in (END_ID, BEGIN_ID, PAD_ID)))
"""It has no label, so its loss and its gradients are zero."""
_FILLER = _EMPTY_SHARD, np.zeros(2, np.int64)
"""Fills up the last round if there are not enough shards: an empty shard and its seed."""

Shards: TypeAlias = tuple[Batch, ...]
"""The shards that a replica computes at once."""
Seeds: TypeAlias = tuple[tf.Tensor, ...]
"""The seeds of these shards."""
Sums: TypeAlias = list[tf.Tensor]
"""The loss summed over tokens, then its gradient towards each weight."""


class Round(NamedTuple):
    """What the local replicas compute at once, one item for each."""

    shards: list[Shards]
    seeds: list[Seeds]


class TrainStep:
    """A model with its optimizer, moving average and gradient accumulators.

    Create first the model, then this, in the scope of a tf.distribute strategy. Each replica sums
    the gradients of its share of a batch's shards, `at_once` shards at a time. The replicas add up
    these sums, and each makes the same update. A step is traced once, for batches of any size.
    """

    def __init__(self, model: Seq2SeqModel, config: TrainingConfig, at_once: int = 1) -> None:
        self.model = model
        self.model.recompute_activations = config.recompute_activations
        self._config = config
        variables = named_variables(model)
        self._weights = [variable.value for variable in variables.values()]
        least = least_cross_entropy(config.label_smoothing, model.output_table.shape[0])
        self._impossible_below = least / 2 - 0.01  # further below than rounding explains
        self._optimizer = Adam(config.optimizer, variables, model.weight_rules)
        self._averages: list[tf.Variable] = []
        if config.averaging.kind == "ema":
            self._averages = [tf.Variable(w) for w in self._weights]
        self._replicas = Replicas()
        self._at_once, self._num_slots = at_once, self._replicas.count * at_once
        assert config.accumulation_steps != "auto"
        self.num_shards = max(config.accumulation_steps, self._num_slots)
        """Number of shards to cut a batch into."""
        self._accumulators: list[tf.Variable] = []
        if self.num_shards > self._num_slots:
            sums = [tf.zeros([]), *self._weights]
            self._accumulators = [tf.Variable(tf.zeros_like(each)) for each in sums]
        num_local = len(self._replicas.local)
        round_ = [[(_BATCH,) * at_once] * num_local, [(_SEED,) * at_once] * num_local]
        step_and_rate = [tf.TensorSpec([], tf.int64), _NUMBER]
        # Nothing here branches on tensors in Python; without autograph, tracing is quicker.
        self._shard_sums = tf.function(
            self._trace_shard, input_signature=[_BATCH, _SEED], autograph=False
        )
        self._accumulate = tf.function(
            self._trace_accumulation, input_signature=round_, autograph=False
        )
        self._update = tf.function(
            self._trace_update, input_signature=[*round_, *step_and_rate, _NUMBER], autograph=False
        )

    def update(self, shards: Sequence[Batch], step: int, rate: float) -> Update:
        """Learn from the shards of one batch. Steps count from 1, and decide the dropout.

        If the gradient is not finite, only the moving average changes. Raises OutOfMemory; the
        state is then undefined.
        """
        num_tokens = sum(shard.num_target_tokens for shard in shards)
        *earlier, last = self._rounds(shards, step)
        try:
            for each in earlier:
                self._accumulate(*each)
            loss, norm = self._update(
                *last,
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
        """The norm of each weight's gradient, before clipping, in the update of this step."""
        num_tokens = sum(shard.num_target_tokens for shard in shards)
        *earlier, last = self._rounds(shards, step)
        for each in earlier:
            self._accumulate(*each)
        norms = tf.function(self._trace_norms, autograph=False)(
            *last, tf.constant(num_tokens, tf.float32)
        )
        names = model_weights(self.model)
        return {name: float(norm) for name, norm in zip(names, norms, strict=True)}

    def _rounds(self, shards: Sequence[Batch], step: int) -> list[Round]:
        """Split the shards of a batch among the replicas; there is always a round."""
        # Another formula would not resume runs of earlier versions bit for bit.
        numbers = range(step * 2**20, step * 2**20 + len(shards))
        seeds = [tf.constant([self._config.seed, i], tf.int64) for i in numbers]
        local, at_once = self._replicas.local, self._at_once
        slots = range(local.start * at_once, local.stop * at_once)
        rounds = []
        for items in deal(list(zip(shards, seeds, strict=True)), self._num_slots, slots, _FILLER):
            by_replica = [items[i : i + at_once] for i in range(0, len(items), at_once)]
            rounds.append(
                Round(
                    [tuple(shard for shard, _ in each) for each in by_replica],
                    [tuple(seed for _, seed in each) for each in by_replica],
                )
            )
        return rounds

    def reset_moments(self) -> None:
        """Undo the updates of a new model at a learning rate of zero, which changed no weight."""
        for variable in (*self._optimizer.first_moments, *self._optimizer.second_moments):
            variable.assign(tf.zeros_like(variable))

    def shipped_weights(self) -> Arrays:
        """The weights to validate: the moving average if there is one, else the current ones."""
        weights = model_weights(self.model)
        for name, average in zip(list(weights), self._averages, strict=False):
            weights[name] = average.numpy()
        return weights

    def state(self) -> Arrays:
        """All arrays that a resume needs."""
        return {name: variable.numpy() for name, variable in self._state_variables().items()}

    def restore(self, state: Mapping[str, np.ndarray], origin: str) -> None:
        """Set all variables to arrays that `state` returned.

        Raises RunError, naming the origin, if they do not fit.
        """
        variables = self._state_variables()
        check_fit(state, {name: tuple(v.shape) for name, v in variables.items()}, origin)
        for name, variable in variables.items():
            variable.assign(state[name])

    def start_from(self, weights: Mapping[str, np.ndarray], origin: str) -> None:
        """Start over with these weights. Raises RunError, naming the origin, if they do not fit."""
        self.reset_moments()
        set_model_weights(self.model, weights, origin)
        for average, weight in zip(self._averages, self._weights, strict=False):
            average.assign(weight)

    def _state_variables(self) -> dict[str, tf.Variable]:
        """All variables of the state, by their names in a checkpoint."""
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

    # The functions below are traced. They use `map` in place of comprehensions to keep tracebacks
    # short.

    def _trace_shard(self, batch: Batch, seed: tf.Tensor) -> Sums:
        """The smoothed cross-entropy of a shard, and the gradients of what is minimized."""
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
        return [cross_entropy, *map(tf.convert_to_tensor, gradients)]

    def _trace_accumulation(self, shards: list[Shards], seeds: list[Seeds]) -> None:
        """A round before the last. Adds its sums to the accumulators of each local replica."""

        def on_replica(shards: Shards, seeds: Seeds) -> None:
            sums = _add(list(map(self._shard_sums, shards, seeds)))
            for accumulator, each in zip(self._accumulators, sums, strict=True):
                accumulator.assign_add(each)

        self._replicas.run(on_replica, shards, seeds)

    def _trace_update(
        self,
        shards: list[Shards],
        seeds: list[Seeds],
        step: tf.Tensor,
        rate: tf.Tensor,
        num_tokens: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The last round, and the update. Returns the loss sum and the gradient norm."""

        def on_replica(shards: Shards, seeds: Seeds) -> tuple[tf.Tensor, tf.Tensor]:
            loss, *gradients = self._totals(_add(list(map(self._shard_sums, shards, seeds))))
            norm = self._optimizer.apply([g / num_tokens for g in gradients], step, rate)
            self._empty_accumulators()
            self._move_averages(step)
            return loss, norm

        return self._replicas.run(on_replica, shards, seeds)

    def _trace_norms(
        self, shards: list[Shards], seeds: list[Seeds], num_tokens: tf.Tensor
    ) -> list[tf.Tensor]:
        """The last round. Returns the norm of each weight's gradient."""

        def on_replica(shards: Shards, seeds: Seeds) -> list[tf.Tensor]:
            _, *gradients = self._totals(_add(list(map(self._shard_sums, shards, seeds))))
            norms = [tf.norm(gradient / num_tokens) for gradient in gradients]
            self._empty_accumulators()
            return norms

        return self._replicas.run(on_replica, shards, seeds)

    def _totals(self, sums: Sums) -> Sums:
        """These sums, with those of earlier rounds and of all replicas."""
        if self._accumulators:
            sums = [
                accumulator.assign_add(each).read_value()
                for accumulator, each in zip(self._accumulators, sums, strict=True)
            ]
        return self._replicas.sum(sums)

    def _empty_accumulators(self) -> None:
        for accumulator in self._accumulators:
            accumulator.assign(tf.zeros_like(accumulator))

    def _move_averages(self, step: tf.Tensor) -> None:
        """Move each average towards its weight; faster in the first steps."""
        time = tf.cast(step, tf.float32)
        decay = tf.minimum(self._config.averaging.decay, (1 + time) / (25 + time))
        for average, weight in zip(self._averages, self._weights, strict=False):
            average.assign_sub((1 - decay) * (average - weight))


def _add(parts: Sequence[Sums]) -> Sums:
    """Add up the sums of several shards, which can be computed in parallel."""
    return [tf.add_n(each) for each in zip(*parts, strict=True)]
