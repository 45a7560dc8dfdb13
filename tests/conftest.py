"""What the tests of several rooms share: a model small enough to be made for every test."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import numpy as np
import pytest

from translator.config.schema import ModelConfig

NO_DROPOUT = dict.fromkeys(
    (
        "dropout_rate",
        "attention_dropout_rate",
        "activation_dropout_rate",
        "embedding_dropout_rate",
    ),
    0.0,
)
TINY = ModelConfig(
    num_layers=2, model_dim=8, num_heads=2, feed_forward_dim=16, share_embeddings="target"
)
KINDS: dict[str, dict[str, object]] = {
    "attention": {},
    "recurrence": {"encoder": "recurrence", "decoder": "recurrence"},
    "convolution": {"encoder": "convolution", "decoder": "convolution"},
    "attention and recurrence": {"decoder": "recurrence"},
    "decoder_only": {"kind": "decoder_only"},
}
"""Kinds of models, each with its keys of `model`."""
MakeModel = Callable[..., Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first, so that several processes end at about the same time."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape file names that are not UTF-8 in captured logs: pytest-xdist cannot send them."""
    report = yield
    report.sections = [
        (name, content.encode("utf-8", "backslashreplace").decode())
        for name, content in report.sections
    ]
    return report


@pytest.fixture
def make_model() -> MakeModel:
    """A tiny model of two layers; `changes` are keys of its configuration.

    No weight has a neutral value: norms and biases are random, too.
    """
    # Not on top: whatever tests need no model start without TensorFlow.
    from translator.models.build import MODELS, initialize

    def make(
        source_size: int = 11,
        target_size: int = 11,
        max_length: int = 12,
        dtype: str = "float32",
        seed: int = 1,
        **changes: object,
    ) -> Any:
        config = ModelConfig.model_validate(TINY.model_dump() | NO_DROPOUT | changes)
        model = MODELS[config.kind](config, source_size, target_size, max_length, dtype)
        initialize(model, seed)
        random = np.random.default_rng(seed)
        for variable in model.trainable_variables:
            if variable.name in ("bias", "scale", "offset"):
                variable.assign(variable.value + 0.3 * random.standard_normal(variable.shape))
        return model

    return make


@pytest.fixture(params=KINDS)
def make_any_model(make_model: MakeModel, request: pytest.FixtureRequest) -> MakeModel:
    """`make_model` for each kind of model."""
    return partial(make_model, **KINDS[request.param])
