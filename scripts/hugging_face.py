"""The weights of a run in a network of Hugging Face, whose `generate` translates with them.

M2M100 is their network with the same structure as ours: normalization before each block and after
the last layer of encoder and decoder, positions added, embeddings scaled by √D. Its attention also
has biases, which are set to zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import M2M100Config, M2M100ForConditionalGeneration

from translator.config import Config
from translator.config.schema import DecodingConfig
from translator.data.batches import pad_rows
from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID
from translator.decoding.engine import Engine, Found
from translator.decoding.loaded_run import load_run_config
from translator.decoding.packing import pack
from translator.decoding.search import longest_translation
from translator.decoding.top_k import FORBIDDEN
from translator.decoding.translator import Translator
from translator.errors import ConfigError
from translator.layers.normalization import EPSILON
from translator.models.weights import Arrays, model_weights
from translator.runs import RunDirectory

BLOCKS = {"attention": "self_attn", "cross_attention": "encoder_attn"}
NORMS = {
    "attention": "self_attn_layer_norm",
    "cross_attention": "encoder_attn_layer_norm",
    "feed_forward": "final_layer_norm",
}
LINEARS = {"query": "q_proj", "output": "out_proj", "inner": "fc1", "outer": "fc2"}
PARTS = {"kernel": "weight", "bias": "bias", "scale": "weight", "offset": "bias"}
"""Their names by ours."""


def load(run: str) -> Engine:
    """An engine that searches with `generate`, with the weights of a run.

    Raises ConfigError if M2M100 does not have the structure of the run's model.
    """
    config, ours = load_run_config(RunDirectory.existing(Path(run))), Translator.load(run)
    search = HuggingFace(config.decoding, network(config, ours), len(ours.tokenizer.target))
    return Engine(ours.tokenizer, search, ours.max_length)


class HuggingFace:
    """`generate` as a `Search`, in float32."""

    def __init__(
        self, config: DecodingConfig, model: M2M100ForConditionalGeneration, vocabulary_size: int
    ) -> None:
        self.beam_size = config.beam_size
        self.tokens_per_batch = config.tokens_per_batch
        self._config, self._model, self._vocabulary_size = config, model, vocabulary_size

    def find(self, sources: Mapping[int, Sequence[int]], num_returned: int) -> Iterator[Found]:
        """As `Search.find`; all scores are 0."""
        batches = pack(
            sources,
            self.longest,
            beam_size=self.beam_size,
            tokens_per_batch=self.tokens_per_batch,
            vocabulary_size=self._vocabulary_size,
        )
        for batch in batches:
            source = torch.from_numpy(pad_rows([[*sources[i], END_ID] for i in batch]).astype(int))
            with torch.inference_mode():
                found = self._model.generate(
                    source,
                    attention_mask=source != PAD_ID,
                    num_beams=self.beam_size,
                    num_return_sequences=num_returned,
                    max_new_tokens=self.longest(len(sources[batch[0]])),
                    length_penalty=1.0,
                    early_stopping=True,
                    suppress_tokens=list(FORBIDDEN),
                    do_sample=False,
                )
            rows = found.reshape(len(batch), num_returned, -1).tolist()
            for i, hypotheses in zip(batch, rows, strict=True):
                ids = [
                    [id_ for id_ in row[1:] if id_ not in (PAD_ID, END_ID)] for row in hypotheses
                ]
                yield Found(i, ids, [0.0] * num_returned)

    def longest(self, num_pieces: int) -> int:
        """As `Search.longest`."""
        return longest_translation(self._config, num_pieces)


def network(config: Config, ours: Translator) -> M2M100ForConditionalGeneration:
    """M2M100 with the size and the weights of our model. Raises ConfigError."""
    shape = config.model
    if shape.normalization != "pre" or shape.share_embeddings != "all":
        raise ConfigError("M2M100 needs a model with normalization: pre and share_embeddings: all.")
    sides = {
        f"{side}_{name}": value
        for side, num_layers in (
            ("encoder", shape.num_layers),
            ("decoder", shape.num_decoder_layers or shape.num_layers),
        )
        for name, value in (
            ("layers", num_layers),
            ("attention_heads", shape.num_heads),
            ("ffn_dim", shape.feed_forward_dim),
        )
    }
    model = M2M100ForConditionalGeneration(
        M2M100Config(
            **sides,
            d_model=shape.model_dim,
            vocab_size=len(ours.tokenizer.target),
            activation_function=shape.activation,
            scale_embedding=True,
            max_position_embeddings=1024,
            pad_token_id=PAD_ID,
            bos_token_id=BEGIN_ID,
            eos_token_id=END_ID,
            decoder_start_token_id=BEGIN_ID,
            tie_word_embeddings=True,
        )
    )
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = EPSILON
    given = {
        name: torch.from_numpy(array) for name, array in renamed(model_weights(ours.model)).items()
    }
    for name, tensor in model.state_dict().items():
        if "_attn." in name and name.endswith("bias"):
            given[name] = torch.zeros_like(tensor)
    model.load_state_dict(given)
    for side, positions in (
        (model.model.encoder, ours.model.source_positions),
        (model.model.decoder, ours.model.target_positions),
    ):
        table = side.embed_positions.weights  # row PAD_ID + 1 is the first position
        table[PAD_ID + 1 :] = torch.from_numpy(positions(np.arange(len(table) - 1)).numpy())
    return model.eval()


def renamed(weights: Arrays) -> Arrays:
    """Our weights by their names; kernels [in, out] become [out, in]."""
    tables = ("model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head")
    found = {f"{name}.weight": weights["target_embedding/table"] for name in tables}
    for name, array in weights.items():
        match name.split("/"):
            case [layer, attention, "key_value", "kernel"]:
                block = f"{_layer(layer)}.{BLOCKS[attention]}"
                key, value = np.split(array.T, 2)
                found |= {f"{block}.k_proj.weight": key, f"{block}.v_proj.weight": value}
            case [layer, "feed_forward", linear, part]:
                block = f"{_layer(layer)}.{LINEARS[linear]}"
                found[f"{block}.{PARTS[part]}"] = array.T
            case [layer, attention, linear, "kernel"]:
                block = f"{_layer(layer)}.{BLOCKS[attention]}"
                found[f"{block}.{LINEARS[linear]}.weight"] = array.T
            case [layer, residual, "norm", part]:
                block = NORMS[residual.removesuffix("_residual")]
                found[f"{_layer(layer)}.{block}.{PARTS[part]}"] = array
            case [norm, ("scale" | "offset") as part]:
                side = norm.removesuffix("_norm")
                found[f"model.{side}.layer_norm.{PARTS[part]}"] = array
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def _layer(name: str) -> str:
    """encoder_0 → model.encoder.layers.0"""
    side, _, number = name.partition("_")
    return f"model.{side}.layers.{number}"
