"""The model that a configuration asks for, with its first weights."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from translator.config.schema import Config
from translator.data.tokenizer import Tokenizer
from translator.errors import RunError
from translator.models.encoder_decoder import EncoderDecoder
from translator.models.transformer import Transformer
from translator.models.weight_rules import first_values
from translator.models.weights import named_variables


def build_model(
    config: Config,
    source_vocabulary_size: int,
    target_vocabulary_size: int,
    precision: str,
    learns: bool = False,
) -> EncoderDecoder:
    """A model computing in `precision` (float32 or bfloat16), with the weights of `initialize`.

    Embeddings and norms are float32 in both. One that learns keeps all weights in float32, any
    other its kernels and biases in the precision that they are computed with.
    """
    dtype = "mixed_bfloat16" if learns and precision == "bfloat16" else precision
    match config.model.kind:
        case "transformer":
            model = Transformer(
                config.model,
                source_vocabulary_size,
                target_vocabulary_size,
                config.data.max_length,
                dtype,
            )
    initialize(model, config.training.seed)
    return model


def check_size(
    config: Config, tokenizer: Tokenizer, weights: Mapping[str, np.ndarray], origin: str
) -> None:
    """Raise RunError if a configuration asks for a model more than twice as large as these weights,
    or for one table of embeddings where the vocabularies differ.

    Whoever opens a run from elsewhere has not chosen its numbers: no memory is taken before.
    """
    model = config.model
    if model.share_embeddings == "all" and not tokenizer.joint:
        raise RunError(
            f"{origin}: source and target share their embeddings (model.share_embeddings: all), "
            "but source.model and target.model hold different pieces; bring back the two files "
            "that belong together."
        )
    num_decoder_layers = model.num_decoder_layers or model.num_layers
    attentions = model.num_layers + 2 * num_decoder_layers
    rows = len(tokenizer.target) + (0 if model.share_embeddings == "all" else len(tokenizer.source))
    if model.positions == "learned":
        rows += config.data.max_length
    least = model.model_dim * (
        rows
        + 4 * attentions * model.model_dim
        + 2 * (model.num_layers + num_decoder_layers) * model.feed_forward_dim
    )
    if least > 2 * sum(array.size for array in weights.values()):
        raise RunError(f"{origin}: it does not fit this model: config.yaml describes a larger one.")


def initialize(model: keras.Model, seed: int) -> None:
    """Give every weight its first values (weight_rules.py)."""
    for name, variable in named_variables(model).items():
        variable.assign(first_values(name, tuple(variable.shape), seed))
