"""The parts of a model, as a configuration describes them.

Names of layers are part of every file of weights (weight_rules.py): a mixer and the residual around
it are named after the kind of the mixer.

D model width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import keras

from translator.config.schema import MixerKind, ModelConfig
from translator.layers.convolution import Convolution
from translator.layers.embedding import Embedding, PositionEmbedding
from translator.layers.feed_forward import FeedForward
from translator.layers.mixer import Mixer
from translator.layers.recurrence import Recurrence
from translator.layers.residual import Residual
from translator.layers.self_attention import SelfAttention


class MixerSpec(NamedTuple):
    """How a mixer is made, and what is known of it beforehand."""

    make: Callable[[ModelConfig, int, keras.DTypePolicy], Mixer]
    """Configuration, number of layers below and precision → mixer."""
    num_matrices: int
    """Number of its D·D matrices."""
    num_taps: Callable[[ModelConfig, int], int] = lambda config, depth: 0
    """Configuration, number of layers below → number of its other weights, without biases."""
    missing_exports: Mapping[str, str] = {}
    """Formats in which models with it cannot be exported, each with the reason."""

    def num_weights(self, config: ModelConfig, depth: int) -> int:
        """Number of its weights, without biases."""
        return self.num_matrices * config.model_dim**2 + self.num_taps(config, depth)


def _attention(config: ModelConfig, depth: int, dtype: keras.DTypePolicy) -> SelfAttention:
    return SelfAttention(
        *attention_arguments(config), window=config.attention_window, dtype=dtype, name="attention"
    )


def _recurrence(config: ModelConfig, depth: int, dtype: keras.DTypePolicy) -> Recurrence:
    return Recurrence(config.model_dim, dtype=dtype, name="recurrence")


def _convolution(config: ModelConfig, depth: int, dtype: keras.DTypePolicy) -> Convolution:
    return Convolution(
        config.model_dim,
        config.num_heads,
        _kernel_size(config, depth),
        config.attention_dropout_rate,
        dtype=dtype,
        name="convolution",
    )


def _kernel_size(config: ModelConfig, depth: int) -> int:
    return min(config.kernel_size, 2 ** (depth + 2) - 1)


MIXERS: Mapping[MixerKind, MixerSpec] = {
    "attention": MixerSpec(_attention, 4),
    "recurrence": MixerSpec(
        _recurrence, 2, missing_exports={"ctranslate2": "CTranslate2 has no SSRU"}
    ),
    "convolution": MixerSpec(
        _convolution,
        3,
        lambda config, depth: config.num_heads * _kernel_size(config, depth),
        {"ctranslate2": "CTranslate2 has no lightweight convolution"},
    ),
}
"""What can mix positions, by the values of model.encoder and model.decoder."""


def attention_arguments(config: ModelConfig) -> tuple[int, int, float, int | None]:
    """The arguments of a `MultiHeadAttention`."""
    block_size = config.attention_block_size
    return (
        *(config.model_dim, config.num_heads, config.attention_dropout_rate),
        None if block_size == "auto" else block_size,
    )


def feed_forward(config: ModelConfig, dtype: keras.DTypePolicy) -> FeedForward:
    return FeedForward(
        config.model_dim,
        config.feed_forward_dim,
        config.activation,
        config.activation_dropout_rate,
        dtype=dtype,
        name="feed_forward",
    )


def residual(config: ModelConfig, block: str, dtype: keras.DTypePolicy) -> Residual:
    """The residual connection around a block of this name."""
    return Residual(
        config.normalization, config.dropout_rate, dtype=dtype, name=f"{block}_residual"
    )


class Embeddings(NamedTuple):
    """The tables of a model; the same object where they share weights."""

    target: Embedding
    source: Embedding
    output: Embedding


def embeddings(
    config: ModelConfig,
    source_vocabulary_size: int,
    target_vocabulary_size: int,
    dtype: keras.DTypePolicy,
) -> Embeddings:
    """The tables that model.share_embeddings asks for."""

    def table(vocabulary_size: int, side: str) -> Embedding:
        name = f"{side}_embedding"
        return Embedding(vocabulary_size, config.model_dim, dtype=dtype, name=name)

    target = table(target_vocabulary_size, "target")
    shares_all, shares_none = (config.share_embeddings == kind for kind in ("all", "none"))
    return Embeddings(
        target,
        target if shares_all else table(source_vocabulary_size, "source"),
        table(target_vocabulary_size, "output") if shares_none else target,
    )


def num_embedding_rows(
    config: ModelConfig, source_vocabulary_size: int, target_vocabulary_size: int, max_length: int
) -> int:
    """Rows of all tables, and of one side's learned positions."""
    rows = target_vocabulary_size
    rows += 0 if config.share_embeddings == "all" else source_vocabulary_size
    return rows + (max_length if config.positions == "learned" else 0)


def positions(
    config: ModelConfig, name: str, max_length: int, dtype: keras.DTypePolicy
) -> PositionEmbedding:
    """The positions of a sentence of up to `max_length` pieces and its end."""
    return PositionEmbedding(
        config.positions, config.model_dim, max_length + 1, dtype=dtype, name=name
    )
