"""scripts/bench_*.py: what they count and compare."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from translator.config.loading import load_config
from translator.config.schema import ModelConfig

SCRIPTS = Path(__file__).parents[1] / "scripts"

SMALL = {"num_layers": 2, "num_decoder_layers": 1, "model_dim": 4, "feed_forward_dim": 8}
"""A square matrix has 16 weights, a feed-forward block 64."""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The names of a script."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return lambda name: runpy.run_path(str(SCRIPTS / f"{name}.py"))


@pytest.mark.parametrize(
    ("settings", "dense", "attention"),
    [
        # Per source position: 2 layers with 4 square matrices, and the keys and values of the
        # decoder. Per target position: 4 square matrices and 2 of cross-attention.
        ({}, 3 * (2 * (64 + 64) + 32) + 2 * (96 + 64), 8 * (2 * 9 + 4 + 6)),
        ({"decoder": "recurrence"}, 3 * 288 + 2 * (64 + 64), 8 * (2 * 9 + 6)),
        (
            {"encoder": "convolution", "decoder": "convolution"},
            3 * (2 * (48 + 64) + 32) + 2 * (80 + 64),
            8 * 6,
        ),
        # The source needs one whole layer, then only keys and values.
        (
            {"kind": "decoder_only", "num_decoder_layers": None},
            3 * (128 + 32) + 2 * (2 * 128),
            8 * (9 + 2 * (4 + 6)),
        ),
    ],
    ids=["attention", "recurrence", "convolution", "decoder_only"],
)
def test_multiplications_of_three_source_and_two_target_positions(
    script: Any, settings: dict[str, Any], dense: int, attention: int
) -> None:
    machine = script("machine")
    positions = machine["Positions"](3, 2, 9, 4, 6)
    model = ModelConfig.model_validate(SMALL | settings)
    assert machine["multiplications"](model, positions) == (dense, attention)


def test_products_of_training_include_gradients_and_no_padding(script: Any) -> None:
    batch = np.array([[5, 5, 3, 0]]), np.array([[2, 5, 0]]), np.array([[5, 3, 0]])
    products = script("bench_train")["needed_products"](
        ModelConfig.model_validate(SMALL), [batch, batch], 10
    )
    # A multiplication is two operations. Those with weights also have the gradients of states and
    # of weights; those of attention have two gradients of states.
    dense, attention, logits = 2 * 1184, 2 * 224, 2 * 2 * 4 * 10
    assert products == (2 * dense + 3 * attention, dense, 3 * logits)


def test_random_rows_have_the_given_length(script: Any, tmp_path: Path) -> None:
    train = script("bench_train")
    train["random_batches"](train["SHAPES"]["tiny"], 512, 2, tmp_path / "batches.npz")
    batches = train["load_batches"](tmp_path / "batches.npz")
    assert len(batches) == 2
    for source, target, labels in batches:
        assert source.shape == target.shape == labels.shape == (8, 512)
        assert (source > 2).all() and (labels > 2).all()
        assert (source[:, -1] == 3).all() and (labels[:, -1] == 3).all()
        assert (target[:, 0] == 2).all() and (target[:, 1:] == labels[:, :-1]).all()


def test_speed_is_compared_with_int8_of_the_first_run_and_its_better_workers(script: Any) -> None:
    bench = script("bench_translate")

    def rounds(*engines: tuple[str, str, float]) -> dict[Any, list[Any]]:
        return {
            bench["Contender"](run, engine): [bench["Round"](seconds, [], 0, 0, 0.0)]
            for run, engine, seconds in engines
        }

    ours = "teacher", "translator float32", 3.0
    one, two = (("teacher", f"ctranslate2 int8, {n}", s) for n, s in (("1 × 2", 2.0), ("2 × 1", 1)))
    student = "student", "ctranslate2 int8, 2 × 1", 0.5
    reference = bench["speed_reference"]
    assert reference(rounds(ours, one, two, student), "teacher") == two[:2]
    assert reference(rounds(ours, student), "teacher") == ours[:2]


def test_bleu_is_tested_against_the_first_engine(script: Any) -> None:
    references = [f"der Satz mit der Nummer {i} ist hier zu lesen" for i in range(20)]
    worse = ["etwas ganz anderes", *references[1:]]
    config = load_config(SCRIPTS.parent / "configs/tiny.yaml")
    systems = {"first": worse, "same": worse, "other": references}
    results, signature = script("bench_translate")["paired_bootstrap"](systems, references, config)
    assert results["first"].score == results["same"].score < results["other"].score
    assert 0 < results["other"].p_value <= 1
    assert "bs:1000|seed:12345" in signature


def test_time_left_is_rounded(script: Any) -> None:
    time_left = script("turns")["time_left"]
    assert [time_left(seconds) for seconds in (-1, 89, 300)] == ["0 s", "89 s", "5 min"]
