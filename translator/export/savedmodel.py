"""Export of a model and our search to a TensorFlow SavedModel, and an engine that runs it.

It runs in Python, C++ or TensorFlow Serving without our code and without custom operations. Its
input is ids, not text: rows of source ids are padded with 0 and have no end.

B sentences, S source length, T target length, K beams, L longest output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from translator.config import Config
from translator.data.batches import pad_rows
from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID, Tokenizer, Vocabulary
from translator.decoding.beam import beam_search
from translator.decoding.engine import Engine, Found
from translator.decoding.packing import pack
from translator.decoding.rules import rules_of
from translator.decoding.search import Hypotheses, length_penalty
from translator.environment import begin_threads
from translator.errors import RunError
from translator.export.example import TEXT_OF
from translator.export.golden import log_probs_of
from translator.models.seq2seq import Seq2SeqModel

EXAMPLE = f'''\
"""Translates standard input, a sentence a line. Needs: pip install tensorflow sentencepiece"""
import itertools, json, os, sys
from pathlib import Path
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import sentencepiece, tensorflow as tf
here = Path(__file__).parent
source, target = (sentencepiece.SentencePieceProcessor(str(here / name)) for name in {{names}})
longest = json.loads((here / "export.json").read_text(encoding="utf-8"))["max_length"]
translate = tf.saved_model.load(str(here / "1")).signatures["serving_default"]

{TEXT_OF}
for line in sys.stdin:
    ids = source.encode(line.rstrip("\\n"))[:longest] or [0]  # the id of a tag goes in front
    best = translate(source_ids=tf.constant([ids]))["ids"][0].numpy()
    print(text_of([int(i) for i in best if i]), flush=True)
'''

VERSION = "1"
"""Folder of the model in an export. TensorFlow Serving requires a number."""


def signatures(model: Seq2SeqModel, config: Config) -> dict[str, Any]:
    """The functions of the graph, by name. They return ids that are padded and have no end."""
    alpha, kind = config.decoding.length_penalty, config.decoding.length_penalty_kind
    limit = config.decoding.length_limit

    def penalty(length: tf.Tensor) -> tf.Tensor:
        return length_penalty(length, alpha, kind)

    def search(
        source_ids: tf.Tensor, beam_size: int | tf.Tensor, num_returned: int | tf.Tensor
    ) -> Hypotheses:
        source = _with_end(source_ids[:, : config.data.max_length])
        num_pieces = tf.math.count_nonzero(source, axis=1, dtype=tf.int32)
        longest = tf.cast(num_pieces, tf.float64) * limit.ratio
        max_lengths = tf.cast(longest, tf.int32) + limit.extra
        hypotheses = beam_search(
            *model.start(model.encode(source)),
            max_lengths,
            beam_size=beam_size,
            penalty=penalty,
            num_returned=num_returned,
            rules=rules_of(config.decoding, max_lengths),
        )
        is_piece = (hypotheses.ids != END_ID) & (num_pieces > 1)[:, tf.newaxis, tf.newaxis]
        return hypotheses._replace(ids=tf.where(is_piece, hypotheses.ids, PAD_ID))

    @tf.function(input_signature=[_ids_spec("source_ids")], autograph=False)
    def translate(source_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """The best translation of each sentence: ids [B, L] and scores [B]."""
        best = search(source_ids, config.decoding.beam_size, 1)
        return {"ids": best.ids[:, 0], "scores": best.scores[:, 0]}

    beam_size = tf.TensorSpec([], tf.int32, "beam_size")

    @tf.function(input_signature=[_ids_spec("source_ids"), beam_size], autograph=False)
    def beams(source_ids: tf.Tensor, beam_size: tf.Tensor) -> dict[str, tf.Tensor]:
        """All hypotheses of a beam of any size, best first: ids [B, K, L] and scores [B, K].

        A beam with fewer than K hypotheses has scores of -inf for the rest.
        """
        hypotheses = search(source_ids, beam_size, beam_size)
        return {"ids": hypotheses.ids, "scores": hypotheses.scores}

    @tf.function(
        input_signature=[_ids_spec("source_ids"), _ids_spec("target_ids")], autograph=False
    )
    def log_probs(source_ids: tf.Tensor, target_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """[B, T + 1] log-probabilities of the pieces of targets [B, T] and of their ends."""
        labels = _with_end(target_ids)
        begin = tf.fill([tf.shape(labels)[0], 1], BEGIN_ID)
        target = tf.concat([begin, target_ids], axis=1)
        return {"log_probs": log_probs_of(model, _with_end(source_ids), target, labels)}

    return {"serving_default": translate, "beams": beams, "log_probs": log_probs}


class SavedModel(Engine):
    """Translates with an exported SavedModel."""

    search: SavedModelSearch

    def __init__(
        self, folder: Path, tokenizer: Tokenizer, config: Config, usual_beam_size: int
    ) -> None:
        """usual_beam_size: the beam size at export.

        Raises RunError if TensorFlow cannot load the export.
        """
        search = SavedModelSearch(folder, config, len(tokenizer.target), usual_beam_size)
        super().__init__(tokenizer, search, config.data.max_length)

    def forced(
        self, sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """`golden.Scorer`."""
        source, target = self.tokenizer
        log_probs = self.search.log_probs(_ids(source, sources), _ids(target, targets))
        return [
            row[: len(pieces) + 1].tolist() for row, pieces in zip(log_probs, targets, strict=True)
        ]

    def greedy(self, sources: Sequence[Sequence[str]]) -> list[list[str]]:
        """`golden.Scorer`."""
        source, target = self.tokenizer
        ids, _ = self.search.beams(_ids(source, sources), 1)
        return [[target.piece(i) for i in _without_padding(row)] for row in ids[:, 0]]


class SavedModelSearch:
    """`Search` by the functions of a SavedModel."""

    def __init__(
        self, folder: Path, config: Config, vocabulary_size: int, usual_beam_size: int
    ) -> None:
        self.beam_size, self._usual_beam_size = config.decoding.beam_size, usual_beam_size
        self._tokens_per_batch = config.decoding.tokens_per_batch
        self._limit = config.decoding.length_limit
        self._vocabulary_size = vocabulary_size
        begin_threads("TensorFlow")
        try:
            self._signatures = tf.saved_model.load(str(folder / VERSION)).signatures
        except Exception as error:  # a damaged graph makes TensorFlow raise anything
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise RunError(
                f"{folder}: TensorFlow cannot load this export: {reason}. Export the run again."
            ) from None

    def find(self, sources: Mapping[int, Sequence[int]], num_returned: int) -> Iterator[Found]:
        """`Search.find`"""
        begin_threads("TensorFlow")
        for batch in pack(
            sources,
            self.longest,
            beam_size=self.beam_size,
            tokens_per_batch=self._tokens_per_batch,
            vocabulary_size=self._vocabulary_size,
        ):
            rows = tf.constant(pad_rows([sources[i] for i in batch]))
            if num_returned == 1 and self.beam_size == self._usual_beam_size:
                best = self._signatures["serving_default"](source_ids=rows)
                ids, scores = (best[name].numpy()[:, np.newaxis] for name in ("ids", "scores"))
            else:
                ids, scores = self.beams(rows, self.beam_size)
            for i, beam, beam_scores in zip(batch, ids, scores, strict=True):
                translations = [_without_padding(row) for row in beam[:num_returned]]
                yield Found(i, translations, beam_scores[:num_returned].tolist())

    def longest(self, num_pieces: int) -> int:
        """`Search.longest`"""
        return self._limit.of(num_pieces)

    def beams(self, source_ids: tf.Tensor, beam_size: int) -> tuple[np.ndarray, np.ndarray]:
        """All hypotheses of each beam: ids [B, K, L] and scores [B, K]."""
        beams = self._signatures["beams"](source_ids=source_ids, beam_size=tf.constant(beam_size))
        return beams["ids"].numpy(), beams["scores"].numpy()

    def log_probs(self, source_ids: tf.Tensor, target_ids: tf.Tensor) -> np.ndarray:
        """[B, T + 1] log-probabilities of the pieces of targets [B, T] and of their ends."""
        outputs = self._signatures["log_probs"](source_ids=source_ids, target_ids=target_ids)
        log_probs: np.ndarray = outputs["log_probs"].numpy()
        return log_probs


def save(folder: Path, model: Seq2SeqModel, config: Config) -> None:
    """Write the SavedModel into the folder of an export. The model must compute in float32."""
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    tf.saved_model.save(module, str(folder / VERSION), signatures(model, config))


def _ids_spec(name: str) -> tf.TensorSpec:
    return tf.TensorSpec([None, None], tf.int32, name)


def _with_end(ids: tf.Tensor) -> tf.Tensor:
    """Append the end to each padded row: [B, S] → [B, S + 1]."""
    length = tf.math.count_nonzero(ids, axis=1, dtype=tf.int32)
    padded = tf.pad(ids, [[0, 0], [0, 1]], constant_values=PAD_ID)
    is_end = tf.range(tf.shape(padded)[1]) == length[:, tf.newaxis]
    return tf.where(is_end, END_ID, padded)


def _ids(vocabulary: Vocabulary, rows: Sequence[Sequence[str]]) -> tf.Tensor:
    return tf.constant(pad_rows([[vocabulary.id(piece) for piece in row] for row in rows]))


def _without_padding(row: np.ndarray) -> list[int]:
    return [int(i) for i in row if i != PAD_ID]
