"""Sentences in, sentences out: a trained model with its tokenizer and search.

B sentences, K beams, S source length, L longest output.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from translator.config import Config, CorpusStatistics, Machine, load_config, resolve
from translator.config.loading import override
from translator.config.schema import DecodingConfig
from translator.data.batches import pad_rows
from translator.data.tokenizer import END_ID, PAD_ID, Tokenizer
from translator.decoding.beam import beam_search
from translator.decoding.search import Hypotheses
from translator.errors import ConfigError, RunError
from translator.models.build import build_model, check_size
from translator.models.encoder_decoder import EncoderDecoder
from translator.models.weights import load_arrays, set_model_weights
from translator.runs import RunDirectory

LINES_AT_ONCE = 2048
"""Lines of a stream that are sorted by length together."""


LARGEST_LOGITS = 2**24
"""Numbers in the logits of one step of the search: short sentences make no boundless batch."""


class Translation(NamedTuple):
    """A hypothesis, and what was made of its source."""

    text: str
    score: float
    """Log-probability over length penalty."""
    num_unread: int = 0
    """Pieces of the source beyond data.max_length, which were not read."""


class Translator:
    """Translates sentences; the result for one does not depend on those beside it."""

    def __init__(
        self, model: EncoderDecoder, tokenizer: Tokenizer, config: DecodingConfig, max_length: int
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self._config = config
        self._max_length = max_length
        size_of_logits = config.beam_size * len(tokenizer.target)
        self._most_sentences = max(1, LARGEST_LOGITS // size_of_logits)

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Translator:
        """The best model of a run; overrides such as "decoding.beam_size=1".

        Raises RunError if there is no such run or it is damaged, ConfigError for a wrong override.
        """
        run = RunDirectory.existing(Path(path))
        config = load_run_config(run, overrides)
        tokenizer = Tokenizer.load(run.tokenizer(config.tokenizer.joint))
        if not run.best.exists():
            raise RunError(
                f"{run.path}: no weights have been validated yet; train on to the first validation."
            )
        weights, _ = load_arrays(run.best)
        check_size(config.model, weights, str(run.best))
        model = build_model(
            config, len(tokenizer.source), len(tokenizer.target), config.decoding.precision
        )
        set_model_weights(model, weights, str(run.best))
        return cls(model, tokenizer, config.decoding, config.data.max_length)

    def translate(self, sentences: Sequence[str]) -> list[str]:
        """The best translation of each sentence, in order; an empty one for an empty one."""
        if isinstance(sentences, str):
            raise TypeError("translate takes a list of sentences; put the one you have in brackets")
        return [hypotheses[0].text for hypotheses in self.hypotheses(sentences)]

    def stream(self, lines: Iterable[str], num_returned: int = 1) -> Iterator[list[Translation]]:
        """`hypotheses` of a stream of lines that need not fit into memory."""
        iterator = iter(lines)
        while chunk := list(islice(iterator, LINES_AT_ONCE)):
            yield from self.hypotheses(chunk, num_returned)

    def hypotheses(
        self, sentences: Sequence[str], num_returned: int = 1
    ) -> list[list[Translation]]:
        """The best num_returned translations of each sentence (or all that there are), best first.

        Raises ConfigError if the beam cannot give so many; RunError if the model gives no numbers.
        """
        if not 1 <= num_returned <= self._config.beam_size:
            raise ConfigError(
                f"A beam of decoding.beam_size {self._config.beam_size} gives 1 to "
                f"{self._config.beam_size} translations of a sentence, not {num_returned}."
            )
        pieces = self.tokenizer.source.encode(sentences)
        results: list[list[Translation]] = [[Translation("", 0.0)] for _ in sentences]
        read = {i: row[: self._max_length] for i, row in enumerate(pieces) if row}
        for batch in self._batches(read):
            found = self._search(
                tf.constant(pad_rows([[*read[i], END_ID] for i in batch])),
                tf.constant(self._config.beam_size),
                tf.constant(num_returned),
            )
            ids, scores = found.ids.numpy(), found.scores.numpy()
            for i, row_ids, row_scores in zip(batch, ids, scores, strict=True):
                num_unread = len(pieces[i]) - len(read[i])
                texts = self.tokenizer.target.decode(
                    [_without_end(row) for row in row_ids[:num_returned]]
                )
                results[i] = [
                    Translation(_one_line(text), float(score), num_unread)
                    for text, score in zip(texts, row_scores, strict=False)
                    if np.isfinite(score)
                ]
                if not results[i]:
                    raise RunError(
                        "The model gives no finite scores: its weights are damaged, or too large "
                        "for the precision."
                    )
        return results

    def _batches(self, read: dict[int, list[int]]) -> Iterator[list[int]]:
        """Sentences of like length together, longest first."""
        batch: list[int] = []
        for i in sorted(read, key=lambda i: -len(read[i])):
            longest = len(read[batch[0] if batch else i]) + 1
            full = (len(batch) + 1) * longest > self._config.tokens_per_batch
            if batch and (full or len(batch) == self._most_sentences):
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.int32),
        ]
    )
    def _search(
        self, source: tf.Tensor, beam_size: tf.Tensor, num_returned: tf.Tensor
    ) -> Hypotheses:
        lengths = tf.reduce_sum(tf.cast(tf.not_equal(source, PAD_ID), tf.float32), axis=1)
        longest = self._config.max_length_ratio * lengths + self._config.max_length_extra
        step, fixed, growing = self.model.start(self.model.encode(source), beam_size)
        return beam_search(
            step,
            fixed,
            growing,
            tf.cast(longest, tf.int32),
            beam_size=beam_size,
            alpha=self._config.length_penalty,
            num_returned=num_returned,
        )


def load_run_config(run: RunDirectory, overrides: Sequence[str] = ()) -> Config:
    """The configuration that a run keeps, with overrides applied, and its precision for `auto`."""
    config = override(load_config(run.config), overrides)
    return resolve(config, CorpusStatistics(num_pairs=0), Machine(bfloat16_speedup=None))


def _without_end(ids: np.ndarray) -> list[int]:
    return [int(i) for i in ids if i not in (PAD_ID, END_ID)]


def _one_line(text: str) -> str:
    """Bytes that spell a line break must not make two lines of one."""
    return text.replace("\r", " ").replace("\n", " ")
