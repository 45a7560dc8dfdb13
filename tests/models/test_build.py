"""Models are built by the `model.kind` of a configuration."""

from typing import get_args

import numpy as np
import pytest
from conftest import KINDS

from translator.config.schema import Config, ModelConfig
from translator.models.build import MODELS, build_model
from translator.models.weights import named_variables

CONFIG = Config.model_validate(
    {
        "data": {
            "source_language": "en",
            "target_language": "de",
            "train": {"tsv": "a"},
            "validation": {"tsv": "b"},
            "max_length": 8,
        },
        "model": {"num_layers": 2, "model_dim": 4, "num_heads": 2, "feed_forward_dim": 6},
        "training": {"max_steps": 1},
    }
)


def test_every_kind_of_the_schema_is_a_model() -> None:
    assert {*MODELS} == {*get_args(ModelConfig.model_fields["kind"].annotation)}


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        # D = 4, inner width 6, 20 pieces: the table has 4 · 20 weights, an attention 4 · 16, a
        # recurrence 2 · 16, a convolution 3 · 16, a feed-forward block 2 · 4 · 6.
        ("attention", 4 * 20 + 6 * 64 + 4 * 48),
        ("recurrence", 4 * 20 + 4 * 32 + 2 * 64 + 4 * 48),
        ("convolution", 4 * 20 + 4 * 48 + 2 * 64 + 4 * 48),
        ("attention and recurrence", 4 * 20 + 4 * 64 + 2 * 32 + 4 * 48),
        ("decoder_only", 4 * (20 + 2) + 2 * 64 + 2 * 48),
    ],
)
def test_the_number_of_weights_is_known_before_a_model_is_made(kind: str, number: int) -> None:
    model = CONFIG.model.model_copy(update=KINDS[kind])
    config = CONFIG.model_copy(update={"model": model})
    variables = named_variables(build_model(config, 20, 20, "float32"))
    known = [name.rsplit("/")[-1] in ("kernel", "table") for name in variables]
    sizes = [int(np.prod(variable.shape)) for variable in variables.values()]
    assert sum(size for size, is_known in zip(sizes, known, strict=True) if is_known) == number
    assert MODELS[model.kind].num_weights(config, 20, 20) == number
