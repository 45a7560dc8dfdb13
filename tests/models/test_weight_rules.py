"""Names of weights, their order and first values, on which old runs depend.

The literal values were computed by commit 6ab5e60. A difference means that old files no longer load
or that the same configuration no longer trains the same model.
"""

from __future__ import annotations

import numpy as np
import pytest

from translator.config.schema import ModelConfig
from translator.models.build import initialize
from translator.models.transformer import Transformer
from translator.models.weight_rules import RULES, first_values, name_seed, rule_for
from translator.models.weights import model_weights, named_variables

SEEDS = {
    "target_embedding/table": 1392390380,
    "source_embedding/table": 3069181060,
    "output_embedding/table": 3520304694,
    "source_positions/table": 4152141087,
    "target_positions/table": 325937527,
    "encoder_0/attention/query/kernel": 3419510336,
    "encoder_0/attention/key_value/kernel": 4259822832,
    "encoder_0/attention/output/kernel": 3033786407,
    "encoder_0/attention_residual/norm/scale": 3661826913,
    "encoder_0/attention_residual/norm/offset": 2304563465,
    "encoder_0/feed_forward/inner/kernel": 1364042630,
    "encoder_0/feed_forward/inner/bias": 3109763362,
    "encoder_0/feed_forward/outer/kernel": 53171400,
    "encoder_0/feed_forward/outer/bias": 2007742506,
    "encoder_0/feed_forward_residual/norm/scale": 1577419241,
    "encoder_0/feed_forward_residual/norm/offset": 1790678161,
    "decoder_0/attention/query/kernel": 1578953745,
    "decoder_0/attention/key_value/kernel": 687994745,
    "decoder_0/attention/output/kernel": 2821342271,
    "decoder_0/attention_residual/norm/scale": 1849948729,
    "decoder_0/attention_residual/norm/offset": 3965190206,
    "decoder_0/cross_attention/query/kernel": 1171868335,
    "decoder_0/cross_attention/key_value/kernel": 900793829,
    "decoder_0/cross_attention/output/kernel": 2229804818,
    "decoder_0/cross_attention_residual/norm/scale": 2007075586,
    "decoder_0/cross_attention_residual/norm/offset": 1565133675,
    "decoder_0/feed_forward/inner/kernel": 204916965,
    "decoder_0/feed_forward/inner/bias": 2778895674,
    "decoder_0/feed_forward/outer/kernel": 1582317483,
    "decoder_0/feed_forward/outer/bias": 1800541234,
    "decoder_0/feed_forward_residual/norm/scale": 822947497,
    "decoder_0/feed_forward_residual/norm/offset": 470343086,
    "encoder_norm/scale": 959178222,
    "encoder_norm/offset": 4105711446,
    "decoder_norm/scale": 1676887829,
    "decoder_norm/offset": 3733838944,
}
"""Seeds of all weights that a model of one layer may have, in the order of the model."""

ABSENT = {
    "sinusoidal": ("source_positions/", "target_positions/"),
    "all": ("source_embedding/", "output_embedding/"),
    "target": ("output_embedding/",),
    "post": ("encoder_norm/", "decoder_norm/"),
}
"""Weights that a kind of model lacks."""


def model_of(**changes: object) -> Transformer:
    small = {"num_layers": 1, "model_dim": 4, "num_heads": 2, "feed_forward_dim": 8}
    return Transformer(ModelConfig.model_validate(small | changes), 9, 9, max_length=5)


@pytest.mark.parametrize("share_embeddings", ["all", "target", "none"])
@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
@pytest.mark.parametrize("normalization", ["pre", "post"])
def test_weights_have_these_names_in_this_order(
    share_embeddings: str, positions: str, normalization: str
) -> None:
    absent = [
        start
        for kind in (share_embeddings, positions, normalization)
        for start in ABSENT.get(kind, ())
    ]
    model = model_of(
        share_embeddings=share_embeddings, positions=positions, normalization=normalization
    )
    expected = [name for name in SEEDS if not name.startswith(tuple(absent))]
    assert list(named_variables(model)) == list(model_weights(model)) == expected


def test_encoder_layers_come_before_decoder_layers() -> None:
    names = list(named_variables(model_of(num_layers=2, num_decoder_layers=3)))
    layers = list(dict.fromkeys(name.partition("/")[0] for name in names))
    assert layers == [
        "target_embedding",
        *("encoder_0", "encoder_1"),
        *("decoder_0", "decoder_1", "decoder_2"),
        *("encoder_norm", "decoder_norm"),
    ]
    for name in ("encoder_0/attention/query/kernel", "decoder_0/feed_forward/outer/bias"):
        assert name.replace("_0/", "_1/") in names


def test_names_give_these_seeds() -> None:
    assert {name: name_seed(name) for name in SEEDS} == SEEDS
    assert name_seed("encoder_1/attention/query/kernel") == 1257567079
    assert name_seed("decoder_1/feed_forward/outer/bias") == 3470361660


def test_only_kernels_and_tables_decay_and_start_random() -> None:
    for name in SEEDS:
        is_random = name.endswith(("/kernel", "/table"))
        assert rule_for(name).decays == is_random
        assert (rule_for(name).start in ("glorot_uniform", "normal")) == is_random


def test_every_rule_is_needed_and_every_weight_has_one() -> None:
    assert {rule_for(name) for name in SEEDS} == set(RULES.values())
    with pytest.raises(LookupError, match="no rule matches the weight decoder_0/gate"):
        rule_for("decoder_0/gate")


def test_first_values_are_these() -> None:
    expected: dict[str, list[list[float]]] = {
        "target_embedding/table": [
            [0.439010888338089, -0.14495672285556793],
            [-1.8822212219238281, 1.2711777687072754],
            [-1.21200692653656, -1.593597412109375],
        ],
        "source_positions/table": [
            [0.3985268473625183, -1.3634012937545776],
            [0.2501286566257477, -0.28230828046798706],
        ],
        "decoder_0/feed_forward/inner/kernel": [
            [0.2411847561597824, 0.8512457013130188, 0.007318609394133091],
            [-0.4276171624660492, -0.9595182538032532, 0.49517202377319336],
        ],
        "decoder_norm/scale": [[1.0, 1.0]],
        "decoder_0/feed_forward/outer/bias": [[0.0, 0.0]],
    }
    for name, values in expected.items():
        found = first_values(name, np.shape(values), seed=7)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, np.array(values, np.float32), name)


def test_initialize_assigns_the_first_values() -> None:
    model = model_of(positions="learned", share_embeddings="none")
    for variable in model.trainable_variables:
        variable.assign(np.full(variable.shape, 9.0))
    initialize(model, 7)
    for name, weight in model_weights(model).items():
        np.testing.assert_array_equal(weight, first_values(name, weight.shape, 7), name)
