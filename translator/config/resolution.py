"""Everything `auto` becomes a value here, once; the run keeps the result and a resume reuses it."""

from __future__ import annotations

import math
from typing import NamedTuple

from translator.config.keys import replaced
from translator.config.schema import Config


class CorpusStatistics(NamedTuple):
    """What the rules know of the training text."""

    num_pairs: int


class Machine(NamedTuple):
    """What the rules know of the machine."""

    bfloat16_speedup: float
    """How many times faster a training step's typical work is in bfloat16 than in float32."""


def resolve(config: Config, statistics: CorpusStatistics, machine: Machine) -> Config:
    """The configuration with every `auto` replaced. A pure function."""
    values: dict[str, object] = {}
    precision = config.training.precision
    if precision == "auto":
        precision = "bfloat16" if machine.bfloat16_speedup > 1.05 else "float32"
        values["training.precision"] = precision
    if config.decoding.precision == "auto":
        values["decoding.precision"] = precision
    if config.training.accumulation_steps == "auto":
        values["training.accumulation_steps"] = 1  # until a rehearsal shows that it needs more
    if config.training.optimizer.schedule == "auto":
        is_timed = config.training.max_minutes is not None
        values["training.optimizer.schedule"] = "linear" if is_timed else "inverse_sqrt"
    if config.tokenizer.vocabulary_size == "auto":
        values["tokenizer.vocabulary_size"] = auto_vocabulary_size(statistics.num_pairs)
    if config.model.num_decoder_layers is None:
        values["model.num_decoder_layers"] = config.model.num_layers
    return replaced(config, values)


def auto_vocabulary_size(num_pairs: int) -> int:
    """Forty times the root of the number of pairs, between 1,000 and 32,000, in whole hundreds.

    Small corpora learn better from few pieces, each seen often (Sennrich & Zhang 2019; Gowda & May
    2020). 10,000 pairs get 4,000 pieces, 640,000 and more 32,000.
    """
    return min(32_000, max(1_000, round(40 * math.sqrt(num_pairs) / 100) * 100))
