"""What is known about the graph being traced: no gradient follows, or weights stay as they are.

Some formulas then have faster forms (layers/kernels.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import tensorflow as tf

_inferring = ContextVar("inferring", default=False)
_frozen = ContextVar("frozen", default=False)


@contextmanager
def inference(frozen: bool = False) -> Iterator[None]:
    """Graphs traced inside have no gradient. With `frozen`, the weights never change either."""
    tokens = _inferring.set(True), _frozen.set(frozen)
    try:
        yield
    finally:
        _inferring.reset(tokens[0])
        _frozen.reset(tokens[1])


def is_inference() -> bool:
    """Whether the graph being traced has no gradient."""
    return _inferring.get()


def is_frozen() -> bool:
    """Whether the weights of the graph being traced never change."""
    return _frozen.get()


def prepared(make: Callable[[], tf.Tensor]) -> tf.Tensor:
    """A tensor made of weights alone: computed once, during tracing, if the weights are frozen;
    otherwise part of the graph."""
    if not is_frozen():
        return make()
    with tf.init_scope():
        return make()
