"""Dropout without a random state: the seed is an argument, and decides everything.

A seed is an int64 tensor of two numbers. `place(seed, i)` is the seed of the i-th place below it,
so that a step's one seed serves every dropout of the model with a number of its own.
"""

from __future__ import annotations

import tensorflow as tf

_MULTIPLIER = 6364136223846793005  # Knuth's MMIX generator: a full-period map of 64-bit numbers


def place(seed: tf.Tensor | None, index: int) -> tf.Tensor | None:
    """The seed of the place `index` below this one; None (no dropout) stays None."""
    if seed is None:
        return None
    return tf.stack([seed[0], seed[1] * _MULTIPLIER + (2 * index + 1)])


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Zero a share `rate` of x and scale up the rest, so that the mean stays (Srivastava et al.
    2014).

    One random byte decides each element: the rate is rounded to a 256th, and the scale fits the
    rounded rate. The same seed gives the same zeros, whatever else has been computed.
    """
    threshold = round(rate * 256)
    if seed is None or threshold == 0:
        return x
    size = tf.size(x)
    words = tf.random.stateless_uniform(
        [(size + 3) // 4], seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox"
    )
    random_bytes = tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:size]
    kept = tf.reshape(random_bytes >= threshold, tf.shape(x))
    scale = tf.cast(256 / (256 - threshold), x.dtype)
    return x * tf.where(kept, scale, tf.zeros_like(scale))


def word_dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """`dropout` of whole vectors [..., D], such as embeddings of words (Gal & Ghahramani 2016).

    Each place in a sentence is decided on its own, and what is kept is scaled up, as in the
    low-resource systems of Sennrich & Zhang (2019).
    """
    if seed is None or not rate:
        return x
    scales = dropout(tf.ones(tf.shape(x)[:-1], x.dtype), rate, seed)
    return x * scales[..., tf.newaxis]


def layer_dropout(y: tf.Tensor, x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """y, what a layer made of x; or with a probability of `rate` x itself, as if there was no such
    layer (LayerDrop, Fan et al. 2020). As there, nothing is scaled.

    The layer is computed all the same, so that every step takes the same time and memory.
    """
    if seed is None or not rate:
        return y
    return tf.where(dropout(tf.ones([]), rate, seed) > 0, y, x)
