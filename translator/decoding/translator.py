"""Sentences in, sentences out: a trained model with its tokenizer and our own search.

B sentences, K beams, S source length, L longest output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import chain
from pathlib import Path
from threading import Lock

import numpy as np
import tensorflow as tf

from translator.config.schema import DecodingConfig
from translator.data.batches import pad_rows
from translator.data.tokenizer import END_ID, PAD_ID, Tokenizer
from translator.decoding.beam import beam_search
from translator.decoding.engine import Begun, Engine, Found, Translation
from translator.decoding.loaded_run import LoadedRun, load_run
from translator.decoding.packing import pack
from translator.decoding.rules import rules_of
from translator.decoding.search import Hypotheses, length_penalty, longest_translation
from translator.environment import begin_threads, num_threads
from translator.layers.inference import inference
from translator.models.build import build_model, check_size
from translator.models.seq2seq import Memory, Seq2SeqModel
from translator.models.weights import set_model_weights
from translator.processors import has_gpu
from translator.runs import RunDirectory


class Translator(Engine):
    """An engine with a model of ours, which it searches with `ModelSearch`."""

    search: ModelSearch

    def __init__(
        self,
        model: Seq2SeqModel,
        tokenizer: Tokenizer,
        config: DecodingConfig,
        max_length: int,
        frozen: bool = False,
    ) -> None:
        """frozen: the model's weights never change once it has translated."""
        search = ModelSearch(model, config, len(tokenizer.target), frozen)
        super().__init__(tokenizer, search, max_length)
        self.model = model

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Translator:
        """The best model of a run or bundle, with the decoding that was tuned for it.

        Overrides, such as "decoding.beam_size=1", win over both. Raises RunError if there is no
        such run or it is damaged, ConfigError for a wrong override.
        """
        return cls.of(load_run(RunDirectory.existing(Path(path)), overrides))

    @classmethod
    def of(cls, run: LoadedRun, frozen: bool = True) -> Translator:
        """The model of a run that was read. Raises RunError if the weights do not fit it."""
        begin_threads("TensorFlow")
        config, tokenizer, origin = run.config, run.tokenizer, str(run.origin)
        check_size(config, tokenizer, run.weights, origin)
        model = build_model(
            config, len(tokenizer.source), len(tokenizer.target), config.decoding.precision
        )
        set_model_weights(model, run.weights, origin)
        return cls(model, tokenizer, config.decoding, config.data.max_length, frozen)

    @property
    def workers(self) -> ThreadPoolExecutor:
        """The threads that search."""
        return self.search.workers

    def beams(
        self, sentences: Sequence[str], beam_sizes: Sequence[int]
    ) -> dict[int, list[list[Translation]]]:
        """Everything that ends up in beams of several sizes, each sentence being encoded once.

        The scores are plain log-probabilities. If a search continues until all of its beam has
        ended, what the beam holds does not depend on the length penalty; only what is best in it
        does.
        """
        sources, num_unread = self._read(sentences)
        found: dict[int, list[Found]] = {size: [] for size in beam_sizes}
        for size, one in self.search.find_in_beams(sources, {size: size for size in beam_sizes}, 0):
            found[size].append(one)
        return {
            size: self._written(Begun(sources, num_unread, iter(each)))
            for size, each in found.items()
        }

    def greedy(self, rows: Sequence[Sequence[int]]) -> list[tuple[list[int], bool]]:
        """Greedy translations of sources, all in ids without ends, and whether each ended before it
        had to."""
        results: list[tuple[list[int], bool]] = [([], False)] * len(rows)
        for _, found in self.search.find_in_beams(dict(enumerate(rows)), {1: 1}, 0.0):
            [ids] = found.ids
            results[found.number] = ids, len(ids) + 1 < self.search.longest(len(rows[found.number]))
        return results


class ModelSearch:
    """Our own search on our own model; several threads search at the same time."""

    def __init__(
        self, model: Seq2SeqModel, config: DecodingConfig, vocabulary_size: int, frozen: bool
    ) -> None:
        """vocabulary_size: of the target. frozen: the weights never change after the first use."""
        self.model = model
        self.beam_size = config.beam_size
        self._config = config
        self._vocabulary_size = vocabulary_size
        self._frozen = frozen
        self._making_graphs = Lock()

    def find(self, sources: Mapping[int, Sequence[int]], num_returned: int) -> Iterator[Found]:
        """`Search.find`"""
        wanted = {self.beam_size: num_returned}
        found = self.find_in_beams(sources, wanted, self._config.length_penalty)
        return (one for _, one in found)

    def find_in_beams(
        self, sources: Mapping[int, Sequence[int]], num_returned: Mapping[int, int], alpha: float
    ) -> Iterator[tuple[int, Found]]:
        """Search with beams of several sizes.

        num_returned: by beam size, how many translations to return. alpha: of the length penalty.
        Returns beam sizes and results in any order. All searches begin at once.
        """
        begin_threads("TensorFlow")
        with self._making_graphs:
            encode, beam_search = self._encode, self._beam_search

        def search(batch: list[int]) -> list[tuple[int, Found]]:
            memory = encode(tf.constant(pad_rows([[*sources[i], END_ID] for i in batch])))
            longest = tf.constant([self.longest(len(sources[i])) for i in batch])
            results = []
            for beam_size, count in num_returned.items():
                options = tf.constant(beam_size), tf.constant(count), tf.constant(float(alpha))
                ids, scores, _ = beam_search(memory, longest, *options)
                best = ids.numpy()[:, :count], scores.numpy()[:, :count]
                results += [(beam_size, _found(*one)) for one in zip(batch, *best, strict=True)]
            return results

        batches = pack(
            sources,
            self.longest,
            beam_size=max(num_returned),
            tokens_per_batch=self._config.tokens_per_batch,
            vocabulary_size=self._vocabulary_size,
            num_workers=self._num_workers,
        )
        return chain.from_iterable(self.workers.map(search, batches))

    def longest(self, num_pieces: int) -> int:
        """`Search.longest`"""
        return longest_translation(self._config, num_pieces)

    @cached_property
    def _num_workers(self) -> int:
        """The operations of one search come one after the other, and most are small."""
        return 1 if has_gpu() else num_threads()

    @cached_property
    def workers(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._num_workers)

    @cached_property
    def _encode(self) -> tf.types.experimental.PolymorphicFunction:
        """[B, S] source ids → memory."""

        def encode(source: tf.Tensor) -> Memory:
            with inference(self._frozen):
                return self.model.encode(source)

        ids = tf.TensorSpec([None, None], tf.int32)
        return tf.function(encode, input_signature=[ids], autograph=False)

    @cached_property
    def _beam_search(self) -> tf.types.experimental.PolymorphicFunction:
        """Memory, longest lengths [B], beam size, number to return, α → Hypotheses."""
        kind = self._config.length_penalty_kind

        def search(
            memory: Memory,
            max_lengths: tf.Tensor,
            beam_size: tf.Tensor,
            num_returned: tf.Tensor,
            alpha: tf.Tensor,
        ) -> Hypotheses:
            with inference(self._frozen):
                return beam_search(
                    *self.model.start(memory),
                    max_lengths,
                    beam_size=beam_size,
                    penalty=lambda length: length_penalty(length, alpha, kind),
                    num_returned=num_returned,
                    rules=rules_of(self._config, max_lengths),
                )

        memory = tf.nest.map_structure(
            lambda x: tf.TensorSpec(x.shape, x.dtype),
            self._encode.get_concrete_function().structured_outputs,
        )
        count, number = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)
        signature = [memory, tf.TensorSpec([None], tf.int32), count, count, number]
        return tf.function(search, input_signature=signature, autograph=False)


def _found(number: int, ids: np.ndarray, scores: np.ndarray) -> Found:
    """ids [K, L] padded, with ends; scores [K]."""
    rows = [[id_ for id_ in row if id_ not in (PAD_ID, END_ID)] for row in ids.tolist()]
    return Found(number, rows, scores.tolist())
