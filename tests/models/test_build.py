"""Models are built by the `model.kind` of a configuration."""

from typing import get_args

import numpy as np

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


def test_the_number_of_weights_is_known_before_a_model_is_made() -> None:
    """20 pieces; 2 encoder and 2 decoder layers, 6 attentions and 4 feed-forward blocks."""
    for kind, model_class in MODELS.items():
        config = CONFIG.model_copy(update={"model": CONFIG.model.model_copy(update={"kind": kind})})
        variables = named_variables(build_model(config, 20, 20, "float32"))
        known = [name.rsplit("/")[-1] in ("kernel", "table") for name in variables]
        sizes = [int(np.prod(variable.shape)) for variable in variables.values()]
        expected = sum(size for size, is_known in zip(sizes, known, strict=True) if is_known)
        assert model_class.num_weights(config, 20, 20) == expected == 4 * (20 + 6 * 16 + 4 * 12)
