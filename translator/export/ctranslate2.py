"""Export to CTranslate2, and an engine that translates with the export.

CTranslate2 (an optional package) translates in C++, without TensorFlow. Its kernels are [out, in],
ours are [in, out]. It stacks the projections of queries, keys and values of self-attention in one
matrix, and those of keys and values of cross-attention in another.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ctranslate2
import numpy as np
from ctranslate2.specs import attention_spec, common_spec, transformer_spec

from translator.config import Config
from translator.data.tokenizer import (
    BEGIN_ID,
    END_ID,
    PAD_ID,
    UNKNOWN_ID,
    Tokenizer,
)
from translator.decoding.engine import Engine, Found
from translator.environment import begin_threads, num_threads
from translator.errors import RunError
from translator.export.example import TEXT_OF

if TYPE_CHECKING:
    from translator.alignment.run_files import Reading
    from translator.models.weights import Arrays

EXAMPLE = f'''\
"""Translates standard input, a sentence a line. Needs: pip install ctranslate2 sentencepiece"""
import itertools, json, sys
from pathlib import Path
import ctranslate2, sentencepiece
here = Path(__file__).parent
source, target = (sentencepiece.SentencePieceProcessor(str(here / name)) for name in {{names}})
manifest = json.loads((here / "export.json").read_text(encoding="utf-8"))
options, longest = manifest["options"], manifest["max_length"]
model = ctranslate2.Translator(str(here))

{TEXT_OF}
for line in sys.stdin:
    pieces = source.encode(line.rstrip("\\n"), out_type=str)[:longest]  # a tag goes in front
    best = model.translate_batch([pieces], **options)[0].hypotheses[0]
    print(text_of([target.piece_to_id(piece) for piece in best]), flush=True)
'''

TOKENS_PER_BATCH = 1024
"""Upper limit. Batches several times as large are slower by a fifth to a third, because they exceed
the processor's caches."""
LEAST_POSITIONS = 1024
"""Minimal size of a table of positions. CTranslate2 fails on text beyond its end."""

_ACTIVATIONS = {
    "relu": common_spec.Activation.RELU,
    "gelu": common_spec.Activation.GELU,
    "silu": common_spec.Activation.SWISH,
}


class CTranslate2(Engine):
    """Translates with an export through CTranslate2."""

    search: CTranslate2Search

    def __init__(
        self,
        folder: Path,
        tokenizer: Tokenizer,
        options: dict[str, Any],
        max_length: int,
        tokens_per_batch: int,
        workers: int | None = None,
    ) -> None:
        """options: arguments of translate_batch. max_length: source pieces that are read.

        workers: batches translated at a time. The default is one per processor, which is fastest
        for many sentences.
        """
        search = CTranslate2Search(
            folder, tokenizer, options, min(tokens_per_batch, TOKENS_PER_BATCH), workers
        )
        super().__init__(tokenizer, search, max_length)
        self.compute_type = search.compute_type
        """Type of the matrix products, such as int8_float32: that of the export, or the nearest one
        that this machine supports."""

    def forced(
        self, sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """`golden.Scorer`."""
        return self.search.log_probs(sources, targets)

    def greedy(self, sources: Sequence[Sequence[str]]) -> list[list[str]]:
        """`golden.Scorer`."""
        results = self.search.translate_batch(sources, beam_size=1)
        return [one.hypotheses[0] for one in results]


class CTranslate2Search:
    """`Search` by CTranslate2, which takes pieces instead of ids."""

    def __init__(
        self,
        folder: Path,
        tokenizer: Tokenizer,
        options: dict[str, Any],
        tokens_per_batch: int,
        workers: int | None,
    ) -> None:
        self._folder, self._tokenizer, self._options = folder, tokenizer, options
        self.beam_size = options["beam_size"]
        self.tokens_per_batch = tokens_per_batch
        begin_threads("CTranslate2")
        ctranslate2.set_log_level(logging.ERROR)
        workers = workers or num_threads()
        self._translator = ctranslate2.Translator(
            str(folder), inter_threads=workers, intra_threads=num_threads() // workers
        )
        self.compute_type = self._translator.compute_type

    def find(self, sources: Mapping[int, Sequence[int]], num_returned: int) -> Iterator[Found]:
        """`Search.find`"""
        source, target = self._tokenizer
        results = self.translate_batch(
            [[source.piece(id_) for id_ in row] for row in sources.values()],
            beam_size=self.beam_size,
            num_hypotheses=num_returned,
            return_scores=True,
            batch_type="tokens",
            max_batch_size=max(1, self.tokens_per_batch // self.beam_size),
        )
        for i, one in zip(sources, results, strict=True):
            ids = [[target.id(piece) for piece in row] for row in one.hypotheses]
            yield Found(i, ids, one.scores)

    def longest(self, num_pieces: int) -> int:
        """`Search.longest`: the same for all sources. CTranslate2 does not count the end."""
        return int(self._options["max_decoding_length"]) + 1

    def translate_batch(self, sources: Sequence[Sequence[str]], **changes: Any) -> list[Any]:
        """CTranslate2's function of that name, with the options of the export and `changes`.

        Raises RunError if the export is inconsistent.
        """
        begin_threads("CTranslate2")
        try:
            return self._translator.translate_batch(
                [list(source) for source in sources], **self._options | changes
            )
        except (RuntimeError, ValueError) as error:
            raise RunError(
                f"{self._folder}: CTranslate2 cannot translate with this export: {error}."
            ) from None

    def log_probs(
        self, sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Log-probabilities of each target's pieces and its end."""
        results = self._translator.score_batch(
            [list(source) for source in sources],
            [list(target) for target in targets],
            max_input_length=0,
        )
        return [one.log_probs for one in results]


def options(config: Config, tokenizer: Tokenizer, alpha: float) -> dict[str, Any]:
    """Options that make translate_batch search as our own search does.

    alpha: exponent of a length penalty of the kind "power".

    The length limit is the one difference: ours depends on the source, CTranslate2 gets our limit
    for the longest source.
    """
    from translator.decoding.search import longest_translation

    suppressed = (PAD_ID, BEGIN_ID)
    return {
        "beam_size": config.decoding.beam_size,
        "length_penalty": alpha,
        "max_input_length": 0,
        "max_decoding_length": longest_translation(config.decoding, config.data.max_length),
        "min_decoding_length": config.decoding.min_length,
        "no_repeat_ngram_size": config.decoding.no_repeat_ngram,
        "disable_unk": True,
        "suppress_sequences": [[tokenizer.target.piece(id_)] for id_ in suppressed],
    }


def save(
    folder: Path,
    config: Config,
    tokenizer: Tokenizer,
    weights: Arrays,
    quantization: str,
    reading: Reading | None = None,
) -> None:
    """Write model.bin, config.json and the vocabularies into an empty folder.

    quantization: type of the matrices: int8, int16, float16 or float32.
    reading: whose attention CTranslate2 returns; by default, that of one head in the last layer.
    """
    spec = specification(config, tokenizer, weights, reading)
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(folder))


def specification(
    config: Config, tokenizer: Tokenizer, weights: Arrays, reading: Reading | None = None
) -> transformer_spec.TransformerSpec:
    """The weights of our Transformer as a specification of CTranslate2. `reading` as in `save`."""
    from translator.decoding.search import longest_translation
    from translator.layers.normalization import EPSILON

    model = config.model
    num_decoder_layers = model.num_decoder_layers or model.num_layers
    shape = {
        "num_heads": model.num_heads,
        "pre_norm": model.normalization == "pre",
        "activation": _ACTIVATIONS[model.activation],
    }
    spec = transformer_spec.TransformerSpec(
        transformer_spec.TransformerEncoderSpec(model.num_layers, **shape),
        transformer_spec.TransformerDecoderSpec(
            num_decoder_layers,
            alignment_layer=reading.layer if reading else -1,
            alignment_heads=len(reading.heads) if reading else 1,
            **shape,
        ),
    )
    for layers, kind in ((spec.encoder.layer, "encoder"), (spec.decoder.layer, "decoder")):
        for i, layer in enumerate(layers):
            arrays = _below(weights, f"{kind}_{i}")
            _attention(layer.self_attention, arrays, "attention")
            if kind == "decoder":
                if reading and i == reading.layer:
                    arrays |= _heads_first(
                        arrays, "cross_attention", reading.heads, model.num_heads
                    )
                _attention(layer.attention, arrays, "cross_attention")
            _norm(layer.ffn.layer_norm, _below(arrays, "feed_forward_residual/norm"))
            _linear(layer.ffn.linear_0, _below(arrays, "feed_forward/inner"))
            _linear(layer.ffn.linear_1, _below(arrays, "feed_forward/outer"))
    if model.normalization == "pre":
        _norm(spec.encoder.layer_norm, _below(weights, "encoder_norm"))
        _norm(spec.decoder.layer_norm, _below(weights, "decoder_norm"))
    target = weights["target_embedding/table"]
    source = target if model.share_embeddings == "all" else weights["source_embedding/table"]
    output = weights["output_embedding/table"] if model.share_embeddings == "none" else target
    spec.encoder.embeddings[0].weight = source
    spec.decoder.embeddings.weight = target
    spec.decoder.projection.weight = output
    max_length = config.data.max_length
    spec.encoder.position_encodings.encodings = _positions(
        config, weights, "source", max_length + 1
    )
    spec.decoder.position_encodings.encodings = _positions(
        config, weights, "target", longest_translation(config.decoding, max_length)
    )
    spec.register_source_vocabulary(tokenizer.source.pieces)
    spec.register_target_vocabulary(tokenizer.target.pieces)
    spec.config.layer_norm_epsilon = EPSILON
    spec.config.add_source_eos = True
    spec.config.unk_token = tokenizer.source.piece(UNKNOWN_ID)
    spec.config.bos_token = tokenizer.target.piece(BEGIN_ID)
    spec.config.decoder_start_token = tokenizer.target.piece(BEGIN_ID)
    spec.config.eos_token = tokenizer.target.piece(END_ID)
    return spec


def _attention(
    spec: attention_spec.MultiHeadAttentionSpec, layer: Mapping[str, np.ndarray], name: str
) -> None:
    query, key_value, output = (
        layer[f"{name}/{part}/kernel"] for part in ("query", "key_value", "output")
    )
    inputs = [np.hstack([query, key_value])] if name == "attention" else [query, key_value]
    for linear, kernel in zip(spec.linear, [*inputs, output], strict=True):
        linear.weight = _transposed(kernel)
    _norm(spec.layer_norm, _below(layer, f"{name}_residual/norm"))


def _heads_first(
    layer: Mapping[str, np.ndarray], name: str, heads: Sequence[int], num_heads: int
) -> Arrays:
    """The same attention with other numbers for its heads: CTranslate2 returns the first ones."""
    order = [*heads, *(i for i in range(num_heads) if i not in heads)]

    def reordered(kernel: np.ndarray, axis: int) -> np.ndarray:
        """The axis holds the features of one head after another."""
        return np.concatenate([np.split(kernel, num_heads, axis)[i] for i in order], axis)

    query, key_value, output = (
        layer[f"{name}/{part}/kernel"] for part in ("query", "key_value", "output")
    )
    keys, values = np.split(key_value, 2, axis=1)
    return {
        f"{name}/query/kernel": reordered(query, 1),
        f"{name}/key_value/kernel": np.hstack([reordered(keys, 1), reordered(values, 1)]),
        f"{name}/output/kernel": reordered(output, 0),
    }


def _linear(spec: common_spec.LinearSpec, layer: Mapping[str, np.ndarray]) -> None:
    spec.weight, spec.bias = _transposed(layer["kernel"]), layer["bias"]


def _norm(spec: common_spec.LayerNormSpec, layer: Mapping[str, np.ndarray]) -> None:
    spec.gamma, spec.beta = layer["scale"], layer["offset"]


def _transposed(kernel: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(kernel.T)


def _below(weights: Mapping[str, np.ndarray], name: str) -> Arrays:
    """The weights whose names begin with `name`/, without this prefix."""
    prefix = f"{name}/"
    return {key.removeprefix(prefix): w for key, w in weights.items() if key.startswith(prefix)}


def _positions(config: Config, weights: Arrays, side: str, count: int) -> np.ndarray:
    """Embeddings of at least `count` positions, [P, D]. A learned table repeats its last row."""
    from translator.layers.embedding import PositionEmbedding

    model = config.model
    layer = PositionEmbedding(model.positions, model.model_dim, config.data.max_length + 1)
    layer.build()
    if layer.table is not None:
        layer.table.assign(weights[f"{side}_positions/table"])
    return layer(np.arange(max(LEAST_POSITIONS, count))).numpy()
