"""A training session: the train step of a run in this process, and its batches."""

from __future__ import annotations

from functools import partial

import tensorflow as tf

from translator.data.batch_schedule import BatchSchedule
from translator.data.batches import Batch, batch
from translator.data.concatenation import Concatenation
from translator.data.mixture import mix
from translator.data.subword_sampling import SubwordSampling
from translator.layers.dense import need_fresh_weights
from translator.models.build import build_model
from translator.models.seq2seq import Seq2SeqModel
from translator.models.weights import Arrays, model_weights
from translator.processors import share_processors
from translator.runs import RunDirectory
from translator.training.distributed.strategy import local_strategy, shards_at_once
from translator.training.dry_run import DryRun, dry_run
from translator.training.limits import total_steps
from translator.training.train_step import TrainStep
from translator.workflows.prepared import Prepared


class TrainingSession:
    """The train step, with the run's first weights, and the batches. Equal on all workers."""

    def __init__(
        self, run: RunDirectory, prepared: Prepared, strategy: tf.distribute.Strategy | None
    ) -> None:
        """Without a strategy, this process trains alone, on all devices of the machine.

        Raises RunError if the weights to start from do not fit.
        """
        config = prepared.config
        self._run = run
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
            self.train_step = TrainStep(self._new_model(), config.training, at_once)
        if prepared.start_weights is not None:
            self.train_step.start_from(prepared.start_weights, str(run.start))
        self._sampling = None
        if config.tokenizer.sampling_alpha is not None:
            self._sampling = SubwordSampling(
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

    def restore(self, step: int, arrays: Arrays | None) -> None:
        """Set the train step to the arrays of a checkpoint, or to its first weights for None.

        Raises RunError if they do not fit.
        """
        if arrays is not None:
            self.train_step.restore(arrays, str(self._run.checkpoint(step)))
        elif self._prepared.start_weights is not None:
            self.train_step.start_from(self._prepared.start_weights, str(self._run.start))
        else:
            self.train_step.start_from(model_weights(self._new_model()), "a new model")

    def batches(self, index: int) -> list[Batch]:
        """The shards of a batch, counted from 0; step n learns from batch n − 1."""
        return self._batch(index, self.train_step.num_shards, self._concatenation)

    def dry_run(self, may_cut: bool) -> DryRun:
        """Take a step on the largest batch and undo it, before the first one.

        Raises OutOfMemory, and DoesNotFit if the batch may be cut into more shards.
        """
        always, longest = None, 0
        if self._concatenation is not None:
            always = self._concatenation._replace(rate=1.0)
            longest = always.max_length
        largest = self.schedule.largest(self._prepared.config.model.model_dim, longest)
        cut = partial(self._batch, largest, concatenation=always)
        return dry_run(self.train_step, cut, may_cut)

    def _new_model(self) -> Seq2SeqModel:
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
