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

    def mask(self, num_queries: tf.Tensor, num_keys: tf.Tensor) -> tf.Tensor | None:
        """Boolean, broadcast to [B, N, T, S], True = may be attended to; None hides nothing."""
        mask = None
        if self.not_padding is not None:
            mask = self.not_padding[:, tf.newaxis, tf.newaxis, :]
        if self.causal:
            positions = tf.range(num_keys)
            own = positions[num_keys - num_queries :, tf.newaxis]
            earlier = (own >= positions)[tf.newaxis, tf.newaxis]
            mask = earlier if mask is None else mask & earlier
        return mask


EVERYTHING = Visible()
