"""The model that a configuration asks for, with its first weights."""

from __future__ import annotations

import zlib

import keras
import numpy as np

from translator.config.schema import Config
from translator.models.encoder_decoder import EncoderDecoder
from translator.models.transformer import Transformer


def build_model(
    config: Config, source_vocabulary_size: int, target_vocabulary_size: int, dtype: str
) -> EncoderDecoder:
    """A model computing in `dtype` (float32 or bfloat16), its weights those of `initialize`."""
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


def initialize(model: keras.Model, seed: int) -> None:
    """Set every weight as a function of the seed, its own name and its shape alone.

    Kernels are uniform after Glorot & Bengio (2010), embeddings normal with deviation 1/√D; norms
    and biases keep their ones and zeros.
    """
    for variable in model.trainable_variables:
        random = np.random.default_rng([seed, zlib.crc32(variable.path.encode())])
        if variable.name == "kernel":
            limit = np.sqrt(6 / sum(variable.shape))
            variable.assign(random.uniform(-limit, limit, variable.shape).astype("float32"))
        elif variable.name == "table":
            deviation = variable.shape[1] ** -0.5
            variable.assign(deviation * random.standard_normal(variable.shape, "float32"))
