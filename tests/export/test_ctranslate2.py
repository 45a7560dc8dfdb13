"""CTranslate2 with the weights of a model computes what the model computes."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from translator.alignment.run_files import Reading
from translator.config import Config
from translator.config.schema import TokenizerConfig
from translator.data.corpus import Pair
from translator.data.tokenizer import BEGIN_ID, END_ID, Tokenizer, train_tokenizer
from translator.decoding.translator import Translator
from translator.export.ctranslate2 import CTranslate2, options, save
from translator.export.golden import compare, golden_sentences
from translator.models.build import build_model
from translator.models.weights import model_weights, set_model_weights

TEXT = [Pair("the door is open", "die Tür ist offen"), Pair("a red light", "ein rotes Licht")]
PRE = {"num_layers": 2, "num_decoder_layers": 1, "model_dim": 16, "num_heads": 2}


@pytest.fixture(scope="module", params=[True, False], ids=["joint", "separate"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    config = TokenizerConfig(vocabulary_size=290, joint=request.param)
    return train_tokenizer(config, lambda: TEXT, 1, lambda _: None)


class Engines(NamedTuple):
    """A model, and CTranslate2 with its weights."""

    ours: Translator
    theirs: CTranslate2


def build_engines(
    folder: Path,
    tokenizer: Tokenizer,
    model: Mapping[str, object],
    decoding: Mapping[str, object] | None = None,
    towards_end: float = 0.0,
    reading: Reading | None = None,
) -> Engines:
    """A model with random weights and its export. towards_end: how much it favours the end."""
    share = "all" if tokenizer.joint else "target"
    config = Config.model_validate(
        {
            "data": {
                "source_language": "en",
                "target_language": "de",
                "train": {"tsv": "train.tsv"},
                "validation": {"tsv": "validation.tsv"},
                "max_length": 20,
            },
            "tokenizer": {"joint": tokenizer.joint},
            "model": {"share_embeddings": share, "feed_forward_dim": 32, **model},
            "training": {"max_steps": 1},
            "decoding": decoding or {},
        }
    )
    model_ = build_model(config, len(tokenizer.source), len(tokenizer.target), "float32")
    random = np.random.default_rng(1)
    weights = {
        name: (w + 0.3 * random.normal(size=w.shape)).astype(np.float32)
        for name, w in model_weights(model_).items()
    }
    if towards_end:
        weights["decoder_norm/offset"] += towards_end * weights["target_embedding/table"][END_ID]
    set_model_weights(model_, weights, "the test")
    save(folder, config, tokenizer, weights, "float32", reading)
    search_options = options(config, tokenizer, config.decoding.length_penalty)
    return Engines(
        Translator(model_, tokenizer, config.decoding, config.data.max_length),
        CTranslate2(folder, tokenizer, search_options, config.data.max_length, 256),
    )


@pytest.mark.parametrize(
    "model",
    [
        PRE,
        PRE | {"normalization": "post", "activation": "gelu"},
        PRE | {"positions": "learned", "activation": "silu", "share_embeddings": "none"},
    ],
    ids=["pre", "post", "learned"],
)
def test_log_probabilities_agree_for_every_kind_of_model(
    model: dict[str, object], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    ours, theirs = build_engines(tmp_path, tokenizer, model)
    sources = tokenizer.source.encode([pair.source for pair in TEXT] * 4)
    golden = golden_sentences(ours, [row[i % 3 :] for i, row in enumerate(sources)])
    comparison = compare(golden, theirs)
    assert comparison.is_exact, comparison
    assert comparison.same + len(comparison.near_ties) == len(golden) == 8


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_scores_of_hypotheses_agree_with_a_power_length_penalty(
    alpha: float, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    decoding = {"beam_size": 4, "length_penalty": alpha, "length_penalty_kind": "power"}
    engines = build_engines(tmp_path, tokenizer, PRE, decoding, towards_end=5.0)
    words = " ".join(pair.source for pair in TEXT).split()
    sources = [" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words))]
    ours, theirs = (engine.hypotheses(sources, 4) for engine in engines)
    common = []
    for one, other in zip(ours, theirs, strict=True):
        scores = {(best.text, best.length): best.score for best in other}
        common += [
            (best.score, scores[best.text, best.length])
            for best in one
            if (best.text, best.length) in scores and "�" not in best.text
        ]
    assert len(common) >= len(sources)
    # Its softmax excludes pieces that are suppressed.
    assert [x for x, _ in common] == pytest.approx([y for _, y in common], rel=5e-3)


def test_min_length_counts_the_same_pieces(tokenizer: Tokenizer, tmp_path: Path) -> None:
    sources = ["a", "a red light", "the door"]
    for min_length, expected in ((0, 1), (1, 2), (4, 5)):
        folder = tmp_path / str(min_length)
        folder.mkdir()
        decoding = {"beam_size": 1, "length_penalty": 0.0, "min_length": min_length}
        engines = build_engines(folder, tokenizer, PRE, decoding, towards_end=20.0)
        ours, theirs = ([best for best, *_ in one.hypotheses(sources)] for one in engines)
        assert [one.length for one in ours] == [one.length for one in theirs] == [expected] * 3
        assert [one.text for one in ours] == [one.text for one in theirs]
        scores = [one.score for one in theirs]
        # Its softmax excludes pieces that are suppressed.
        assert [one.score for one in ours] == pytest.approx(scores, rel=5e-3, abs=1e-4)


@pytest.mark.parametrize("reading", [(1, [2]), (0, [1, 3]), (2, [0, 1, 2, 3])])
def test_it_returns_the_attention_of_the_chosen_heads(
    reading: tuple[int, list[int]], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    layer, heads = reading
    model = {"num_layers": 1, "num_decoder_layers": 3, "model_dim": 16, "num_heads": 4}
    chosen = Reading(layer=layer, heads=heads, at="output")
    ours, theirs = build_engines(tmp_path, tokenizer, model, {"beam_size": 1}, reading=chosen)
    [source] = tokenizer.source.encode(["the red door is a light"])
    pieces = [tokenizer.source.piece(id_) for id_ in source]
    [result] = theirs.search.translate_batch([pieces], return_attention=True)
    target = [tokenizer.target.id(piece) for piece in result.hypotheses[0]]
    maps = ours.model.attention_maps(
        tf.constant([[*source, END_ID]]), tf.constant([[BEGIN_ID, *target]])
    )
    [weights] = [
        one.weights[0].numpy() for one in maps if (one.part, one.layer) == ("cross", layer)
    ]
    wanted = weights[heads].mean(axis=0)[: len(target), : len(source)]
    np.testing.assert_allclose(result.attention[0], wanted, atol=1e-5)


@pytest.mark.parametrize("towards_end", [-20.0, 20.0])
def test_at_limit_marks_translations_that_reach_the_length_limit(
    towards_end: float, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    limit = {"beam_size": 1, "max_length_ratio": 1.0, "max_length_extra": 9}
    engines = build_engines(tmp_path, tokenizer, PRE, limit, towards_end)
    ours, theirs = ([best for best, *_ in engine.hypotheses(["a", "a red"])] for engine in engines)
    assert [one.at_limit for one in ours] == [one.at_limit for one in theirs]
    assert [one.at_limit for one in theirs] == [towards_end < 0] * 2
    if towards_end < 0:
        assert [one.length for one in theirs] == [20 + 1 + 9 + 1] * 2  # limit of the longest source
        assert ours[0].length < ours[1].length < theirs[0].length
