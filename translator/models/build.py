"""The model that a configuration asks for, with its first weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from translator.config.schema import Config
from translator.data.tokenizer import Tokenizer
from translator.errors import RunError
from translator.models.decoder_only import DecoderOnly
from translator.models.seq2seq import Seq2SeqModel
from translator.models.transformer import Transformer
from translator.models.weight_rules import first_values
from translator.models.weights import named_variables

MODELS: dict[str, type[Seq2SeqModel]] = {
    "transformer": Transformer,
    "decoder_only": DecoderOnly,
}
"""All models, by `model.kind`."""


def build_model(
    config: Config,
    source_vocabulary_size: int,
    target_vocabulary_size: int,
    precision: str,
    learns: bool = False,
) -> Seq2SeqModel:
    """A model that computes in `precision` (float32 or bfloat16), with its first weights.

    Embeddings and norms are float32 in both. A model that learns keeps all weights in float32; any
    other keeps kernels and biases in the precision that they are computed with.
    """
    dtype = "mixed_bfloat16" if learns and precision == "bfloat16" else precision
    model = MODELS[config.model.kind].of(
        config, source_vocabulary_size, target_vocabulary_size, dtype
    )
    initialize(model, config.training.seed)
    return model


def initialize(model: Seq2SeqModel, seed: int) -> None:
    """Give every weight its first values."""
    for name, variable in named_variables(model).items():
        shape = tuple(variable.shape)
        variable.assign(first_values(name, shape, seed, model.weight_rules))


def check_size(
    config: Config, tokenizer: Tokenizer, weights: Mapping[str, np.ndarray], origin: str
) -> None:
    """Raise RunError if a configuration asks for a model more than twice as large as these weights,
    or for one table of embeddings although the vocabularies differ.

    A run from a stranger may hold any numbers, so this is checked before memory is taken.
    """
    if config.model.share_embeddings == "all" and not tokenizer.joint:
        raise RunError(
            f"{origin}: source and target share their embeddings (model.share_embeddings: all), "
            "but source.model and target.model hold different pieces. Bring back the two files "
            "that belong together."
        )
    sizes = len(tokenizer.source), len(tokenizer.target)
    num_weights = MODELS[config.model.kind].num_weights(config, *sizes)
    if num_weights > 2 * sum(array.size for array in weights.values()):
        raise RunError(f"{origin}: it does not fit this model: config.yaml describes a larger one.")
