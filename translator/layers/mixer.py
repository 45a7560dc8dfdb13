"""The interface of a mixer: the part of a layer that passes information between positions.

Self-attention, recurrence and convolution are mixers. All else in a layer stays the same.

B batch, R rows of a search, T length, D model width.
"""

from __future__ import annotations

from typing import Any, Protocol

import tensorflow as tf

from translator.layers.dropout import Seed
from translator.layers.visible import EVERYTHING, Visible

State = Any
"""What later positions need of earlier ones, leading axis R."""


class Mixer(Protocol):
    """A Keras layer that mixes all positions at once, or one position at a time."""

    name: str

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the weights, given the shape of the positions."""

    def __call__(self, x: tf.Tensor, visible: Visible = EVERYTHING, seed: Seed = None) -> tf.Tensor:
        """All positions, [B, T, D] → [B, T, D]; `visible`: which positions each one depends on."""

    def shown_weights(self, x: tf.Tensor, visible: Visible = EVERYTHING) -> tf.Tensor | None:
        """How much each position takes from each, [B, T, D] → [B, N, T, T]; None if it has no such
        weights."""

    def start(self, num_rows: tf.Tensor, dtype: tf.DType) -> State:
        """The state before the first position; `dtype`: that of the positions."""

    def step(self, x: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """The next position, [R, 1, D] → [R, 1, D], and the state after it.

        The result is that of a call in which each position depends on itself and earlier ones.
        """
