"""Validation while training: the search and the scorer of `eval`, on the validation pairs.

It has a model of its own, so that averaged weights can be tried without touching those that learn.
"""

from __future__ import annotations

import time
from functools import cached_property

import tensorflow as tf

from translator.config.schema import Config
from translator.data.batches import Batch, pad
from translator.data.store import Store
from translator.data.tags import split_tag
from translator.data.tokenizer import PAD_ID, Tokenizer
from translator.decoding.translator import Translator
from translator.evaluation.score import bleu
from translator.evaluation.symptoms import search_symptoms, symptoms
from translator.models.build import build_model
from translator.models.weights import Arrays, set_model_weights
from translator.training.loop import Validation
from translator.training.loss import cross_entropy

_IDS = tf.TensorSpec([None, None], tf.int32)


class Validator:
    """Scores weights on the validation split."""

    def __init__(self, config: Config, store: Store, tokenizer: Tokenizer) -> None:
        self._config = config
        self._tokenizer = tokenizer
        self.pairs = list(store.pairs())
        self._batches = list(_batches(store, config))

    @cached_property
    def _translator(self) -> Translator:
        """Made at the first validation, so that training begins the sooner."""
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
        references = [pair.target for pair in self.pairs]
        language = self._config.data.target_language
        score = bleu(translations, references, self._config.evaluation, language)
        tags = self._tokenizer.source.tags
        sources = [split_tag(pair.source, tags)[1] for pair in self.pairs]
        shares = symptoms(sources, translations, references)._asdict() | search_symptoms(found)
        losses = self._translator.workers.map(self._loss, self._batches)
        total = sum(float(loss) for loss in losses)
        loss = total / sum(batch.num_target_tokens for batch in self._batches)
        seconds = time.monotonic() - started
        return Validation(score.value, score.signature, loss, seconds, translations, shares)

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


def _batches(store: Store, config: Config) -> list[Batch]:
    """The pairs by length, cut where longer ones would be in training.

    At most about a thousand target pieces together: the logits of all are in memory at once.
    """
    limit = config.data.max_length
    rows = sorted(range(len(store)), key=lambda i: len(store.target.ids(i)))
    size = max(1, 1024 // min(limit, int(store.target.lengths.max()) + 1))
    return [
        pad(
            [store.source.ids(i)[:limit] for i in rows[start : start + size]],
            [store.target.ids(i)[:limit] for i in rows[start : start + size]],
        )
        for start in range(0, len(rows), size)
    ]
