"""Models are built by the `model.kind` of a configuration."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from conftest import KINDS

from translator.config.keys import replaced
from translator.config.schema import Config, MixerKind, ModelConfig
from translator.models.blocks import MIXERS
from translator.models.build import MODELS, build_model
from translator.models.weights import named_variables

ROOT = Path(__file__).parents[2]
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


def test_every_kind_of_the_schema_is_a_model_or_a_mixer() -> None:
    assert {*MODELS} == {*get_args(ModelConfig.model_fields["kind"].annotation)}
    assert {*MIXERS} == {*get_args(MixerKind)}


def test_the_guide_gives_the_reason_for_every_missing_export() -> None:
    guide = (ROOT / "translator/export/README.md").read_text(encoding="utf-8")
    for name, spec in MIXERS.items():
        for reason in spec.missing_exports.values():
            assert f"| {name} in encoder or decoder | yes | no: {reason} |" in guide
    windowed = replaced(CONFIG, {"model.attention_window": 5})
    (reason,) = MODELS["transformer"].missing_exports(windowed).values()
    assert f"| with `attention_window` | yes | no: {reason.split(', and ')[1]} |" in guide
    (reason,) = MODELS["decoder_only"].missing_exports(CONFIG).values()
    assert f"| `kind: decoder_only` | yes | no: {reason} |" in guide


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        # D = 4, inner width 6, 20 pieces: the table has 4 · 20 weights, an attention 4 · 16, a
        # recurrence 2 · 16, a convolution 3 · 16 and taps of 3 and 7 positions for 2 heads, a
        # feed-forward block 2 · 4 · 6.
        ("attention", 4 * 20 + 6 * 64 + 4 * 48),
        ("recurrence", 4 * 20 + 4 * 32 + 2 * 64 + 4 * 48),
        ("convolution", 4 * 20 + 4 * 48 + 2 * 2 * (3 + 7) + 2 * 64 + 4 * 48),
        ("attention and recurrence", 4 * 20 + 4 * 64 + 2 * 32 + 4 * 48),
        ("decoder_only", 4 * (20 + 2) + 2 * 64 + 2 * 48),
    ],
)
def test_the_number_of_weights_is_known_before_a_model_is_made(kind: str, number: int) -> None:
    model = CONFIG.model.model_copy(update=KINDS[kind])
    config = CONFIG.model_copy(update={"model": model})
    variables = named_variables(build_model(config, 20, 20, "float32"))
    known = [name.rsplit("/")[-1] in ("kernel", "table", "taps") for name in variables]
    sizes = [int(np.prod(variable.shape)) for variable in variables.values()]
    assert sum(size for size, is_known in zip(sizes, known, strict=True) if is_known) == number
    assert MODELS[model.kind].num_weights(config, 20, 20) == number
