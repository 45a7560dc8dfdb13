"""Sentences in, sentences out: a trained model with its tokenizer and search.

B sentences, K beams, S source length, L longest output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import chain
from pathlib import Path
from threading import Lock

import tensorflow as tf

from translator.config.schema import DecodingConfig
from translator.data.batches import pad_rows
from translator.data.tokenizer import END_ID, PAD_ID, Tokenizer
from translator.decoding.beam import beam_search
from translator.decoding.engine import Engine, Translation
from translator.decoding.loaded_run import LoadedRun, load_run
from translator.decoding.search import Hypotheses, length_penalty, longest_translation
from translator.environment import begin_threads, num_threads
from translator.layers.inference import inference
from translator.models.build import build_model, check_size
from translator.models.encoder_decoder import EncoderDecoder, Memory
from translator.models.weights import set_model_weights
from translator.runs import RunDirectory


class Translator(Engine):
    """Our own search on our own model."""

    def __init__(
        self,
        model: EncoderDecoder,
        tokenizer: Tokenizer,
        config: DecodingConfig,
        max_length: int,
        frozen: bool = False,
    ) -> None:
        """frozen: the model's weights are to stay as they are once it has translated."""
        self.model = model
        self.tokenizer = tokenizer
        self.beam_size = config.beam_size
        self.max_length = max_length
        self.tokens_per_batch = config.tokens_per_batch
        self._config = config
        self._frozen = frozen
        self._making_graphs = Lock()

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Translator:
        """The best model of a run or bundle, with the decoding that was tuned for it; overrides
        such as "decoding.beam_size=1" win over both.

        Raises RunError if there is no such run or it is damaged, ConfigError for a wrong override.
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

    def _search(
        self, read: Mapping[int, Sequence[int]], num_returned: int
    ) -> Iterator[tuple[int, list[list[int]], list[float]]]:
        found = self._found(read, {self.beam_size: num_returned}, self._config.length_penalty)
        return ((i, ids, scores) for i, _, ids, scores in found)

    def beams(
        self, sentences: Sequence[str], beam_sizes: Sequence[int]
    ) -> dict[int, list[list[Translation]]]:
        """All that ends up in beams of several sizes, each sentence being read once.

        The scores are plain log-probabilities: what a beam holds in the end, if one waits until all
        of it has ended, does not depend on the length penalty; only what is best in it does.
        """
        read, num_unread = self._read(sentences)
        found: dict[int, list[tuple[int, list[list[int]], list[float]]]] = {
            size: [] for size in beam_sizes
        }
        for i, size, ids, scores in self._found(read, {size: size for size in beam_sizes}, 0.0):
            found[size].append((i, ids, scores))
        return {size: self._written(one, read, num_unread) for size, one in found.items()}

    def greedy(self, rows: Sequence[Sequence[int]]) -> list[tuple[list[int], bool]]:
        """Ids of sources → those of their greedy translations, all without ends, and whether these
        ended before they had to."""
        results: list[tuple[list[int], bool]] = [([], False)] * len(rows)
        for i, _, [ids], _ in self._found(dict(enumerate(rows)), {1: 1}, 0.0):
            results[i] = ids, len(ids) + 1 < self._longest(len(rows[i]))
        return results

    def _longest(self, num_pieces: int) -> int:
        return longest_translation(self._config, num_pieces)

    def _found(
        self, read: Mapping[int, Sequence[int]], num_returned: Mapping[int, int], alpha: float
    ) -> Iterator[tuple[int, int, list[list[int]], list[float]]]:
        """What searches of several beam sizes find for sources, their ids given by number: the
        number, the beam size, ids without ends and scores of as many as are asked for."""
        begin_threads("TensorFlow")
        with self._making_graphs:
            encode, find = self._encode, self._beam_search

        def search(batch: list[int]) -> list[tuple[int, int, list[list[int]], list[float]]]:
            memory = encode(tf.constant(pad_rows([[*read[i], END_ID] for i in batch])))
            longest = [self._longest(len(read[i])) for i in batch]
            results = []
            for beam_size, count in num_returned.items():
                found = find(
                    memory,
                    tf.constant(longest),
                    tf.constant(beam_size),
                    tf.constant(count),
                    tf.constant(alpha),
                )
                ids, scores = (x.numpy()[:, :count].tolist() for x in found)
                for i, rows, scores_of_one in zip(batch, ids, scores, strict=True):
                    rows = [[id_ for id_ in row if id_ not in (PAD_ID, END_ID)] for row in rows]
                    results.append((i, beam_size, rows, scores_of_one))
            return results

        batches = self._batches(read, max(num_returned), self._num_workers)
        return chain.from_iterable(self.workers.map(search, batches))

    @cached_property
    def _num_workers(self) -> int:
        """The operations of one search come one after the other, and most are small."""
        return 1 if tf.config.list_physical_devices("GPU") else num_threads()

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
        """Memory, longest lengths [B], beam size, how many to return, α → Hypotheses."""
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
                )

        memory = tf.nest.map_structure(
            lambda x: tf.TensorSpec(x.shape, x.dtype),
            self._encode.get_concrete_function().structured_outputs,
        )
        count, number = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)
        signature = [memory, tf.TensorSpec([None], tf.int32), count, count, number]
        return tf.function(search, input_signature=signature, autograph=False)
