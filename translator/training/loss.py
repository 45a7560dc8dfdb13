"""Cross-entropy with label smoothing, and R-Drop, from decoder states.

The logits of a batch, [M, V], are by far its largest tensor. The chunked losses hold only those of
CHUNK tokens at a time: they compute the gradient of a chunk together with its loss, and drop its
logits before the next chunk.

M tokens, C tokens of a chunk, D model width, V vocabulary size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf

CHUNK = 1024
"""Tokens in a chunk. It affects how sums round, so another value would not resume old runs bit for
bit."""

TINY = float(np.finfo(np.float32).tiny)

Sums: TypeAlias = tuple[tf.Tensor, ...]
Gradients: TypeAlias = tuple[tf.Tensor, tf.Tensor]
"""Towards states [M, D] and table [V, D]."""


def cross_entropy(
    states: tf.Tensor, table: tf.Tensor, labels: tf.Tensor, label_smoothing: float
) -> tf.Tensor:
    """Sum over tokens of (1 − ε) · −log p(label) + ε · mean over the vocabulary of −log p.

    states [M, D], table [V, D] float32, labels [M]. Logits have the dtype of the states, the
    softmax is float32. This is the plain formula; training uses `chunked_cross_entropy`.
    """
    logits = tf.matmul(states, tf.cast(table, states.dtype), transpose_b=True)
    log_p = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    of_labels = tf.gather(log_p, labels, batch_dims=1)
    mean = tf.reduce_mean(log_p, axis=-1)
    return -tf.reduce_sum((1 - label_smoothing) * of_labels + label_smoothing * mean)


def least_cross_entropy(label_smoothing: float, vocabulary_size: int) -> float:
    """The lowest possible `cross_entropy` of a token: the entropy of a smoothed label, in nats."""
    others = label_smoothing / vocabulary_size
    label = 1 - label_smoothing + others
    return -sum(
        count * p * math.log(p) for count, p in ((1, label), (vocabulary_size - 1, others)) if p
    )


def r_drop(
    states: tf.Tensor, table: tf.Tensor, labels: tf.Tensor, label_smoothing: float, alpha: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """R-Drop's loss (Liang et al. 2021) and the cross-entropy in it, both summed over tokens.

    states [M, 2, D] are those of two passes with different dropout. The loss is the mean of their
    cross-entropies + α/2 · ½ (KL(p₁‖p₂) + KL(p₂‖p₁)): half of the paper's, so that it is on the
    scale of one pass. This is the plain formula; training uses `chunked_r_drop`.
    """
    logits = tf.einsum("mpd,vd->pmv", states, tf.cast(table, states.dtype))
    log_1, log_2 = tf.unstack(tf.nn.log_softmax(tf.cast(logits, tf.float32)))
    forward = tf.reduce_sum(tf.exp(log_1) * (log_1 - log_2))
    backward = tf.reduce_sum(tf.exp(log_2) * (log_2 - log_1))
    both = tf.reshape(states, [-1, states.shape[-1]]), table, tf.repeat(labels, 2)
    mean = cross_entropy(*both, label_smoothing) / 2
    return mean + alpha / 2 * (forward + backward) / 2, mean


def chunked_cross_entropy(
    states: tf.Tensor, table: tf.Tensor, labels: tf.Tensor, label_smoothing: float
) -> tf.Tensor:
    """`cross_entropy`, computed chunk by chunk together with its gradients.

    With z = states · tableᵀ and p = softmax(z), the loss of a token is
    −log p_label + ε (z_label − mean(z)), and its gradient towards z is p − (1 − ε) onehot − ε/V.
    The chunks compute all but the terms in mean(z) and ε/V; `_smoothed` adds these.
    """
    low_table = tf.cast(table, states.dtype)

    def chunk(s: tf.Tensor, y: tf.Tensor) -> tuple[Sums, Gradients]:
        z = tf.cast(tf.matmul(s, low_table, transpose_b=True), tf.float32)
        p = tf.nn.softmax(z)
        loss = _chunk_cross_entropy(z, p, y, label_smoothing)
        d_z = _subtract_at_labels(p, y, 1 - label_smoothing)
        return (loss,), _through_logits(d_z, s, low_table)

    (loss,), gradients = _sum_chunks(chunk, 1, states, table, labels)
    loss, gradients = _smoothed(loss, gradients, states, table, label_smoothing)
    return _with_gradients(loss, [states, table], gradients)


def chunked_r_drop(
    states: tf.Tensor, table: tf.Tensor, labels: tf.Tensor, label_smoothing: float, alpha: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """`r_drop` with α > 0, computed chunk by chunk together with its gradients.

    The chunks compute gradients divided by α/2, the weight of the divergence, and one product at
    the end multiplies them by it. The returned cross-entropy has no gradient.
    """
    weight = alpha / 2
    rows = tf.reshape(states, [-1, states.shape[-1]])
    low_table = tf.cast(table, states.dtype)

    def chunk(s: tf.Tensor, y: tf.Tensor) -> tuple[Sums, Gradients]:
        s, y = _passes_apart(s), _passes_apart(y)
        z = tf.cast(tf.matmul(s, low_table, transpose_b=True), tf.float32)
        p = tf.nn.softmax(z)
        loss = _chunk_cross_entropy(z, p, y, label_smoothing)
        divergence, d_z = _divergence(z, p, weight)
        d_z = _subtract_at_labels(d_z, y, (1 - label_smoothing) / weight)
        d_s, d_table = _through_logits(d_z, s, low_table)
        return (loss, divergence), (_passes_together(d_s), d_table)

    (loss, divergence), (d_rows, d_table) = _sum_chunks(chunk, 2, rows, table, tf.repeat(labels, 2))
    gradients = weight * d_rows, weight * d_table
    loss, gradients = _smoothed(loss, gradients, rows, table, label_smoothing)
    objective = _with_gradients(loss + weight * divergence, [rows, table], gradients)
    return objective / 2, tf.stop_gradient(loss) / 2


def _sum_chunks(
    chunk: Callable[[tf.Tensor, tf.Tensor], tuple[Sums, Gradients]],
    num_sums: int,
    states: tf.Tensor,
    table: tf.Tensor,
    labels: tf.Tensor,
) -> tuple[Sums, Gradients]:
    """Call `chunk` on CHUNK states and labels at a time, and combine what it returns.

    The num_sums sums of the chunks and their gradients towards the table are added up; their
    gradients towards the states are joined.
    """
    num_tokens = tf.shape(states)[0]
    num_chunks = (num_tokens + CHUNK - 1) // CHUNK

    def add_chunk(
        start: tf.Tensor, totals: Sums, d_states: tf.TensorArray, d_table: tf.Tensor
    ) -> tuple[tf.Tensor, Sums, tf.TensorArray, tf.Tensor]:
        stop = start + CHUNK
        sums, (d_s, d_chunk_table) = chunk(states[start:stop], labels[start:stop])
        totals = tuple(total + each for total, each in zip(totals, sums, strict=True))
        return stop, totals, d_states.write(start // CHUNK, d_s), d_table + d_chunk_table

    d_states = tf.TensorArray(
        states.dtype, num_chunks, element_shape=[None, *states.shape[1:]], infer_shape=False
    )
    _, totals, d_states, d_table = tf.while_loop(
        lambda start, *_: start < num_tokens,
        add_chunk,
        (0, (0.0,) * num_sums, d_states, tf.zeros_like(table)),
        parallel_iterations=1,
    )
    return totals, (tf.ensure_shape(d_states.concat(), states.shape), d_table)


def _smoothed(
    loss: tf.Tensor,
    gradients: Gradients,
    states: tf.Tensor,
    table: tf.Tensor,
    label_smoothing: float,
) -> tuple[tf.Tensor, Gradients]:
    """Add the terms of label smoothing that are equal for the whole vocabulary.

    They need no [M, V]: the gradient of ε · mean(z) is ε · mean(table) towards each state, and
    ε/V times the sum of the states towards each row of the table.
    """
    if not label_smoothing:
        return loss, gradients
    d_states, d_table = gradients
    vocabulary_size = tf.cast(tf.shape(table)[0], tf.float32)
    mean_row = label_smoothing * tf.reduce_mean(table, axis=0)
    ones = tf.ones([1, tf.shape(states)[0]])
    sum_of_states = tf.matmul(ones, tf.cast(states, tf.float32))[0]
    return loss - tf.tensordot(sum_of_states, mean_row, 1), (
        d_states - tf.cast(mean_row, states.dtype),
        d_table - label_smoothing / vocabulary_size * sum_of_states,
    )


def _with_gradients(
    value: tf.Tensor, inputs: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor]
) -> tf.Tensor:
    """The value, with these gradients towards the inputs and no other."""
    value = tf.stop_gradient(value)

    @tf.custom_gradient
    def attach(*_: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        return tf.identity(value), lambda upstream: [
            gradient * tf.cast(upstream, gradient.dtype) for gradient in gradients
        ]

    return attach(*inputs)


def _chunk_cross_entropy(
    z: tf.Tensor, p: tf.Tensor, labels: tf.Tensor, label_smoothing: float
) -> tf.Tensor:
    """Sum over tokens of ε z_label − log p_label, from logits and probabilities [C, V]."""
    z_label, p_label = (tf.gather_nd(x, _label_indices(labels)) for x in (z, p))
    return tf.reduce_sum(label_smoothing * z_label - _log(p_label, z_label, z, p))


def _log(p_label: tf.Tensor, z_label: tf.Tensor, z: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
    """log p_label [C]; from the logits in the rare case that p_label is too small for a float."""
    is_tiny = p_label < TINY
    log_p = tf.math.log(tf.maximum(p_label, TINY))

    def from_logits() -> tf.Tensor:
        below_highest = z_label - tf.reduce_max(z, axis=-1)
        return tf.where(is_tiny, below_highest + tf.math.log(tf.reduce_max(p, axis=-1)), log_p)

    return tf.cond(tf.reduce_any(is_tiny), from_logits, lambda: log_p)


def _subtract_at_labels(x: tf.Tensor, labels: tf.Tensor, amount: float) -> tf.Tensor:
    """x [C, V] minus an amount at the label of each row. May overwrite x."""
    amounts = tf.fill(tf.shape(labels), amount)
    return tf.tensor_scatter_nd_sub(x, _label_indices(labels), amounts)


def _label_indices(labels: tf.Tensor) -> tf.Tensor:
    """labels [C] → [C, 2] indices into [C, V]."""
    return tf.stack([tf.range(tf.shape(labels)[0]), labels], axis=1)


def _through_logits(d_z: tf.Tensor, states: tf.Tensor, low_table: tf.Tensor) -> Gradients:
    """The gradient towards logits [C, V] → those towards states [C, D] and table [V, D]."""
    d_z = tf.cast(d_z, states.dtype)
    d_table = tf.matmul(d_z, states, transpose_a=True)
    return tf.matmul(d_z, low_table), tf.cast(d_table, tf.float32)


def _divergence(z: tf.Tensor, p: tf.Tensor, weight: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Sum over tokens of KL(p₁‖p₂) + KL(p₂‖p₁), and its gradient towards z plus p / weight.

    z, p [2C, V]: the rows of the first pass above those of the second. The softmax's normalizers
    cancel out in the sum: with d = z₁ − z₂, m₁ = Σ p₁ d and m₂ = −Σ p₂ d over the vocabulary, the
    divergence of a token is m₁ + m₂. Its gradient is p₁ (1 + d − m₁) − p₂ towards z₁, and
    p₂ (1 − d − m₂) − p₁ towards z₂.
    """
    (z_1, z_2), (p_1, p_2) = tf.split(z, 2), tf.split(p, 2)
    d = z_1 - z_2
    m_1 = tf.reduce_sum(p_1 * d, axis=-1, keepdims=True)
    m_2 = -tf.reduce_sum(p_2 * d, axis=-1, keepdims=True)
    ones = 1 + 1 / weight
    d_z = tf.concat([p_1 * ((ones - m_1) + d) - p_2, p_2 * ((ones - m_2) - d) - p_1], axis=0)
    return tf.reduce_sum(m_1 + m_2), d_z


def _passes_apart(x: tf.Tensor) -> tf.Tensor:
    """Alternating rows of two passes → all rows of the first pass, then all of the second."""
    return tf.concat([x[0::2], x[1::2]], axis=0)


def _passes_together(x: tf.Tensor) -> tf.Tensor:
    """The inverse of `_passes_apart`."""
    return tf.reshape(tf.stack(tf.split(x, 2), axis=1), tf.shape(x))
