"""Graphs without a gradient, and with weights that stay, where some formulas have faster forms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import tensorflow as tf

_inferring = ContextVar("inferring", default=False)
_frozen = ContextVar("frozen", default=False)


@contextmanager
def inference(frozen: bool = False) -> Iterator[None]:
    """Graphs that are traced meanwhile have no gradient; frozen: and weights stay as they are."""
    tokens = _inferring.set(True), _frozen.set(frozen)
    try:
        yield
    finally:
        _inferring.reset(tokens[0])
        _frozen.reset(tokens[1])


def is_inference() -> bool:
    """Whether what is being traced has no gradient."""
    return _inferring.get()


def is_frozen() -> bool:
    """Whether the weights of what is being traced stay as they are now."""
    return _frozen.get()


def prepared(make: Callable[[], tf.Tensor]) -> tf.Tensor:
    """What is made of weights alone: once, while the graph is being traced, if they stay as they
    are; else a part of the graph."""
    if not is_frozen():
        return make()
    with tf.init_scope():
        return make()
