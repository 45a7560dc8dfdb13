"""Dropout without a random state: the seed is an argument and decides everything.

A seed is an int64 tensor of two numbers. `fold_in(seed, i)` derives the i-th seed from it, so that
one seed for a step gives every dropout of the model a seed of its own.
"""

from __future__ import annotations

from typing import TypeAlias

import tensorflow as tf

Seed: TypeAlias = tf.Tensor | None

_MULTIPLIER = 6364136223846793005  # Knuth's MMIX generator: a full-period map of 64-bit numbers


def fold_in(seed: Seed, index: int | tf.Tensor) -> Seed:
    """The seed with this index (int64) below another seed; None (no dropout) stays None.

    Old runs resume with the same dropout only if this arithmetic and every index stay.
    """
    if seed is None:
        return None
    return tf.stack([seed[0], seed[1] * _MULTIPLIER + (2 * index + 1)])


def dropout(x: tf.Tensor, rate: float, seed: Seed) -> tf.Tensor:
    """Zero a share `rate` of x and scale up the rest, so that the mean stays the same (Srivastava
    et al. 2014).

    One random byte decides each element: the rate is rounded to a 256th, and the scale fits the
    rounded rate. The same seed always gives the same zeros.
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
