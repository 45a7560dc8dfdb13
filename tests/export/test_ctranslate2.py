"""A model of ours and CTranslate2 with its weights are the same function."""

from pathlib import Path

import numpy as np
import pytest

from translator.config import Config
from translator.config.schema import TokenizerConfig
from translator.data.corpus import Pair
from translator.data.tokenizer import Tokenizer, train_tokenizer
from translator.decoding.translator import Translator
from translator.export.ctranslate2 import CTranslate2, options, save
from translator.export.golden import compare, golden_sentences
from translator.models.build import build_model
from translator.models.weights import model_weights, set_model_weights

TEXT = [Pair("the door is open", "die Tür ist offen"), Pair("a red light", "ein rotes Licht")]
PRE = {"num_layers": 2, "num_decoder_layers": 1, "model_dim": 16, "num_heads": 2}


@pytest.fixture(scope="module", params=[True, False], ids=["joint", "apart"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    config = TokenizerConfig(vocabulary_size=290, joint=request.param)
    return train_tokenizer(config, lambda: TEXT, 1, lambda _: None)


@pytest.mark.parametrize(
    "model",
    [
        PRE,
        PRE | {"normalization": "post", "activation": "gelu"},
        PRE | {"positions": "learned", "activation": "silu", "share_embeddings": "none"},
    ],
    ids=["pre", "post", "learned"],
)
def test_every_shape_of_model_gives_the_same_log_probabilities(
    model: dict[str, object], tokenizer: Tokenizer, tmp_path: Path
) -> None:
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
            "model": {"share_embeddings": share, "feed_forward_dim": 32} | model,
            "training": {"max_steps": 1},
        }
    )
    ours = build_model(config, len(tokenizer.source), len(tokenizer.target), "float32")
    random = np.random.default_rng(1)
    weights = {
        name: (w + 0.3 * random.normal(size=w.shape)).astype(np.float32)
        for name, w in model_weights(ours).items()
    }
    set_model_weights(ours, weights, "the test")
    translator = Translator(ours, tokenizer, config.decoding, config.data.max_length)
    sources = tokenizer.source.encode([pair.source for pair in TEXT] * 4)
    golden = golden_sentences(translator, [row[i % 3 :] for i, row in enumerate(sources)])

    save(tmp_path, config, tokenizer, weights, "float32")
    told = options(config, tokenizer, alpha=1.0)
    engine = CTranslate2(tmp_path, tokenizer, told, config.data.max_length, 256)
    found = compare(golden, engine)
    assert found.is_exact, found
    assert found.same + found.near_ties == len(golden) == 8
