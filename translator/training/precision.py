"""Measures which precision is faster on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

TOKENS, WIDTH, INNER = 2048, 256, 1024
SECONDS = 0.25


def bfloat16_speedup() -> float:
    """How many times faster a feed-forward block and its gradient run in bfloat16 than in float32.

    Both take turns for SECONDS; the fastest round of each counts.
    """
    rounds = {dtype: _feed_forward(dtype) for dtype in (tf.float32, tf.bfloat16)}
    best = dict.fromkeys(rounds, float("inf"))
    for run in rounds.values():
        run()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for dtype, run in rounds.items():
            started = time.perf_counter()
            run()
            best[dtype] = min(best[dtype], time.perf_counter() - started)
    return best[tf.float32] / best[tf.bfloat16]


def _feed_forward(dtype: tf.DType) -> Callable[[], np.ndarray]:
    shapes = [TOKENS, WIDTH], [WIDTH, INNER], [INNER, WIDTH]
    x, inner, outer = (
        tf.cast(tf.random.stateless_normal(shape, [0, i]) * 0.02, dtype)
        for i, shape in enumerate(shapes)
    )

    @tf.function
    def block() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([x, inner, outer])
            y = x + tf.matmul(tf.nn.relu(tf.matmul(x, inner)), outer)
        return tape.gradient(y, [x, inner, outer])

    return lambda: block()[-1].numpy()
