"""Everything `auto` becomes a value here, once; the run keeps the result and a resume reuses it."""

from __future__ import annotations

from translator.config.keys import replaced, value
from translator.config.loading import check
from translator.config.preset import auto_vocabulary_size, choose
from translator.config.schema import Config
from translator.config.statistics import CorpusStatistics, LengthLimit, Machine


def resolve(config: Config, statistics: CorpusStatistics, machine: Machine) -> Config:
    """The configuration with every `auto` replaced, by what a preset chooses, too: a pure function.

    A precision stays `auto` until the machine's is known, and so does the length limit of
    translations until the text's is. Raises ConfigError if what the user sets and what is chosen do
    not go together.
    """
    choices = choose(config, statistics, machine)
    config = replaced(config, {choice.key: choice.value for choice in choices})
    values: dict[str, object] = {}
    if config.training.precision == "auto" and machine.bfloat16_speedup is not None:
        values["training.precision"] = "bfloat16" if machine.bfloat16_speedup > 1.05 else "float32"
    if config.training.accumulation_steps == "auto":
        values["training.accumulation_steps"] = 1  # until a dry run shows that it needs more
    if config.training.optimizer.schedule == "auto":
        is_timed = config.training.max_minutes is not None
        values["training.optimizer.schedule"] = "cooldown" if is_timed else "inverse_sqrt"
    if config.tokenizer.vocabulary_size == "auto":
        values["tokenizer.vocabulary_size"] = auto_vocabulary_size(
            statistics, config.tokenizer.kind
        )
    if config.model.num_decoder_layers is None:
        values["model.num_decoder_layers"] = config.model.num_layers
    config = resolve_decoding(replaced(config, values), statistics.length_limit)
    return check(config, "auto")


def resolve_decoding(config: Config, limit: LengthLimit | None) -> Config:
    """The configuration with decoding.precision as in training and the length limit as given,
    where they are `auto`; without a limit, that stays open."""
    settled: dict[str, object] = {"decoding.precision": config.training.precision}
    if limit is not None:
        settled["decoding.max_length_ratio"] = limit.ratio
        settled["decoding.max_length_extra"] = limit.extra
    return replaced(
        config, {key: new for key, new in settled.items() if value(config, key) == "auto"}
    )
