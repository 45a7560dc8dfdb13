"""The Transformer (Vaswani et al. 2017): layers of a mixer and feed-forward, stacked.

The mixer is self-attention, or what model.encoder and model.decoder name. A decoder layer also has
cross-attention to the encoder's memory.

Old runs depend on the names of layers (models/weight_rules.py), on the order in which they are
assigned (models/weights.py: named_variables), and on the index of every seed that is folded in.

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
from translator.layers.cross_attention import CrossAttention, Rows
from translator.layers.dropout import Seed, dropout, fold_in
from translator.layers.embedding import Embedding, PositionEmbedding
from translator.layers.gradient_checkpointing import checkpointed
from translator.layers.heads import KeyValue
from translator.layers.mixer import State
from translator.layers.normalization import LayerNormalization
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

EARLIER = Visible(causal=True)
"""What a target position sees of the target. Padding follows every real position, so it is hidden
from all of them, too."""


class EncoderLayer(keras.layers.Layer):
    """A mixer, then feed-forward."""

    def __init__(self, config: ModelConfig, depth: int, **kwargs: object) -> None:
        """depth: number of layers below."""
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.mixer = blocks.MIXERS[config.encoder].make(config, depth, dtype)
        self.mixer_residual = blocks.residual(config, self.mixer.name, dtype)
        self.feed_forward = blocks.feed_forward(config, dtype)
        self.feed_forward_residual = blocks.residual(config, "feed_forward", dtype)

    def build(self, shape: tuple[int | None, ...]) -> None:
        for layer in (
            *(self.mixer, self.mixer_residual),
            *(self.feed_forward, self.feed_forward_residual),
        ):
            layer.build(shape)

    def call(self, x: tf.Tensor, visible: Visible, seed: Seed) -> tf.Tensor:
        """[B, S, D] → [B, S, D]"""
        y = self.mixer(self.mixer_residual.before(x), visible=visible, seed=fold_in(seed, 0))
        x = self.mixer_residual(x, y, fold_in(seed, 1))
        y = self.feed_forward(self.feed_forward_residual.before(x), fold_in(seed, 2))
        return self.feed_forward_residual(x, y, fold_in(seed, 3))

    def shown_weights(self, x: tf.Tensor, visible: Visible) -> tf.Tensor | None:
        """The weights of its mixer, [B, N, S, S], if it has any."""
        return self.mixer.shown_weights(self.mixer_residual.before(x), visible)


class DecoderLayer(keras.layers.Layer):
    """A mixer of the target so far, cross-attention to the memory, feed-forward."""

    def __init__(self, config: ModelConfig, depth: int, **kwargs: object) -> None:
        """depth: number of layers below."""
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.mixer = blocks.MIXERS[config.decoder].make(config, depth, dtype)
        self.mixer_residual = blocks.residual(config, self.mixer.name, dtype)
        self.cross_attention = CrossAttention(
            *blocks.attention_arguments(config), name="cross_attention", dtype=dtype
        )
        self.cross_attention_residual = blocks.residual(config, "cross_attention", dtype)
        self.feed_forward = blocks.feed_forward(config, dtype)
        self.feed_forward_residual = blocks.residual(config, "feed_forward", dtype)

    def build(self, shape: tuple[int | None, ...]) -> None:
        for layer in (
            *(self.mixer, self.mixer_residual),
            *(self.cross_attention, self.cross_attention_residual),
            *(self.feed_forward, self.feed_forward_residual),
        ):
            layer.build(shape)

    def call(self, x: tf.Tensor, memory: Memory, seed: Seed) -> tf.Tensor:
        """[B, T, D] → [B, T, D], all positions at once."""
        y = self.mixer(self.mixer_residual.before(x), visible=EARLIER, seed=fold_in(seed, 0))
        x = self.mixer_residual(x, y, fold_in(seed, 1))
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
        self, x: tf.Tensor, state: State, memory: KeyValue, visible: Visible, rows: Rows
    ) -> tuple[tf.Tensor, State]:
        """The next position, [R, 1, D] → [R, 1, D], and the mixer's state after it.

        `visible` is of the memory.
        """
        y, state = self.mixer.step(self.mixer_residual.before(x), state)
        x = self.mixer_residual(x, y)
        y = self.cross_attention.step(
            self.cross_attention_residual.before(x), memory, visible, rows
        )
        x = self.cross_attention_residual(x, y)
        y = self.feed_forward(self.feed_forward_residual.before(x))
        return self.feed_forward_residual(x, y), state

    def shown_weights(self, x: tf.Tensor) -> tf.Tensor | None:
        """The weights of its mixer, [B, N, T, T], if it has any."""
        return self.mixer.shown_weights(self.mixer_residual.before(x), EARLIER)

    def shown_cross_weights(self, x: tf.Tensor, memory: Memory) -> tf.Tensor:
        """The weights of its cross-attention, [B, N, T, S]."""
        x = self.mixer_residual(x, self.mixer(self.mixer_residual.before(x), visible=EARLIER))
        return self.cross_attention.shown_weights(
            self.cross_attention_residual.before(x), memory.states, Visible(memory.not_padding)
        )


class Transformer(StackedModel):
    """Embeddings, a stack of encoder layers, a stack of decoder layers."""

    @classmethod
    def num_weights(
        cls, config: Config, source_vocabulary_size: int, target_vocabulary_size: int
    ) -> int:
        """All but biases and normalization."""
        model = config.model
        num_decoder_layers = model.num_decoder_layers or model.num_layers
        encoder, decoder = blocks.MIXERS[model.encoder], blocks.MIXERS[model.decoder]
        cross_attention = blocks.MIXERS["attention"]
        num_weights = sum(encoder.num_weights(model, i) for i in range(model.num_layers))
        num_weights += sum(
            decoder.num_weights(model, i) + cross_attention.num_weights(model, i)
            for i in range(num_decoder_layers)
        )
        num_feed_forwards = model.num_layers + num_decoder_layers
        sizes = source_vocabulary_size, target_vocabulary_size
        rows = blocks.num_embedding_rows(model, *sizes, config.data.max_length)
        rows += num_feed_forwards * 2 * model.feed_forward_dim
        return num_weights + rows * model.model_dim

    @classmethod
    def missing_exports(cls, config: Config) -> Mapping[str, str]:
        model = config.model
        missing = {
            format: f"model.{key} is {kind}, and {reason}"
            for key, kind in (("decoder", model.decoder), ("encoder", model.encoder))
            for format, reason in blocks.MIXERS[kind].missing_exports.items()
        }
        if model.attention_window is not None:
            reason = "CTranslate2 has no window in encoders"
            missing["ctranslate2"] = f"model.attention_window is set, and {reason}"
        return missing

    def add_layers(self, config: ModelConfig, max_length: int) -> None:
        policy = self.dtype_policy
        self.source_positions = blocks.positions(config, "source_positions", max_length, policy)
        self.target_positions = blocks.positions(config, "target_positions", max_length, policy)
        self.encoder_layers = [
            EncoderLayer(config, i, dtype=policy, name=f"encoder_{i}")
            for i in range(config.num_layers)
        ]
        self.decoder_layers = [
            DecoderLayer(config, i, dtype=policy, name=f"decoder_{i}")
            for i in range(config.num_decoder_layers or config.num_layers)
        ]
        self.encoder_norm = self.decoder_norm = None
        if config.normalization == "pre":
            self.encoder_norm = LayerNormalization(dtype=policy, name="encoder_norm")
            self.decoder_norm = LayerNormalization(dtype=policy, name="decoder_norm")

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

    def attention_maps(
        self, source: tf.Tensor, target: tf.Tensor, parts: AbstractSet[Part] = ALL_PARTS
    ) -> list[AttentionMap]:
        found: list[tuple[Part, int, tf.Tensor | None]] = []
        not_padding = tf.not_equal(source, PAD_ID)
        visible = Visible(not_padding)
        x = self._embed(source, self.source_embedding, self.source_positions, None)
        for i, layer in enumerate(self.encoder_layers):
            if "encoder" in parts:
                found.append(("encoder", i, layer.shown_weights(x, visible)))
            x = layer(x, visible=visible, seed=None)
        memory = Memory(x if self.encoder_norm is None else self.encoder_norm(x), not_padding)
        x = self._embed(target, self.target_embedding, self.target_positions, None)
        for i, layer in enumerate(self.decoder_layers):
            if "decoder" in parts:
                found.append(("decoder", i, layer.shown_weights(x)))
            if "cross" in parts:
                found.append(("cross", i, layer.shown_cross_weights(x, memory)))
            x = layer(x, memory=memory, seed=None)
        return [AttentionMap(part, i, weights) for part, i, weights in found if weights is not None]

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
        cache = [layer.mixer.start(num_sentences, dtype) for layer in self.decoder_layers]
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
        for layer, key_value, state in zip(self.decoder_layers, keys_values, cache, strict=True):
            x, state = layer.step(x, state, key_value, Visible(not_padding), fixed.rows)
            new_cache.append(state)
        if self.decoder_norm is not None:
            x = self.decoder_norm(x)
        return output(x[:, 0]), new_cache
