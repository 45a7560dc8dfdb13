"""From ids to vectors: a table of embeddings, and embeddings of positions, which are added.

B batch, T length, V vocabulary, D model width.
"""

from __future__ import annotations

import math

import keras
import tensorflow as tf


class Embedding(keras.layers.Layer):
    """A table [V, D] whose rows are scaled by √D when looked up, [B, T] ids → [B, T, D].

    So it can serve as the output matrix too (Vaswani et al. 2017, section 3.4; Press & Wolf 2017).
    """

    def __init__(self, vocabulary_size: int, model_dim: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.shape = (vocabulary_size, model_dim)
        self.scale = math.sqrt(model_dim)

    def build(self, ids_shape: tuple[int | None, ...] | None = None) -> None:
        self.table = self.add_weight(
            name="table",
            shape=self.shape,
            initializer=keras.initializers.RandomNormal(stddev=1 / self.scale),
            dtype="float32",
            autocast=False,
        )

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        rows = tf.gather(self.table.value, ids)
        return tf.cast(rows * self.scale, self.compute_dtype)


def sinusoidal_positions(positions: tf.Tensor, model_dim: int) -> tf.Tensor:
    """Positions of any shape → [..., D] float32: sines in the first half, cosines in the second.

    The wavelengths form a geometric series from 2π to 10,000 · 2π (Vaswani et al. 2017, 3.5).
    """
    half = model_dim // 2
    frequencies = tf.exp(
        tf.range(half, dtype=tf.float32) * (-math.log(10_000.0) / max(half - 1, 1))
    )
    angles = tf.cast(positions, tf.float32)[..., tf.newaxis] * frequencies
    return tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1)


class PositionEmbedding(keras.layers.Layer):
    """Positions of any shape → [..., D]: sinusoids, or a learned table.

    Beyond max_length the table repeats its last row.
    """

    def __init__(self, kind: str, model_dim: int, max_length: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.shape = (max_length, model_dim)
        self.learned = kind == "learned"
        self.table: keras.Variable | None = None

    def build(self, positions_shape: tuple[int | None, ...] | None = None) -> None:
        if self.learned:
            self.table = self.add_weight(
                name="table",
                shape=self.shape,
                initializer="uniform",
                dtype="float32",
                autocast=False,
            )

    def call(self, positions: tf.Tensor) -> tf.Tensor:
        max_length, model_dim = self.shape
        if self.table is None:
            vectors = sinusoidal_positions(positions, model_dim)
        else:
            vectors = tf.gather(self.table.value, tf.minimum(positions, max_length - 1))
        return tf.cast(vectors, self.compute_dtype)
