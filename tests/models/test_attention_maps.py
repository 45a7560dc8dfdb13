"""The attention that one can look at is the attention that the model computes.

B batch, N heads, T queries, S keys.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import KINDS, MakeModel

from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID
from translator.layers import attention

SOURCE = tf.constant([[4, 5, 6, 7, END_ID], [8, 9, END_ID, PAD_ID, PAD_ID]])
TARGET = tf.constant([[BEGIN_ID, 4, 5, 6], [BEGIN_ID, 9, 7, 8]])
PARTS = {
    "attention": {"encoder", "decoder", "cross"},
    "recurrence": {"cross"},
    "convolution": {"cross"},
    "attention and recurrence": {"encoder", "cross"},
    "decoder_only": {"encoder", "decoder", "cross"},
}
SHAPES = {"encoder": (2, 2, 5, 5), "decoder": (2, 2, 4, 4), "cross": (2, 2, 4, 5)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_with_attention_has_maps(make_model: MakeModel, kind: str) -> None:
    maps = make_model(**KINDS[kind]).attention_maps(SOURCE, TARGET)
    assert {(one.part, one.layer) for one in maps} == {(p, i) for p in PARTS[kind] for i in (0, 1)}
    for one in maps:
        assert tuple(one.weights.shape) == SHAPES[one.part]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("attention", {}),
        ("attention", {"attention_window": 1}),
        ("attention", {"attention_block_size": 16}),
        ("decoder_only", {}),
        ("decoder_only", {"attention_block_size": 16}),
    ],
)
def test_weights_are_those_that_the_model_computes(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, kind: str, changes: dict[str, int]
) -> None:
    model = make_model(**KINDS[kind], **changes)
    plain, computed = attention.dot_product_attention, []

    def spy(*arguments: Any, **options: Any) -> tuple[tf.Tensor, tf.Tensor]:
        output, weights = plain(*arguments, **options)
        computed.append(weights.numpy())
        return output, weights

    maps = model.attention_maps(SOURCE, TARGET)
    monkeypatch.setattr(attention, "dot_product_attention", spy)
    model(SOURCE, TARGET)
    if kind == "attention":
        shown = [one.weights.numpy() for one in maps]
    else:  # one attention looks at source and target
        by_place = {(one.part, one.layer): one.weights.numpy() for one in maps}
        shown = [by_place["encoder", i] for i in (0, 1)]
        shown += [
            np.concatenate([by_place["cross", i], by_place["decoder", i]], axis=3) for i in (0, 1)
        ]
    assert len(shown) == len(computed)
    for one, other in zip(shown, computed, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_rows_of_real_queries_add_up_to_one_and_hide_padding(make_model: MakeModel) -> None:
    for one in make_model().attention_maps(SOURCE, TARGET):
        np.testing.assert_allclose(tf.reduce_sum(one.weights, axis=3), 1.0, rtol=1e-5)
        if one.part != "decoder":
            assert not one.weights.numpy()[1, :, :, 3:].any()
