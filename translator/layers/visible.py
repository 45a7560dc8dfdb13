"""Which positions each position may depend on: the keys that an attention may look at.

B batch, T queries, S keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True, eq=False)
class Visible:
    """Which keys each query may look at; by default all of them.

    Attention computes its mask from this, so that no [T, T] array is passed between layers. (It is
    not a tuple, because Keras rejects tuples that mix tensors and other values.)
    """

    not_padding: tf.Tensor | None = None
    """[B, S] boolean, False where a key is padding; None if no key is."""
    causal: bool = False
    """Each position sees only itself and earlier ones. The queries are the last of the keys."""
    window: int | None = None
    """Each position sees only positions that are at most this far away."""

    def mask(self, num_queries: tf.Tensor, num_keys: tf.Tensor) -> tf.Tensor | None:
        """Boolean, broadcast to [B, N, T, S], True = may be attended to; None hides nothing."""
        keys = tf.range(num_keys)
        return self.mask_at(keys[num_keys - num_queries :], keys)

    def mask_at(self, queries: tf.Tensor, keys: tf.Tensor) -> tf.Tensor | None:
        """`mask` for queries [T] and keys [S] at these positions of the sequence."""
        mask = None
        if self.not_padding is not None:
            mask = self.not_padding[:, tf.newaxis, tf.newaxis, :]
        distances = queries[:, tf.newaxis] - keys
        if self.causal:
            mask = _both(mask, distances >= 0)
        if self.window is not None:
            mask = _both(mask, tf.abs(distances) <= self.window)
        return mask


def _both(mask: tf.Tensor | None, pairs: tf.Tensor) -> tf.Tensor:
    """A mask and a condition [T, S] of each query and key."""
    pairs = pairs[tf.newaxis, tf.newaxis]
    return pairs if mask is None else mask & pairs


EVERYTHING = Visible()
