"""`auto` to values, once per run. The run keeps the result, and a resumed run reuses it."""

from __future__ import annotations

from translator.config.keys import is_set, replaced, value
from translator.config.preset import auto_vocabulary_size, choose
from translator.config.schema import Config
from translator.config.schema_errors import check
from translator.config.statistics import CorpusStatistics, LengthLimit, Machine

LEAST_SPEEDUP = 1.05
"""Speed of bfloat16 relative to float32 from which `auto` chooses bfloat16."""

LONG_TEXT = 1024
"""data.max_length above which `auto` computes attention in blocks. It is faster at once in shorter
text (scripts/bench_attention.py)."""

ATTENTION_BLOCK = 128
"""The block size that `auto` chooses. Smaller blocks take less memory, larger ones less time."""


def resolve(config: Config, statistics: CorpusStatistics, machine: Machine) -> Config:
    """A copy with every `auto` replaced by a value, including the choices of a preset.

    training.precision stays `auto` until the machine's bfloat16 speed is known,
    model.attention_block_size until a preset has chosen data.max_length, and the length limit of
    translations until that of the text is known. Raises ConfigError if the user's values
    and the chosen ones contradict each other.
    """
    choices = choose(config, statistics, machine)
    config = replaced(config, {choice.key: choice.value for choice in choices})
    values: dict[str, object] = {}
    if config.training.precision == "auto" and machine.bfloat16_speedup is not None:
        is_faster = machine.bfloat16_speedup > LEAST_SPEEDUP
        values["training.precision"] = "bfloat16" if is_faster else "float32"
    if config.training.accumulation_steps == "auto":
        values["training.accumulation_steps"] = 1  # until the dry run shows that it needs more
    if config.training.optimizer.schedule == "auto":
        is_timed = config.training.max_minutes is not None
        values["training.optimizer.schedule"] = "cooldown" if is_timed else "inverse_sqrt"
    if config.tokenizer.vocabulary_size == "auto":
        values["tokenizer.vocabulary_size"] = auto_vocabulary_size(
            statistics, config.tokenizer.kind
        )
    knows_length = config.preset is None or is_set(config, "data.max_length")
    if config.model.attention_block_size == "auto" and knows_length:
        is_long = config.data.max_length > LONG_TEXT
        values["model.attention_block_size"] = ATTENTION_BLOCK if is_long else None
    if config.model.num_decoder_layers is None and config.model.kind != "decoder_only":
        values["model.num_decoder_layers"] = config.model.num_layers
    config = resolve_decoding(replaced(config, values), statistics.length_limit)
    return check(config, "auto")


def resolve_decoding(config: Config, limit: LengthLimit | None) -> Config:
    """A copy in which decoding.precision and the length limit are no longer `auto`.

    The precision is that of training. Without a `limit`, the length limit stays `auto`.
    """
    values: dict[str, object] = {"decoding.precision": config.training.precision}
    if limit is not None:
        values["decoding.max_length_ratio"] = limit.ratio
        values["decoding.max_length_extra"] = limit.extra
    return replaced(
        config, {key: new for key, new in values.items() if value(config, key) == "auto"}
    )
