"""The Transformer (Vaswani et al. 2017): attention and feed-forward blocks, stacked.

Old runs depend on the names of layers (models/weight_rules.py), on the order in which they are
assigned (models/weights.py: named_variables), and on the index of every seed that is folded in.

B batch, R rows of a search, S source length, T target length, D model width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import keras
import tensorflow as tf

from translator.config.schema import Config, ModelConfig
from translator.data.tokenizer import PAD_ID
from translator.layers.attention import KeyValue
from translator.layers.cross_attention import CrossAttention, Rows
from translator.layers.dropout import Seed, dropout, fold_in
from translator.layers.embedding import Embedding, PositionEmbedding
from translator.layers.feed_forward import FeedForward
from translator.layers.gradient_checkpointing import checkpointed
from translator.layers.normalization import LayerNormalization
from translator.layers.residual import Residual
from translator.layers.self_attention import SelfAttention
from translator.layers.visible import Visible
from translator.models.encoder_decoder import Cache, EncoderDecoder, Fixed, Memory, StepFunction


class EncoderLayer(keras.layers.Layer):
    """Self-attention, then feed-forward."""

    def __init__(self, config: ModelConfig, **kwargs: object) -> None:
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.attention = SelfAttention(*_attention(config), name="attention", dtype=dtype)
        self.attention_residual = _residual(config, "attention_residual", dtype)
        self.feed_forward = _feed_forward(config, dtype)
        self.feed_forward_residual = _residual(config, "feed_forward_residual", dtype)

    def build(self, shape: tuple[int | None, ...]) -> None:
        for layer in (
            *(self.attention, self.attention_residual),
            *(self.feed_forward, self.feed_forward_residual),
        ):
            layer.build(shape)

    def call(self, x: tf.Tensor, visible: Visible, seed: Seed) -> tf.Tensor:
        """[B, S, D] → [B, S, D]"""
        y = self.attention(
            self.attention_residual.before(x), visible=visible, seed=fold_in(seed, 0)
        )
        x = self.attention_residual(x, y, fold_in(seed, 1))
        y = self.feed_forward(self.feed_forward_residual.before(x), fold_in(seed, 2))
        return self.feed_forward_residual(x, y, fold_in(seed, 3))


class DecoderLayer(keras.layers.Layer):
    """Self-attention over the target so far, cross-attention to the memory, feed-forward."""

    def __init__(self, config: ModelConfig, **kwargs: object) -> None:
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.attention = SelfAttention(*_attention(config), name="attention", dtype=dtype)
        self.attention_residual = _residual(config, "attention_residual", dtype)
        self.cross_attention = CrossAttention(
            *_attention(config), name="cross_attention", dtype=dtype
        )
        self.cross_attention_residual = _residual(config, "cross_attention_residual", dtype)
        self.feed_forward = _feed_forward(config, dtype)
        self.feed_forward_residual = _residual(config, "feed_forward_residual", dtype)

    def build(self, shape: tuple[int | None, ...]) -> None:
        for layer in (
            *(self.attention, self.attention_residual),
            *(self.cross_attention, self.cross_attention_residual),
            *(self.feed_forward, self.feed_forward_residual),
        ):
            layer.build(shape)

    def call(self, x: tf.Tensor, memory: Memory, seed: Seed) -> tf.Tensor:
        """[B, T, D] → [B, T, D], all positions at once."""
        # Padding follows every real position, so causality alone hides it from all of them.
        y = self.attention(
            self.attention_residual.before(x), visible=Visible(causal=True), seed=fold_in(seed, 0)
        )
        x = self.attention_residual(x, y, fold_in(seed, 1))
        y = self.cross_attention(
            self.cross_attention_residual.before(x),
            memory.states,
            visible=Visible(memory.not_padding),
            seed=fold_in(seed, 2),
        )
        x = self.cross_attention_residual(x, y, fold_in(seed, 3))
        y = self.feed_forward(self.feed_forward_residual.before(x), fold_in(seed, 4))
        return self.feed_forward_residual(x, y, fold_in(seed, 5))

    def step(
        self, x: tf.Tensor, cache: KeyValue, memory: KeyValue, visible: Visible, rows: Rows
    ) -> tuple[tf.Tensor, KeyValue]:
        """One position, [R, 1, D] → [R, 1, D] and a longer cache; `visible` is of the memory."""
        y, cache = self.attention.step(self.attention_residual.before(x), cache)
        x = self.attention_residual(x, y)
        y = self.cross_attention.step(
            self.cross_attention_residual.before(x), memory, visible, rows
        )
        x = self.cross_attention_residual(x, y)
        y = self.feed_forward(self.feed_forward_residual.before(x))
        return self.feed_forward_residual(x, y), cache


class Transformer(EncoderDecoder):
    """Embeddings, a stack of encoder layers, a stack of decoder layers."""

    missing_exports: Mapping[str, str] = {}

    @classmethod
    def of(
        cls, config: Config, source_vocabulary_size: int, target_vocabulary_size: int, dtype: str
    ) -> Transformer:
        sizes = source_vocabulary_size, target_vocabulary_size
        return cls(config.model, *sizes, config.data.max_length, dtype)

    @classmethod
    def num_weights(
        cls, config: Config, source_vocabulary_size: int, target_vocabulary_size: int
    ) -> int:
        """All but biases and normalization."""
        model = config.model
        num_decoder_layers = model.num_decoder_layers or model.num_layers
        num_attentions = model.num_layers + 2 * num_decoder_layers
        num_feed_forwards = model.num_layers + num_decoder_layers
        rows = target_vocabulary_size
        rows += 0 if model.share_embeddings == "all" else source_vocabulary_size
        rows += config.data.max_length if model.positions == "learned" else 0
        return model.model_dim * (
            rows
            + num_attentions * 4 * model.model_dim
            + num_feed_forwards * 2 * model.feed_forward_dim
        )

    def __init__(
        self,
        config: ModelConfig,
        source_vocabulary_size: int,
        target_vocabulary_size: int,
        max_length: int,
        dtype: str = "float32",
    ) -> None:
        policy = keras.DTypePolicy(dtype)
        super().__init__(name="transformer", dtype=policy)
        self.config = config

        def embedding(vocabulary_size: int, name: str) -> Embedding:
            return Embedding(vocabulary_size, config.model_dim, dtype=policy, name=name)

        def positions(name: str) -> PositionEmbedding:
            return PositionEmbedding(
                config.positions, config.model_dim, max_length + 1, dtype=policy, name=name
            )

        self.target_embedding = embedding(target_vocabulary_size, "target_embedding")
        self.source_embedding = (
            self.target_embedding
            if config.share_embeddings == "all"
            else embedding(source_vocabulary_size, "source_embedding")
        )
        self.output_embedding = (
            embedding(target_vocabulary_size, "output_embedding")
            if config.share_embeddings == "none"
            else self.target_embedding
        )
        self.source_positions = positions("source_positions")
        self.target_positions = positions("target_positions")
        self.encoder_layers = [
            EncoderLayer(config, dtype=policy, name=f"encoder_{i}")
            for i in range(config.num_layers)
        ]
        self.decoder_layers = [
            DecoderLayer(config, dtype=policy, name=f"decoder_{i}")
            for i in range(config.num_decoder_layers or config.num_layers)
        ]
        self.encoder_norm = self.decoder_norm = None
        if config.normalization == "pre":
            self.encoder_norm = LayerNormalization(dtype=policy, name="encoder_norm")
            self.decoder_norm = LayerNormalization(dtype=policy, name="decoder_norm")
        self.build()

    def build(self, shape: tuple[int | None, ...] | None = None) -> None:
        for layer in self.layers:
            if not layer.built:
                layer.build((None, None, self.config.model_dim))

    @property
    def output_table(self) -> keras.Variable:
        return self.output_embedding.table

    def encode(self, source: tf.Tensor, seed: Seed = None) -> Memory:
        seed = fold_in(seed, 0)
        not_padding = tf.not_equal(source, PAD_ID)
        x = self._embed(source, self.source_embedding, self.source_positions, fold_in(seed, 0))
        for i, layer in enumerate(self.encoder_layers):
            x = self._through(layer, x, fold_in(seed, i + 1), visible=Visible(not_padding))
        return Memory(x if self.encoder_norm is None else self.encoder_norm(x), not_padding)

    def decode(self, target: tf.Tensor, memory: Memory, seed: Seed = None) -> tf.Tensor:
        seed = fold_in(seed, 1)
        x = self._embed(target, self.target_embedding, self.target_positions, fold_in(seed, 0))
        for i, layer in enumerate(self.decoder_layers):
            x = self._through(layer, x, fold_in(seed, i + 1), memory=memory)
        return x if self.decoder_norm is None else self.decoder_norm(x)

    def _embed(
        self, ids: tf.Tensor, embedding: Embedding, positions: PositionEmbedding, seed: Seed
    ) -> tf.Tensor:
        """[B, T] → [B, T, D]"""
        x = embedding(ids) + positions(tf.range(tf.shape(ids)[1]))
        return dropout(x, self.config.embedding_dropout_rate, seed)

    def _through(
        self, layer: keras.layers.Layer, x: tf.Tensor, seed: Seed, **context: Visible | Memory
    ) -> tf.Tensor:
        """[B, T, D] → [B, T, D]"""

        def run(x: tf.Tensor, context: dict[str, Visible | Memory]) -> tf.Tensor:
            return layer(x, seed=seed, **context)

        return checkpointed(run, x, context) if self.recompute_activations else run(x, context)

    def start(self, memory: Memory) -> tuple[StepFunction, Fixed, Cache]:
        dtype, num_sentences = memory.states.dtype, tf.shape(memory.states)[0]
        keys_values = [
            layer.cross_attention.keys_values(memory.states) for layer in self.decoder_layers
        ]
        cache = [layer.attention.start(num_sentences, dtype) for layer in self.decoder_layers]
        fixed = Fixed((keys_values, memory.not_padding), Rows.one_each(num_sentences))
        return partial(self._step, self.search_output(dtype)), fixed, cache

    def _step(
        self,
        output: Callable[[tf.Tensor], tf.Tensor],
        ids: tf.Tensor,
        positions: tf.Tensor,
        fixed: Fixed,
        cache: Cache,
    ) -> tuple[tf.Tensor, Cache]:
        keys_values, not_padding = fixed.memory
        x = self.target_embedding(ids) + self.target_positions(positions)
        x = x[:, tf.newaxis]
        new_cache = []
        for layer, key_value, layer_cache in zip(
            self.decoder_layers, keys_values, cache, strict=True
        ):
            x, layer_cache = layer.step(x, layer_cache, key_value, Visible(not_padding), fixed.rows)
            new_cache.append(layer_cache)
        if self.decoder_norm is not None:
            x = self.decoder_norm(x)
        return output(x[:, 0]), new_cache


def _attention(config: ModelConfig) -> tuple[int, int, float]:
    return config.model_dim, config.num_heads, config.attention_dropout_rate


def _feed_forward(config: ModelConfig, dtype: keras.DTypePolicy) -> FeedForward:
    return FeedForward(
        config.model_dim,
        config.feed_forward_dim,
        config.activation,
        config.activation_dropout_rate,
        dtype=dtype,
        name="feed_forward",
    )


def _residual(config: ModelConfig, name: str, dtype: keras.DTypePolicy) -> Residual:
    return Residual(config.normalization, config.dropout_rate, dtype=dtype, name=name)
