"""A run whose model has its first weights, made without training."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from translator.config import load_config, save_config
from translator.config.loading import override
from translator.config.schema import TokenizerConfig
from translator.data.corpus import Pair
from translator.data.tokenizer import Tokenizer, train_tokenizer
from translator.models.build import build_model
from translator.models.weights import named_variables, save_arrays
from translator.runs import RunDirectory

SENTENCES = ["the dog runs", "a dog and a cat", "the cat runs and runs", "שלום עולם"]
CONFIG = """\
data:
  source_language: en
  target_language: de
  train: {source: a.en, target: a.de}
  validation: {source: a.en, target: a.de}
  max_length: 40
model: {num_layers: 2, model_dim: 8, num_heads: 2, feed_forward_dim: 16}
training: {max_steps: 1}
decoding: {beam_size: 2, max_length_ratio: 1.0, max_length_extra: 3, precision: float32}
"""


@cache
def tokenizer() -> Tokenizer:
    pairs = [Pair(line, line) for line in SENTENCES]
    vocabulary = TokenizerConfig(kind="bpe", vocabulary_size=320)
    return train_tokenizer(vocabulary, lambda: pairs, 1, lambda _: None)


def make_run(path: Path, *settings: str) -> RunDirectory:
    """settings: keys of the configuration, such as "model.decoder=recurrence"."""
    run = RunDirectory(path)
    path.mkdir(parents=True)
    yaml = path.with_suffix(".yaml")
    yaml.write_text(CONFIG)
    config = override(load_config(yaml), settings)
    save_config(config, run.config)
    tokenizer().save(run.vocabularies)
    sizes = len(tokenizer().source), len(tokenizer().target)
    model = build_model(config, *sizes, "float32")
    save_arrays(run.best, {k: v.numpy() for k, v in named_variables(model).items()})
    return run
