"""What a session of training works with: a learner, and the batches that it learns from."""

from __future__ import annotations

from functools import partial

import tensorflow as tf

from translator.data.batch_schedule import BatchSchedule
from translator.data.batches import Batch, batch
from translator.data.concatenation import Concatenation
from translator.data.mixture import mix
from translator.data.tokenizer import Sampling
from translator.layers.dense import need_fresh_weights
from translator.models.build import build_model
from translator.models.encoder_decoder import EncoderDecoder
from translator.models.weights import Arrays, model_weights
from translator.processors import share_processors
from translator.runs import RunDirectory
from translator.training.distributed.strategy import local_strategy, shards_at_once
from translator.training.dry_run import DryRun, dry_run
from translator.training.limits import total_steps
from translator.training.train_step import TrainStep
from translator.workflows.preparation import Prepared


class TrainingSession:
    """Made alike by every process that trains a run."""

    def __init__(self, prepared: Prepared, strategy: tf.distribute.Strategy | None) -> None:
        """Without a strategy, this process trains alone, on the devices that it finds."""
        config = prepared.config
        self._prepared = prepared
        training = prepared.training
        parts = mix(training.sizes, config.data.weights, config.data.temperature)
        self.schedule = BatchSchedule(
            training.lengths, config.training.tokens_per_step, config.training.seed, parts
        )
        self.last_step = total_steps(config.training, self.schedule.batches_per_epoch)
        at_once = shards_at_once(config.training, alone=strategy is None)
        share_processors(at_once)
        strategy = strategy or local_strategy(config.training.distribution)
        need_fresh_weights()
        self.num_replicas = strategy.num_replicas_in_sync
        with strategy.scope():
            self.learner = TrainStep(self._new_model(), config.training, at_once)
        self._sampling = None
        if config.tokenizer.sampling_alpha is not None:
            self._sampling = Sampling(
                config.tokenizer.kind,
                config.tokenizer.sampling_alpha,
                config.training.seed,
                config.data.max_length,
            )
        self._concatenation = None
        if config.training.concatenation_rate:
            self._concatenation = Concatenation(
                config.training.concatenation_rate, config.training.seed, config.data.max_length
            )

    def take_up(self, run: RunDirectory, step: int, state: Arrays | None) -> None:
        """Give the learner the state of a checkpoint or, without one, the run's first weights."""
        if state is not None:
            self.learner.restore(state, str(run.checkpoint(step)))
        elif self._prepared.start_weights is not None:
            self.learner.start_from(self._prepared.start_weights, str(run.start))

    def return_to(self, run: RunDirectory, step: int, state: Arrays | None) -> None:
        """`take_up` with a learner that has learnt something since."""
        if state is None and self._prepared.start_weights is None:
            self.learner.start_from(model_weights(self._new_model()), "a new model")
        else:
            self.take_up(run, step, state)

    def batches(self, index: int) -> list[Batch]:
        """The shards of the batch that step `index` (from 0) learns from."""
        return self._batch(index, self.learner.num_shards, self._concatenation)

    def dry_run(self, may_cut: bool) -> DryRun:
        """A step on the largest batch, forgotten again, on a learner that has learnt nothing yet.

        Raises DoesNotFit, if the batch may be cut into more shards; OutOfMemory.
        """
        always, longest = None, 0
        if self._concatenation is not None:
            always = self._concatenation._replace(rate=1.0)
            longest = always.max_length
        largest = self.schedule.largest(self._prepared.config.model.model_dim, longest)
        cut = partial(self._batch, largest, concatenation=always)
        return dry_run(self.learner, cut, may_cut)

    def _new_model(self) -> EncoderDecoder:
        config, tokenizer = self._prepared.config, self._prepared.tokenizer
        assert config.training.precision != "auto"
        sizes = len(tokenizer.source), len(tokenizer.target)
        return build_model(config, *sizes, config.training.precision, learns=True)

    def _batch(
        self, index: int, num_shards: int, concatenation: Concatenation | None
    ) -> list[Batch]:
        training, tokenizer = self._prepared.training, self._prepared.tokenizer
        return batch(
            training, tokenizer, self.schedule, index, num_shards, self._sampling, concatenation
        )
