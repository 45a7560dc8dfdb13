"""What training and search know of a model, whatever it is made of.

B batch, K hypotheses a sentence, R rows of a search (hypotheses that a step computes), S source
length, T target length, D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Literal, NamedTuple

import keras
import tensorflow as tf

from translator.config.schema import Config
from translator.layers import kernels
from translator.layers.cross_attention import Rows
from translator.layers.dropout import Seed
from translator.layers.inference import prepared
from translator.models.weight_rules import RULES, Rules


class Memory(NamedTuple):
    """What the encoder hands over."""

    states: Any
    """What decoding needs of each position: the encoder's states [B, S, D], or what a model has in
    their place, leading axis B."""
    not_padding: tf.Tensor
    """[B, S] boolean, False where a state belongs to padding."""


class Fixed(NamedTuple):
    """What a step reads besides ids, positions and cache."""

    memory: Any
    """What the model made of the memory, leading axis B. It is never repeated for hypotheses."""
    rows: Rows
    """Which hypotheses the rows of this step are."""


Cache = Any
"""What a decoder keeps between positions, leading axis R. The search reorders it."""

StepFunction = Callable[[tf.Tensor, tf.Tensor, Fixed, Cache], tuple[tf.Tensor, Cache]]
"""(last ids [R], their positions [R], fixed, cache) → (logits [R, V], cache). The logits are in the
model's precision, up to a constant."""


Part = Literal["encoder", "decoder", "cross"]

ALL_PARTS: frozenset[Part] = frozenset(("encoder", "decoder", "cross"))


class AttentionMap(NamedTuple):
    """What the heads of an attention look at."""

    part: Part
    """encoder: source positions at the source; decoder: target positions at the target so far;
    cross: target positions at the source."""
    layer: int
    """Number of layers below."""
    weights: tf.Tensor
    """[B, N, T, S] float32: the weight of each key, for each query."""


class Seq2SeqModel(keras.Model):
    """A model that reads a source and writes a target.

    Rows of source ids end with the end id, rows of target input begin with the begin id, and both
    are padded with the pad id. A `seed` (layers/dropout.py) turns dropout on; None is inference.
    """

    weight_rules: Rules = RULES
    """How its weights begin, and which of them decay."""

    recompute_activations = False
    """Whether training computes the activations inside layers twice instead of keeping them."""

    output_table: keras.Variable
    """[V, D]: the logits of a decoder state are its products with these rows."""

    @classmethod
    def of(
        cls, config: Config, source_vocabulary_size: int, target_vocabulary_size: int, dtype: str
    ) -> Seq2SeqModel:
        """The model that a configuration describes. dtype: a policy of Keras."""
        raise NotImplementedError

    @classmethod
    def num_weights(
        cls, config: Config, source_vocabulary_size: int, target_vocabulary_size: int
    ) -> int:
        """The number of weights of such a model, or somewhat fewer, without making it."""
        raise NotImplementedError

    @classmethod
    def missing_exports(cls, config: Config) -> Mapping[str, str]:
        """Formats in which such a model cannot be exported, each with the reason."""
        return {"ctranslate2": "CTranslate2 does not have this model"}

    def encode(self, source: tf.Tensor, seed: Seed = None) -> Memory:
        """[B, S] source ids → memory."""
        raise NotImplementedError

    def decode(self, target: tf.Tensor, memory: Memory, seed: Seed = None) -> tf.Tensor:
        """[B, T] target input ids → decoder states [B, T, D], all positions at once."""
        raise NotImplementedError

    def start(self, memory: Memory) -> tuple[StepFunction, Fixed, Cache]:
        """The step function of a search, and what it starts with: one row for each sentence."""
        raise NotImplementedError

    def attention_maps(
        self, source: tf.Tensor, target: tf.Tensor, parts: AbstractSet[Part] = ALL_PARTS
    ) -> list[AttentionMap]:
        """[B, S], [B, T] → the attentions of `parts` in `call`, of all layers that have one.

        They are computed apart and only for this, since neither training nor search keeps them.
        """
        raise NotImplementedError

    def logits(self, states: tf.Tensor) -> tf.Tensor:
        """[..., D] decoder states → [..., V] float32."""
        matrix = self._output_matrix(states.dtype)
        flat = tf.matmul(tf.reshape(states, [-1, matrix.shape[0]]), matrix)
        shape = tf.concat([tf.shape(states)[:-1], [matrix.shape[1]]], axis=0)
        return tf.cast(tf.reshape(flat, shape), tf.float32)

    def search_output(self, dtype: tf.DType) -> Callable[[tf.Tensor], tf.Tensor]:
        """The last part of a step function: decoder states [R, D] → logits [R, V] in `dtype`."""
        return kernels.search_output(self._output_matrix(dtype))

    def call(self, source: tf.Tensor, target: tf.Tensor, seed: Seed = None) -> tf.Tensor:
        """[B, S], [B, T] → decoder states [B, T, D]."""
        return self.decode(target, self.encode(source, seed), seed)

    def _output_matrix(self, dtype: tf.DType) -> tf.Tensor:
        """The output table as [D, V], which makes products of few rows faster."""
        table = self.output_table
        return prepared(lambda: tf.transpose(tf.cast(tf.convert_to_tensor(table), dtype)))
