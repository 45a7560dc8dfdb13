"""Sentences in, sentences out: a trained model with its tokenizer and search.

B sentences, K beams, S source length, L longest output.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
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
from translator.models.encoder_decoder import EncoderDecoder, Memory
from translator.models.weights import load_arrays, set_model_weights
from translator.runs import RunDirectory, read_json

LINES_AT_ONCE = 2048
"""Lines of a stream that are sorted by length together."""

LARGEST_LOGITS = 2**24
"""Numbers in the logits of one step of the search: short sentences make no boundless batch."""

TUNED = ("beam_size", "length_penalty")
"""Keys of decoding that `translator tune` may have chosen for the run."""


class Translation(NamedTuple):
    """A hypothesis, and what was made of its source."""

    text: str
    score: float
    """Log-probability over length penalty."""
    length: int = 0
    """In pieces, its end counted."""
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
        beam_size = self._config.beam_size
        if not 1 <= num_returned <= beam_size:
            raise ConfigError(
                f"A beam of decoding.beam_size {beam_size} gives 1 to {beam_size} translations of "
                f"a sentence, not {num_returned}."
            )
        wanted = {beam_size: num_returned}
        return self._searched(sentences, wanted, self._config.length_penalty)[beam_size]

    def beams(
        self, sentences: Sequence[str], beam_sizes: Sequence[int]
    ) -> dict[int, list[list[Translation]]]:
        """All that ends up in beams of several sizes, each sentence being read once.

        The scores are plain log-probabilities: what a beam holds in the end, if one waits until all
        of it has ended, does not depend on the length penalty; only what is best in it does.
        """
        return self._searched(sentences, {size: size for size in beam_sizes}, 0.0)

    def _searched(
        self, sentences: Sequence[str], num_returned: Mapping[int, int], alpha: float
    ) -> dict[int, list[list[Translation]]]:
        """The best translations by beam size: as many for each sentence as are asked for."""
        pieces = self.tokenizer.source.encode(sentences)
        results: dict[int, list[list[Translation]]] = {
            beam_size: [[Translation("", 0.0)] for _ in sentences] for beam_size in num_returned
        }
        read = {i: row[: self._max_length] for i, row in enumerate(pieces) if row}
        for batch in self._batches(read, max(num_returned)):
            memory = self._encode(tf.constant(pad_rows([[*read[i], END_ID] for i in batch])))
            lengths = np.array([len(read[i]) + 1 for i in batch], np.float32)
            longest = self._config.max_length_ratio * lengths + self._config.max_length_extra
            for beam_size, count in num_returned.items():
                found = self._search(
                    memory,
                    tf.constant(longest.astype(np.int32)),
                    tf.constant(beam_size),
                    tf.constant(count),
                    tf.constant(alpha),
                )
                ids, scores = found.ids.numpy()[:, :count], found.scores.numpy()
                for i, row_ids, row_scores in zip(batch, ids, scores, strict=True):
                    num_unread = len(pieces[i]) - len(read[i])
                    results[beam_size][i] = self._written(row_ids, row_scores, num_unread)
        return results

    def _written(self, ids: np.ndarray, scores: np.ndarray, num_unread: int) -> list[Translation]:
        """What a search has found for a sentence, [K, L] and [K], as text. Raises RunError."""
        texts = self.tokenizer.target.decode([_without_end(row) for row in ids])
        lengths = np.count_nonzero(ids != PAD_ID, axis=1)
        found = [
            Translation(_one_line(text), float(score), int(length), num_unread)
            for text, score, length in zip(texts, scores, lengths, strict=False)
            if np.isfinite(score)
        ]
        if not found:
            raise RunError(
                "The model gives no finite scores: its weights are damaged, or too large for the "
                "precision."
            )
        return found

    def _batches(self, read: dict[int, list[int]], beam_size: int) -> Iterator[list[int]]:
        """Sentences of like length together, longest first."""
        most_sentences = max(1, LARGEST_LOGITS // (beam_size * len(self.tokenizer.target)))
        batch: list[int] = []
        for i in sorted(read, key=lambda i: -len(read[i])):
            longest = len(read[batch[0] if batch else i]) + 1
            full = (len(batch) + 1) * longest > self._config.tokens_per_batch
            if batch and (full or len(batch) == most_sentences):
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch

    @cached_property
    def _encode(self) -> tf.types.experimental.PolymorphicFunction:
        """[B, S] source ids → memory."""
        ids = tf.TensorSpec([None, None], tf.int32)
        return tf.function(self.model.encode, input_signature=[ids], autograph=False)

    @cached_property
    def _search(self) -> tf.types.experimental.PolymorphicFunction:
        """Memory, longest lengths [B], beam size, how many to return, α → Hypotheses."""

        def search(
            memory: Memory,
            max_lengths: tf.Tensor,
            beam_size: tf.Tensor,
            num_returned: tf.Tensor,
            alpha: tf.Tensor,
        ) -> Hypotheses:
            start = self.model.start(memory, beam_size)
            return beam_search(
                *start, max_lengths, beam_size=beam_size, alpha=alpha, num_returned=num_returned
            )

        memory = tf.nest.map_structure(
            lambda x: tf.TensorSpec(x.shape, x.dtype),
            self._encode.get_concrete_function().structured_outputs,
        )
        count, number = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)
        signature = [memory, tf.TensorSpec([None], tf.int32), count, count, number]
        return tf.function(search, input_signature=signature, autograph=False)


def load_run_config(run: RunDirectory, overrides: Sequence[str] = ()) -> Config:
    """The configuration that a run keeps, with what was tuned, with overrides over both, and with
    its precision for `auto`."""
    tuned = read_json(run.tuned) if run.tuned.exists() else {}
    found = [f"decoding.{key}={tuned[key]}" for key in TUNED if key in tuned]
    config = override(load_config(run.config), [*found, *overrides])
    return resolve(config, CorpusStatistics(num_pairs=0), Machine(bfloat16_speedup=None))


def _without_end(ids: np.ndarray) -> list[int]:
    return [int(i) for i in ids if i not in (PAD_ID, END_ID)]


def _one_line(text: str) -> str:
    """Bytes that spell a line break must not make two lines of one."""
    return text.replace("\r", " ").replace("\n", " ")
