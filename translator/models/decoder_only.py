"""A decoder alone: one stack of self-attention reads the source and continues it with the target.

Large language models are made so. As in the prefix language model of Raffel et al. (2020), the
source is read in both directions, and the loss is that of the target alone. The target looks at the
source through the same attention as at itself; there is no cross-attention
(layers/prefix_attention.py).

Positions count from 0 on both sides; an embedding of the side tells them apart.

B batch, R rows of a search, S source length, T target length, D model width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial

import keras
import tensorflow as tf

from translator.config.schema import Config, ModelConfig
from translator.data.tokenizer import PAD_ID
from translator.layers.cross_attention import Rows
from translator.layers.dropout import Seed, dropout, fold_in
from translator.layers.embedding import Embedding
from translator.layers.gradient_checkpointing import checkpointed
from translator.layers.heads import KeyValue
from translator.layers.normalization import LayerNormalization
from translator.layers.prefix_attention import PrefixAttention
from translator.layers.visible import Visible
from translator.models import blocks
from translator.models.seq2seq import (
    ALL_PARTS,
    AttentionMap,
    Cache,
    Fixed,
    Memory,
    Part,
    StepFunction,
)
from translator.models.stacked import StackedModel

SOURCE, TARGET = 0, 1
"""Rows of the embedding of sides."""


class PrefixLayer(keras.layers.Layer):
    """Attention to the prefix and to its own positions, then feed-forward."""

    def __init__(self, config: ModelConfig, **kwargs: object) -> None:
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.attention = PrefixAttention(
            *blocks.attention_arguments(config), name="attention", dtype=dtype
        )
        self.attention_residual = blocks.residual(config, "attention", dtype)
        self.feed_forward = blocks.feed_forward(config, dtype)
        self.feed_forward_residual = blocks.residual(config, "feed_forward", dtype)

    def build(self, shape: tuple[int | None, ...]) -> None:
        for layer in (
            *(self.attention, self.attention_residual),
            *(self.feed_forward, self.feed_forward_residual),
        ):
            layer.build(shape)

    def call(
        self, x: tf.Tensor, prefix: KeyValue | None, visible: Visible, seed: Seed
    ) -> tuple[tf.Tensor, KeyValue]:
        """[B, T, D] → [B, T, D], and its keys and values."""
        y, own = self.attention.attend_after(
            self.attention_residual.before(x),
            prefix=prefix,
            visible=visible,
            seed=fold_in(seed, 0),
        )
        x = self.attention_residual(x, y, fold_in(seed, 1))
        y = self.feed_forward(self.feed_forward_residual.before(x), fold_in(seed, 2))
        return self.feed_forward_residual(x, y, fold_in(seed, 3)), own

    def step(
        self,
        x: tf.Tensor,
        cache: KeyValue,
        prefix: KeyValue,
        visible: Visible,
        rows: Rows,
    ) -> tuple[tf.Tensor, KeyValue]:
        """The next position, [R, 1, D] → [R, 1, D], and a longer cache.

        `visible` is of the prefix.
        """
        before = self.attention_residual.before(x)
        y, cache = self.attention.step_after(before, cache, prefix, visible, rows)
        x = self.attention_residual(x, y)
        y = self.feed_forward(self.feed_forward_residual.before(x))
        return self.feed_forward_residual(x, y), cache


class DecoderOnly(StackedModel):
    """Embeddings and one stack of layers. Its memory is the keys and values of the source."""

    @classmethod
    def num_weights(
        cls, config: Config, source_vocabulary_size: int, target_vocabulary_size: int
    ) -> int:
        """All but biases and normalization."""
        model = config.model
        sizes = source_vocabulary_size, target_vocabulary_size
        rows = 2 + blocks.num_embedding_rows(model, *sizes, config.data.max_length)  # 2 sides
        rows += model.num_layers * 2 * model.feed_forward_dim
        attention = blocks.MIXERS["attention"]
        num_weights = sum(attention.num_weights(model, i) for i in range(model.num_layers))
        return num_weights + rows * model.model_dim

    @classmethod
    def missing_exports(cls, config: Config) -> Mapping[str, str]:
        return {
            "ctranslate2": "the decoder-only models of CTranslate2 do not read a source in both "
            "directions"
        }

    def add_layers(self, config: ModelConfig, max_length: int) -> None:
        policy = self.dtype_policy
        self.side_embedding = Embedding(2, config.model_dim, dtype=policy, name="side_embedding")
        self.positions = blocks.positions(config, "positions", max_length, policy)
        self.stack = [
            PrefixLayer(config, dtype=policy, name=f"decoder_{i}") for i in range(config.num_layers)
        ]
        self.norm = None
        if config.normalization == "pre":
            self.norm = LayerNormalization(dtype=policy, name="decoder_norm")

    def encode(self, source: tf.Tensor, seed: Seed = None) -> Memory:
        not_padding = tf.not_equal(source, PAD_ID)
        x = self.source_embedding(source) + self.side_embedding(tf.constant(SOURCE))
        none: list[KeyValue | None] = [None] * len(self.stack)
        _, keys_values = self._through(x, Visible(not_padding), none, fold_in(seed, 0))
        return Memory(keys_values, not_padding)

    def decode(self, target: tf.Tensor, memory: Memory, seed: Seed = None) -> tf.Tensor:
        # Padding follows every real position, so causality alone hides it from all of them.
        not_padding = tf.concat([memory.not_padding, tf.ones_like(target, tf.bool)], axis=1)
        visible = Visible(not_padding, causal=True)
        x = self.target_embedding(target) + self.side_embedding(tf.constant(TARGET))
        x, _ = self._through(x, visible, memory.states, fold_in(seed, 1))
        return x if self.norm is None else self.norm(x)

    def attention_maps(
        self, source: tf.Tensor, target: tf.Tensor, parts: AbstractSet[Part] = ALL_PARTS
    ) -> list[AttentionMap]:
        """The weights of "decoder" and "cross" are those of one attention: together, they add up to
        one."""
        maps: list[AttentionMap] = []
        is_source = tf.not_equal(source, PAD_ID)
        not_padding = tf.concat([is_source, tf.ones_like(target, tf.bool)], axis=1)
        of_source, of_both = Visible(is_source), Visible(not_padding, causal=True)
        sides = self.source_embedding(source), self.target_embedding(target)
        x, y = (
            ids
            + self.side_embedding(tf.constant(side))
            + self.positions(tf.range(tf.shape(ids)[1]))
            for side, ids in enumerate(sides)
        )
        length = tf.shape(source)[1]
        for i, layer in enumerate(self.stack):
            before = layer.attention_residual.before
            if "encoder" in parts:
                of_encoder = layer.attention.shown_weights(before(x), of_source)
                maps.append(AttentionMap("encoder", i, of_encoder))
            x, prefix = layer(x, None, visible=of_source, seed=None)
            weights = layer.attention.shown_weights_after(before(y), prefix, of_both)
            if "decoder" in parts:
                maps.append(AttentionMap("decoder", i, weights[..., length:]))
            if "cross" in parts:
                maps.append(AttentionMap("cross", i, weights[..., :length]))
            y, _ = layer(y, prefix, visible=of_both, seed=None)
        return maps

    def _through(
        self, x: tf.Tensor, visible: Visible, prefixes: list[KeyValue | None], seed: Seed
    ) -> tuple[tf.Tensor, list[KeyValue]]:
        """Add positions and go through all layers: [B, T, D] → [B, T, D], and keys and values."""
        x += self.positions(tf.range(tf.shape(x)[1]))
        x = dropout(x, self.config.embedding_dropout_rate, fold_in(seed, 0))
        keys_values = []
        for i, (layer, prefix) in enumerate(zip(self.stack, prefixes, strict=True)):
            run = partial(_run, layer, visible, fold_in(seed, i + 1))
            recompute = self.recompute_activations
            x, key_value = checkpointed(run, x, prefix) if recompute else run(x, prefix)
            keys_values.append(key_value)
        return x, keys_values

    def start(self, memory: Memory) -> tuple[StepFunction, Fixed, Cache]:
        dtype, num_sentences = memory.states[0].key.dtype, tf.shape(memory.not_padding)[0]
        cache = [layer.attention.start(num_sentences, dtype) for layer in self.stack]
        return (
            partial(self._step, self.search_output(dtype)),
            Fixed(memory, Rows.one_each(num_sentences)),
            cache,
        )

    def _step(
        self,
        output: Callable[[tf.Tensor], tf.Tensor],
        ids: tf.Tensor,
        positions: tf.Tensor,
        fixed: Fixed,
        cache: Cache,
    ) -> tuple[tf.Tensor, Cache]:
        prefixes, not_padding = fixed.memory
        x = (
            self.target_embedding(ids)
            + self.side_embedding(tf.constant(TARGET))
            + self.positions(positions)
        )
        x = x[:, tf.newaxis]
        new_cache = []
        for layer, prefix, layer_cache in zip(self.stack, prefixes, cache, strict=True):
            x, layer_cache = layer.step(x, layer_cache, prefix, Visible(not_padding), fixed.rows)
            new_cache.append(layer_cache)
        if self.norm is not None:
            x = self.norm(x)
        return output(x[:, 0]), new_cache


def _run(
    layer: keras.layers.Layer, visible: Visible, seed: Seed, x: tf.Tensor, prefix: KeyValue | None
) -> tuple[tf.Tensor, KeyValue]:
    return layer(x, prefix, visible=visible, seed=seed)
