"""Graphs without a gradient, where some formulas have faster forms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_inferring = ContextVar("inferring", default=False)


@contextmanager
def inference() -> Iterator[None]:
    """Graphs that are traced meanwhile have no gradient."""
    token = _inferring.set(True)
    try:
        yield
    finally:
        _inferring.reset(token)


def is_inference() -> bool:
    """Whether what is being traced has no gradient."""
    return _inferring.get()
