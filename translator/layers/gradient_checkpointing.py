"""Gradient checkpointing: activations are computed twice instead of kept (Chen et al. 2016).

It takes less memory and more time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def checkpointed(function: Callable[..., Any], *arguments: Any) -> Any:
    """function(*arguments), which keeps only its floating-point arguments for the gradient.

    When the gradient arrives, `function` runs again on them. It must return the same result again,
    so its randomness must come from a seed. Arguments and result may be nested tuples. Variables
    that the function uses get their gradients.
    """
    flat = tf.nest.flatten(arguments)
    kept_at = [i for i, a in enumerate(flat) if tf.is_tensor(a) and a.dtype.is_floating]

    def run(values: Sequence[tf.Tensor]) -> Any:
        filled = list(flat)
        for i, value in zip(kept_at, values, strict=True):
            filled[i] = value
        return function(*tf.nest.pack_sequence_as(arguments, filled))

    @tf.custom_gradient
    def forward(*values: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
        def gradient(*upstream: tf.Tensor, variables: Sequence[tf.Variable] = ()) -> Any:
            with tf.control_dependencies(upstream):  # not before the gradient arrives
                kept = [tf.identity(value) for value in values]
            with tf.GradientTape() as tape:
                tape.watch(kept)
                result = run(kept)
            upstream = tf.nest.pack_sequence_as(result, upstream)
            return tape.gradient(result, (kept, list(variables)), upstream)

        return run(values), gradient

    return forward(*(flat[i] for i in kept_at))
