"""Cross-entropy with label smoothing, from decoder states.

The logits of a batch, [M, V], are by far its largest tensor. Here they live a chunk of tokens at a
time: as soon as a chunk's are known, so is their gradient, and both are gone before the next.

M tokens, D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

CHUNK = 1024


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


def chunked_cross_entropy(
    states: tf.Tensor, table: tf.Tensor, labels: tf.Tensor, label_smoothing: float
) -> tf.Tensor:
    """`cross_entropy`, its gradient computed along with it, chunk by chunk.

    With z = states · tableᵀ, the loss of a token is logsumexp(z) − (1 − ε) z_label − ε mean(z), so
    the gradient of z is softmax(z) − onehot + ε (onehot − 1/V). One kernel gives the first two
    terms; the part with ε needs no [M, V] tensor: towards the states it is ε (table[label] −
    mean(table)), towards the table a segment sum of the states by label, less their mean.
    """
    vocabulary_size = tf.shape(table)[0]

    @tf.custom_gradient
    def loss(
        states: tf.Tensor, table: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor, tf.Tensor]]]:
        num_tokens = tf.shape(states)[0]
        low_table = tf.cast(table, states.dtype)
        mean_row = tf.cast(tf.reduce_mean(table, axis=0), states.dtype)

        def chunk(
            start: tf.Tensor, total: tf.Tensor, d_states: tf.TensorArray, d_table: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray, tf.Tensor]:
            s, y = states[start : start + CHUNK], labels[start : start + CHUNK]
            logits = tf.matmul(s, low_table, transpose_b=True)
            plain, d_logits = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(
                features=tf.cast(logits, tf.float32), labels=y
            )
            d_logits = tf.cast(d_logits, s.dtype)
            surplus = tf.gather(low_table, y) - mean_row
            smoothing = tf.reduce_sum(tf.cast(s * surplus, tf.float32))
            d_s = tf.matmul(d_logits, low_table) + tf.cast(label_smoothing, s.dtype) * surplus
            d_t = tf.cast(tf.matmul(d_logits, s, transpose_a=True), tf.float32)
            return (
                start + CHUNK,
                total + tf.reduce_sum(plain) + label_smoothing * smoothing,
                d_states.write(start // CHUNK, d_s),
                d_table + d_t,
            )

        num_chunks = (num_tokens + CHUNK - 1) // CHUNK
        _, total, d_states, d_table = tf.while_loop(
            lambda start, *_: start < num_tokens,
            chunk,
            (
                0,
                0.0,
                tf.TensorArray(states.dtype, num_chunks, infer_shape=False),
                tf.zeros_like(table),
            ),
            parallel_iterations=1,
        )
        if label_smoothing:
            wide = tf.cast(states, tf.float32)
            by_label = tf.math.unsorted_segment_sum(wide, labels, vocabulary_size)
            mean_state = tf.reduce_sum(wide, axis=0) / tf.cast(vocabulary_size, tf.float32)
            d_table += label_smoothing * (by_label - mean_state)
        d_states = tf.ensure_shape(d_states.concat(), states.shape)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return d_states * tf.cast(upstream, d_states.dtype), d_table * upstream

        return total, gradient

    return loss(states, table)
