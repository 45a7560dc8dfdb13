"""Validation during training: the search and the metrics of `eval`, on the validation pairs.

Validation has its own model, so that it can score averaged weights without touching those in
training.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cached_property

import tensorflow as tf

from translator.config.schema import Config
from translator.data.batches import Batch, pad
from translator.data.store import Store
from translator.data.tags import split_tag
from translator.data.tokenizer import PAD_ID, Tokenizer
from translator.decoding.engine import Translation
from translator.decoding.translator import Translator
from translator.diagnostics.symptoms import search_symptoms, symptoms
from translator.evaluation.metrics import METRICS, check_training_metrics, validation_metrics
from translator.models.build import build_model
from translator.models.weights import Arrays, set_model_weights
from translator.training.loss import cross_entropy
from translator.training.results import Score, Validation

_IDS = tf.TensorSpec([None, None], tf.int32)


class Validator:
    """Scores weights on the validation split: BLEU always, and what training.best_by names."""

    def __init__(self, config: Config, store: Store, tokenizer: Tokenizer) -> None:
        """Raises ConfigError if a metric does not suit the references."""
        self._config = config
        self._tokenizer = tokenizer
        self.pairs = list(store.pairs())
        self._references = [pair.target for pair in self.pairs]
        check_training_metrics(config, self._references)
        self._batches = list(_batches(store, config))

    @cached_property
    def _translator(self) -> Translator:
        """Built at the first validation, so that training starts sooner."""
        config, tokenizer = self._config, self._tokenizer
        model = build_model(
            config, len(tokenizer.source), len(tokenizer.target), config.decoding.precision
        )
        return Translator(model, tokenizer, config.decoding, config.data.max_length)

    def __call__(self, weights: Arrays) -> Validation:
        started = time.monotonic()
        set_model_weights(self._translator.model, weights, "the weights in training")
        hypotheses = self._translator.hypotheses([pair.source for pair in self.pairs])
        found = [best for best, *_ in hypotheses]
        translations = [one.text for one in found]
        scores = self._scores(translations)
        loss = self._mean_loss()
        return Validation(
            scores=scores,
            loss=loss,
            rank=rank(self._config.training.best_by, scores, loss),
            seconds=time.monotonic() - started,
            translations=translations,
            symptoms=self._symptoms(found),
        )

    def _scores(self, translations: list[str]) -> dict[str, Score]:
        evaluation, language = self._config.evaluation, self._config.data.target_language
        return {
            key: score
            for metric in validation_metrics(self._config).values()
            for key, score in metric.by_key(
                translations, self._references, evaluation, language
            ).items()
        }

    def _symptoms(self, found: list[Translation]) -> dict[str, float]:
        tags = self._tokenizer.source.tags
        sources = [split_tag(pair.source, tags)[1] for pair in self.pairs]
        in_text = symptoms(sources, [one.text for one in found], self._references)
        in_search = search_symptoms(
            [one.at_limit for one in found], [one.num_stray_bytes for one in found]
        )
        return in_text._asdict() | in_search

    def _mean_loss(self) -> float:
        losses = self._translator.workers.map(self._loss, self._batches)
        total = sum(float(loss) for loss in losses)
        return total / sum(batch.num_target_tokens for batch in self._batches)

    @tf.function(input_signature=[Batch(_IDS, _IDS, _IDS)])
    def _loss(self, batch: Batch) -> tf.Tensor:
        model = self._translator.model
        states = model(batch.source, batch.target)
        real = tf.not_equal(batch.labels, PAD_ID)
        return cross_entropy(
            tf.boolean_mask(states, real),
            tf.convert_to_tensor(model.output_table.value),
            tf.boolean_mask(batch.labels, real),
            label_smoothing=0.0,
        )


def rank(best_by: str, scores: dict[str, Score], loss: float) -> float:
    """The score or loss that training.best_by names, negated if lower is better.

    scores: by key. If the metric has several, their mean counts.
    """
    if best_by == "loss":
        return -loss
    metric = METRICS[best_by]
    return metric.rank(scores[key] for key in metric.keys)


def _batches(store: Store, config: Config) -> Iterator[Batch]:
    """Yield the pairs in order of length, truncated to data.max_length.

    A batch has at most about a thousand target pieces, because all its logits are in memory at
    once. The longest pair determines the number of pairs of every batch. The batches must not
    change: sums would be rounded differently, and runs of earlier versions would resume with other
    losses.
    """
    limit = config.data.max_length
    rows = sorted(range(len(store)), key=lambda i: len(store.target.ids(i)))
    size = max(1, 1024 // min(limit, int(store.target.lengths.max()) + 1))
    for start in range(0, len(rows), size):
        chosen = rows[start : start + size]
        sides = (store.source, store.target)
        yield pad(*([side.ids(i)[:limit] for i in chosen] for side in sides))
