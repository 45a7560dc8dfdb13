"""The Transformer (Vaswani et al. 2017): attention and feed-forward blocks, stacked.

Old runs depend on the names of layers (models/weight_rules.py), on the order in which they are
assigned (models/weights.py: named_variables), and on the index of every dropout place.

B batch, K hypotheses a sentence, R rows (hypotheses that are asked of), S source length, T target
length, N heads, H head width, D model width.
"""

from __future__ import annotations

from functools import partial

import keras
import tensorflow as tf

from translator.config.schema import ModelConfig
from translator.layers.attention import KeyValue, MultiHeadAttention, small_batch_matmul
from translator.layers.dense import affine
from translator.layers.dropout import dropout, fold_in
from translator.layers.embedding import Embedding, PositionEmbedding
from translator.layers.feed_forward import FeedForward
from translator.layers.gradient_checkpointing import checkpointed
from translator.layers.masks import causal_mask, padding_mask
from translator.layers.normalization import LayerNormalization
from translator.layers.residual import Block, Residual
from translator.models.encoder_decoder import Cache, EncoderDecoder, Fixed, Memory, StepFunction


class EncoderLayer(keras.layers.Layer):
    """Self-attention, then feed-forward."""

    def __init__(self, config: ModelConfig, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.attention = _attention(config, self.dtype_policy, "attention")
        self.attention_residual = _residual(config, self.dtype_policy, "attention_residual")
        self.feed_forward = _feed_forward(config, self.dtype_policy)
        self.feed_forward_residual = _residual(config, self.dtype_policy, "feed_forward_residual")

    def build(self, shape: tuple[int | None, ...]) -> None:
        for layer in (
            *(self.attention, self.attention_residual),
            *(self.feed_forward, self.feed_forward_residual),
        ):
            layer.build(shape)

    def call(self, x: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
        """[B, S, D] → [B, S, D]"""
        x = self.attention_residual(
            x,
            block=lambda q, plus: self.attention.attend_to_itself(q, mask, fold_in(seed, 0), plus),
            seed=fold_in(seed, 1),
        )
        return self.feed_forward_residual(
            x,
            block=lambda q, plus: self.feed_forward(q, fold_in(seed, 2), plus),
            seed=fold_in(seed, 3),
        )


class DecoderLayer(keras.layers.Layer):
    """Self-attention over the target so far, cross-attention to the memory, feed-forward."""

    def __init__(self, config: ModelConfig, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.attention = _attention(config, self.dtype_policy, "attention")
        self.attention_residual = _residual(config, self.dtype_policy, "attention_residual")
        self.cross_attention = _attention(config, self.dtype_policy, "cross_attention")
        self.cross_attention_residual = _residual(
            config, self.dtype_policy, "cross_attention_residual"
        )
        self.feed_forward = _feed_forward(config, self.dtype_policy)
        self.feed_forward_residual = _residual(config, self.dtype_policy, "feed_forward_residual")

    def build(self, shape: tuple[int | None, ...]) -> None:
        for layer in (
            *(self.attention, self.attention_residual),
            *(self.cross_attention, self.cross_attention_residual),
            *(self.feed_forward, self.feed_forward_residual),
        ):
            layer.build(shape)

    def call(
        self, x: tf.Tensor, mask: tf.Tensor, memory: Memory, seed: tf.Tensor | None
    ) -> tf.Tensor:
        """[B, T, D] → [B, T, D], all positions at once."""
        x = self.attention_residual(
            x,
            block=lambda q, plus: self.attention.attend_to_itself(q, mask, fold_in(seed, 0), plus),
            seed=fold_in(seed, 1),
        )
        return self._look_and_think(
            x,
            lambda q, plus: self.cross_attention(
                q, memory.states, memory.mask, fold_in(seed, 2), plus
            ),
            seed,
        )

    def step(
        self,
        x: tf.Tensor,
        cache: KeyValue,
        memory_key_value: KeyValue,
        memory_mask: tf.Tensor,
        places: tf.Tensor,
        rows: tf.Tensor,
    ) -> tuple[tf.Tensor, KeyValue]:
        """One position, [R, 1, D] → [R, 1, D]; `cache` holds earlier positions [R, N, T, H].

        To cross-attention the K hypotheses of a sentence are K queries to its one memory.
        """

        def attend_to_cache(q: tf.Tensor, plus: tf.Tensor | None) -> tf.Tensor:
            nonlocal cache
            query, new = self.attention.queries_keys_values(q)
            cache = KeyValue(
                tf.concat([cache.key, new.key], axis=2), tf.concat([cache.value, new.value], axis=2)
            )
            found = self.attention.find(query, cache, product=small_batch_matmul)
            return self.attention.output_projection(found, plus)

        def attend_to_memory(q: tf.Tensor, plus: tf.Tensor | None) -> tf.Tensor:
            attention, width = self.cross_attention, q.shape[2]
            (query,) = attention.heads(tf.gather(attention.query_projection(q)[:, 0], rows), 1)
            # Their shape stays for many steps, so what oneDNN prepares is used again; in bfloat16
            # its product is then the faster.
            product = tf.matmul if q.dtype == tf.bfloat16 else small_batch_matmul
            found = attention.find(query, memory_key_value, memory_mask, product=product)
            found = tf.gather(tf.reshape(found, [-1, width]), places)[:, tf.newaxis]
            return attention.output_projection(found, plus)

        x = self.attention_residual(x, block=attend_to_cache)
        return self._look_and_think(x, attend_to_memory, None), cache

    def _look_and_think(self, x: tf.Tensor, look: Block, seed: tf.Tensor | None) -> tf.Tensor:
        x = self.cross_attention_residual(x, block=look, seed=fold_in(seed, 3))
        return self.feed_forward_residual(
            x,
            block=lambda q, plus: self.feed_forward(q, fold_in(seed, 4), plus),
            seed=fold_in(seed, 5),
        )


class Transformer(EncoderDecoder):
    """Embeddings, a stack of encoder layers, a stack of decoder layers."""

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
        self.head_dim = config.model_dim // config.num_heads

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

    def encode(self, source: tf.Tensor, seed: tf.Tensor | None = None) -> Memory:
        seed = fold_in(seed, 0)
        mask = padding_mask(source)
        x = self._embed(source, self.source_embedding, self.source_positions, fold_in(seed, 0))
        for i, layer in enumerate(self.encoder_layers):
            x = self._through(layer, x, mask, seed=fold_in(seed, i + 1))
        return Memory(x if self.encoder_norm is None else self.encoder_norm(x), mask)

    def decode(self, target: tf.Tensor, memory: Memory, seed: tf.Tensor | None = None) -> tf.Tensor:
        seed = fold_in(seed, 1)
        x = self._embed(target, self.target_embedding, self.target_positions, fold_in(seed, 0))
        # Padding follows every real position, so the causal mask alone hides it from all of them.
        mask = causal_mask(tf.shape(target)[1])
        for i, layer in enumerate(self.decoder_layers):
            x = self._through(layer, x, mask, memory, seed=fold_in(seed, i + 1))
        return x if self.decoder_norm is None else self.decoder_norm(x)

    def _embed(
        self,
        ids: tf.Tensor,
        embedding: Embedding,
        positions: PositionEmbedding,
        seed: tf.Tensor | None,
    ) -> tf.Tensor:
        """[B, T] → [B, T, D]"""
        x = embedding(ids) + positions(tf.range(tf.shape(ids)[1]))
        return dropout(x, self.config.embedding_dropout_rate, seed)

    def _through(
        self,
        layer: keras.layers.Layer,
        x: tf.Tensor,
        *surroundings: object,
        seed: tf.Tensor | None,
    ) -> tf.Tensor:
        """[B, T, D] → [B, T, D]"""
        if self.recompute_activations:
            return checkpointed(layer, x, *surroundings, seed)
        return layer(x, *surroundings, seed)

    def start(self, memory: Memory) -> tuple[StepFunction, Fixed, Cache]:
        keys_values = [
            layer.cross_attention.keys_values(memory.states) for layer in self.decoder_layers
        ]
        num_sentences = tf.shape(memory.states)[0]
        empty = tf.zeros(
            [num_sentences, self.config.num_heads, 0, self.head_dim], memory.states.dtype
        )
        cache = [KeyValue(empty, empty) for _ in self.decoder_layers]
        output = self.search_output(memory.states.dtype)
        return partial(self._step, output), (keys_values, memory.mask), cache

    def _step(
        self,
        output: tuple[tf.Tensor, tf.Tensor],
        ids: tf.Tensor,
        positions: tf.Tensor,
        places: tf.Tensor,
        rows: tf.Tensor,
        fixed: Fixed,
        cache: Cache,
    ) -> tuple[tf.Tensor, Cache]:
        memory_keys_values, memory_mask = fixed
        x = self.target_embedding(ids) + self.target_positions(positions)
        x = x[:, tf.newaxis]
        new_cache = []
        for layer, key_value, layer_cache in zip(
            self.decoder_layers, memory_keys_values, cache, strict=True
        ):
            x, layer_cache = layer.step(x, layer_cache, key_value, memory_mask, places, rows)
            new_cache.append(layer_cache)
        if self.decoder_norm is not None:
            x = self.decoder_norm(x)
        return affine(x[:, 0], *output), new_cache


def _attention(config: ModelConfig, dtype: keras.DTypePolicy, name: str) -> MultiHeadAttention:
    return MultiHeadAttention(
        config.model_dim, config.num_heads, config.attention_dropout_rate, dtype=dtype, name=name
    )


def _feed_forward(config: ModelConfig, dtype: keras.DTypePolicy) -> FeedForward:
    return FeedForward(
        config.model_dim,
        config.feed_forward_dim,
        config.activation,
        config.activation_dropout_rate,
        dtype=dtype,
        name="feed_forward",
    )


def _residual(config: ModelConfig, dtype: keras.DTypePolicy, name: str) -> Residual:
    return Residual(config.normalization, config.dropout_rate, dtype=dtype, name=name)
