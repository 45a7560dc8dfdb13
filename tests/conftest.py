"""What the tests of several rooms share: a model small enough to be made for every test."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import numpy as np
import pytest

from translator.config.schema import ModelConfig

if TYPE_CHECKING:
    from translator.models.transformer import Transformer

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
MakeModel = Callable[..., "Transformer"]


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
    """A tiny Transformer of two layers; `changes` are keys of the model's configuration.

    No weight has a neutral value: norms and biases are random, too.
    """
    # Not on top: whatever tests need no model start without TensorFlow.
    from translator.models.build import initialize
    from translator.models.transformer import Transformer

    def make(
        source_size: int = 11,
        target_size: int = 11,
        max_length: int = 12,
        dtype: str = "float32",
        seed: int = 1,
        **changes: object,
    ) -> Transformer:
        config = ModelConfig.model_validate(TINY.model_dump() | NO_DROPOUT | changes)
        model = Transformer(config, source_size, target_size, max_length, dtype)
        initialize(model, seed)
        random = np.random.default_rng(seed)
        for variable in model.trainable_variables:
            if variable.name in ("bias", "scale", "offset"):
                variable.assign(variable.value + 0.3 * random.standard_normal(variable.shape))
        return model

    return make
