"""Cross-entropy with label smoothing, from decoder states; alone, or with R-Drop.

The logits of a batch, [M, V], are by far its largest tensor. Here they live a chunk of tokens at a
time: as soon as a chunk's are known, so is their gradient, and both are gone before the next.

M tokens, D model width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

CHUNK = 1024
"""Tokens. It decides how sums round, so old runs resume to the bit only with this."""
TINY = float(np.finfo(np.float32).tiny)


def cross_entropy(
    states: tf.Tensor, table: tf.Tensor, labels: tf.Tensor, label_smoothing: float
) -> tf.Tensor:
    """Sum over tokens of (1 − ε) · −log p(label) + ε · mean over the vocabulary of −log p.

    states [M, D], table [V, D] float32, labels [M]. The products are made in the states' dtype, the
    softmax in float32. The plain formula; `chunked_cross_entropy` is the one for training.
    """
    logits = tf.matmul(states, tf.cast(table, states.dtype), transpose_b=True)
    log_p = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    of_labels = tf.gather(log_p, labels, batch_dims=1)
    mean = tf.reduce_mean(log_p, axis=-1)
    return -tf.reduce_sum((1 - label_smoothing) * of_labels + label_smoothing * mean)


def least_cross_entropy(label_smoothing: float, vocabulary_size: int) -> float:
    """What `cross_entropy` cannot be below, a token: the entropy of a smoothed label."""
    others = label_smoothing / vocabulary_size
    label = 1 - label_smoothing + others
    return -sum(
        count * p * math.log(p) for count, p in ((1, label), (vocabulary_size - 1, others)) if p
    )


def r_drop(
    states: tf.Tensor, table: tf.Tensor, labels: tf.Tensor, label_smoothing: float, alpha: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """The loss of R-Drop (Liang et al. 2021), summed over tokens, and the cross-entropy in it.

    states [M, 2, D] are those of two passes with different dropout. The loss is the mean of their
    cross-entropies + α/2 · ½ (KL(p₁‖p₂) + KL(p₂‖p₁)), half of the paper's, so that it is on the
    scale of one pass. The plain formula; `chunked_r_drop` is the one for training.
    """
    logits = tf.einsum("mpd,vd->pmv", states, tf.cast(table, states.dtype))
    log_1, log_2 = tf.unstack(tf.nn.log_softmax(tf.cast(logits, tf.float32)))
    there = tf.reduce_sum(tf.exp(log_1) * (log_1 - log_2))
    back = tf.reduce_sum(tf.exp(log_2) * (log_2 - log_1))
    both = tf.reshape(states, [-1, states.shape[-1]]), table, tf.repeat(labels, 2)
    mean = cross_entropy(*both, label_smoothing) / 2
    return mean + alpha / 2 * (there + back) / 2, mean


def chunked_cross_entropy(
    states: tf.Tensor, table: tf.Tensor, labels: tf.Tensor, label_smoothing: float
) -> tf.Tensor:
    """`cross_entropy`, its gradient computed along with it, chunk by chunk."""
    return _chunked(states, table, labels, label_smoothing, 0.0)[0]


def chunked_r_drop(
    states: tf.Tensor, table: tf.Tensor, labels: tf.Tensor, label_smoothing: float, alpha: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """`r_drop`, its gradient computed along with it, chunk by chunk. The second has no gradient."""
    rows = tf.reshape(states, [-1, states.shape[-1]])
    loss, divergence = _chunked(rows, table, tf.repeat(labels, 2), label_smoothing, alpha / 2)
    return loss / 2, tf.stop_gradient(loss - alpha / 2 * divergence) / 2


def _chunked(
    states: tf.Tensor,
    table: tf.Tensor,
    labels: tf.Tensor,
    label_smoothing: float,
    weight: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross-entropy + weight · divergence, and the divergence, which has no gradient of its own.

    With z = states · tableᵀ and p = softmax(z), the loss of a token is −log p_label + ε (z_label −
    mean(z)), and its gradient towards z is p − (1 − ε) onehot − ε/V. Only p and its three products
    are as large as [M, V]: (1 − ε) is taken off p in place at the labels, and ε/V, the same
    everywhere, is left to vectors: towards the states it is ε · mean(table), towards the table the
    sum of the states times ε/V.

    The divergence is that of rows 0 and 1, 2 and 3, and so on; it is 0 if the weight is.
    """
    vocabulary_size = tf.cast(tf.shape(table)[0], tf.float32)
    scale = weight or 1.0
    """By which the gradients of a chunk are too small."""

    @tf.custom_gradient
    def loss(
        states: tf.Tensor, table: tf.Tensor
    ) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable[..., tuple[tf.Tensor, tf.Tensor]]]:
        num_tokens = tf.shape(states)[0]
        low_table = tf.cast(table, states.dtype)

        def chunk(
            start: tf.Tensor,
            total: tf.Tensor,
            divergence: tf.Tensor,
            d_states: tf.TensorArray,
            d_table: tf.Tensor,
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.TensorArray, tf.Tensor]:
            s, y = states[start : start + CHUNK], labels[start : start + CHUNK]
            if weight:
                s, y = _apart(s), _apart(y)
            at_labels = tf.stack([tf.range(tf.shape(y)[0]), y], axis=1)
            z = tf.cast(tf.matmul(s, low_table, transpose_b=True), tf.float32)
            p = tf.nn.softmax(z)
            z_label, p_label = tf.gather_nd(z, at_labels), tf.gather_nd(p, at_labels)
            log_p = _log(p_label, z_label, z, p)
            p_wanted = tf.fill(tf.shape(y), (1 - label_smoothing) / scale)
            if weight:
                of_chunk, p = _divergence(z, p, weight)
                divergence += of_chunk
            d_z = tf.cast(tf.tensor_scatter_nd_sub(p, at_labels, p_wanted), s.dtype)
            d_s = tf.matmul(d_z, low_table)
            return (
                start + CHUNK,
                total + tf.reduce_sum(label_smoothing * z_label - log_p),
                divergence,
                d_states.write(start // CHUNK, _together(d_s) if weight else d_s),
                d_table + tf.cast(tf.matmul(d_z, s, transpose_a=True), tf.float32),
            )

        _, total, divergence, d_states, d_table = tf.while_loop(
            lambda start, *_: start < num_tokens,
            chunk,
            (
                0,
                0.0,
                0.0,
                tf.TensorArray(states.dtype, (num_tokens + CHUNK - 1) // CHUNK, infer_shape=False),
                tf.zeros_like(table),
            ),
            parallel_iterations=1,
        )
        d_states = tf.ensure_shape(d_states.concat(), states.shape)
        if weight:
            d_states, d_table = scale * d_states, scale * d_table
        if label_smoothing:
            mean_row = label_smoothing * tf.reduce_mean(table, axis=0)
            ones = tf.ones([1, num_tokens])
            sum_of_states = tf.matmul(ones, tf.cast(states, tf.float32))[0]
            total -= tf.tensordot(sum_of_states, mean_row, 1)
            d_states -= tf.cast(mean_row, states.dtype)
            d_table -= label_smoothing / vocabulary_size * sum_of_states

        def gradient(upstream: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return d_states * tf.cast(upstream, d_states.dtype), d_table * upstream

        return (total + weight * divergence, divergence), gradient

    return loss(states, table)


def _log(p_label: tf.Tensor, z_label: tf.Tensor, z: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
    """log p_label [M]; from the logits where it is too small for a float, which is rare."""
    is_tiny = p_label < TINY
    log_p = tf.math.log(tf.maximum(p_label, TINY))

    def from_logits() -> tf.Tensor:
        below_highest = z_label - tf.reduce_max(z, axis=-1)
        return tf.where(is_tiny, below_highest + tf.math.log(tf.reduce_max(p, axis=-1)), log_p)

    return tf.cond(tf.reduce_any(is_tiny), from_logits, lambda: log_p)


def _divergence(z: tf.Tensor, p: tf.Tensor, weight: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Sum of KL(p₁‖p₂) + KL(p₂‖p₁) over pairs of rows, the first ones above the second ones, and
    p / weight + its gradient towards z.

    The softmax's normalizers cancel out in the sum: with d = z₁ − z₂, m₁ = Σ p₁ d and m₂ = −Σ p₂ d
    over the vocabulary, a pair's divergence is m₁ + m₂, and its gradient towards z₁ is p₁ (1 + d −
    m₁) − p₂, towards z₂ it is p₂ (1 − d − m₂) − p₁.
    """
    (z_1, z_2), (p_1, p_2) = tf.split(z, 2), tf.split(p, 2)
    d = z_1 - z_2
    m_1 = tf.reduce_sum(p_1 * d, axis=-1, keepdims=True)
    m_2 = -tf.reduce_sum(p_2 * d, axis=-1, keepdims=True)
    ones = 1 + 1 / weight
    d_z = tf.concat([p_1 * ((ones - m_1) + d) - p_2, p_2 * ((ones - m_2) - d) - p_1], axis=0)
    return tf.reduce_sum(m_1 + m_2), d_z


def _apart(x: tf.Tensor) -> tf.Tensor:
    """Pairs of rows → the first ones, then the second ones."""
    return tf.concat([x[0::2], x[1::2]], axis=0)


def _together(x: tf.Tensor) -> tf.Tensor:
    """The first rows of pairs, then the second ones → pairs."""
    return tf.reshape(tf.stack(tf.split(x, 2), axis=1), tf.shape(x))
