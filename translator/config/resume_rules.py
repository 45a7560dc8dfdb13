"""Which keys may change when a run is resumed, or when a run begins from another run's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from translator.config.keys import differences, is_set, parts, replaced, value
from translator.config.preset import KEYS as PRESET_KEYS
from translator.config.schema import Config, DataConfig, ModelConfig, TokenizerConfig
from translator.config.schema_errors import check
from translator.corpora.corpus import Corpus
from translator.errors import ConfigError, RunError
from translator.runs import RunDirectory

SESSION_KEYS = {"training.distribution", "training.profile"}
"""Keys of one session: if unset they have their default, and not the run's value."""

ENDS = {"training.max_steps", "training.max_epochs", "training.max_minutes"}
"""Limits at which a learning rate may fall to zero."""

LIMITS = (
    SESSION_KEYS
    | ENDS
    | {
        "training.patience",
        "training.save_every",
        "training.keep_text",
        "training.accumulation_steps",
        "training.recompute_activations",
        "model.attention_block_size",
        "decoding.tokens_per_batch",
        "evaluation.metrics",
    }
)
"""Keys that a resumed run may change: how long it trains, what it writes, where it computes."""

PLACES = {*DataConfig.path_keys(), "test", "licence"}
"""Keys of data that a resumed run may change. Training does not use test and licence; for the
others, the text itself is compared."""

RESOLVED = {
    "tokenizer.vocabulary_size": "auto",
    "model.attention_block_size": "auto",
    "model.num_decoder_layers": None,
    "training.precision": "auto",
    "training.accumulation_steps": "auto",
    "training.optimizer.schedule": "auto",
    "decoding.precision": "auto",
    "decoding.max_length_ratio": "auto",
    "decoding.max_length_extra": "auto",
}
"""Keys that a new run resolves, each with the value that means "not resolved yet"."""

MODEL = [f"model.{name}" for name in ModelConfig.model_fields]
TOKENIZER = [f"tokenizer.{name}" for name in TokenizerConfig.model_fields]
"""MODEL and TOKENIZER: keys that a run with --from takes from the other run, except FREE."""

FREE = {
    "tokenizer.sampling_alpha",
    "model.attention_block_size",
    *(key for key in MODEL if key.endswith("dropout_rate")),
}
"""Keys that change no translation. With a preset, unset dropout rates are also the other run's."""


def continued(recorded: Config, wanted: Config, run: RunDirectory) -> Config:
    """The configuration to resume a run with: `wanted`, with the run's value for every unset key.

    Raises ConfigError if a key has changed that may not change, and RunError if the recorded
    configuration is not resolved.
    """
    for key, is_open in RESOLVED.items():
        is_absent = key == "model.num_decoder_layers" and recorded.model.kind == "decoder_only"
        if value(recorded, key) == is_open and not is_absent:
            raise RunError(
                f"{run.config}: {key} is {is_open or 'null'}, but a run records a value for it; "
                "restore that value."
            )
    if recorded.preset is None and not is_set(wanted, "model"):
        wanted = replaced(wanted, {"preset": None})  # only implied by the unset model
    if recorded.preset is not None and wanted.preset is None:
        raise ConfigError(
            f"{run.path} was started with preset: {recorded.preset}; add that to the configuration."
        )
    open_keys = [key for key, is_open in RESOLVED.items() if value(wanted, key) == is_open]
    own = [key for key in SESSION_KEYS if not is_set(wanted, key)]
    defaults = {key: value(wanted, key) for key in own}
    wanted = replaced(wanted, {key: value(recorded, key) for key in open_keys} | defaults)
    wanted = _filled(wanted, recorded)
    allowed = LIMITS | {f"data.{name}" for name in PLACES}
    if recorded.training.optimizer.falls_to_zero:
        allowed -= ENDS
    refused = [
        f"{key} was {_shown(old)} and is now {_shown(new)}"
        for key, old, new in differences(recorded, wanted)
        if ".".join(map(str, parts(key)[:2])) not in allowed
    ]
    if refused:
        raise ConfigError(
            f"{run.path} was started with another configuration: {'; '.join(refused)}. Use the "
            "original values, or start another run with --run."
        )
    return check(wanted, str(run.path))


def kept(wanted: Config, resumed: Config, from_another: bool) -> list[str]:
    """The keys whose defaults `continued` has replaced by the run's values, each with its value.

    Keys whose values a user expects to differ are left out: resolved ones, those of a preset, and
    with `from_another` those that the run took from another run.
    """
    expected = {key for key, is_open in RESOLVED.items() if value(wanted, key) == is_open}
    if wanted.preset is not None:
        expected |= {*PRESET_KEYS, *MODEL}
    if from_another:
        expected |= {*MODEL, *TOKENIZER}
    return [
        f"{key} {_shown(new)}"
        for key, _, new in differences(wanted, resumed)
        if key not in expected
    ]


def _filled(wanted: Any, recorded: Any) -> Any:
    """`wanted` with the recorded value for each unset key, in sections and in lists."""
    if isinstance(wanted, list) and isinstance(recorded, list) and len(wanted) == len(recorded):
        return [_filled(*items) for items in zip(wanted, recorded, strict=True)]
    if not (isinstance(wanted, BaseModel) and type(wanted) is type(recorded)):
        return wanted
    fields = type(wanted).model_fields
    if isinstance(wanted, Corpus) and any(
        getattr(wanted, name) != getattr(recorded, name)
        for name, field in fields.items()
        if field.is_required()
    ):
        return wanted  # another text: the recorded tag and weight do not apply to it
    return wanted.model_copy(
        update={
            name: _filled(getattr(wanted, name), getattr(recorded, name))
            if name in wanted.model_fields_set
            else getattr(recorded, name)
            for name in fields
        }
    )


def _shown(value: object) -> str:
    return "not set" if value is None else repr(value)


def begun_from(other: Config, wanted: Config, origin: Path) -> Config:
    """`wanted` with the vocabulary and the model of the other run, for `--from`.

    Raises ConfigError if `wanted` sets one of their keys to another value.
    """
    taken, refused = {}, []
    for key in (*TOKENIZER, *MODEL):
        old, new = value(other, key), value(wanted, key)
        is_open = not is_set(wanted, key) or (key in RESOLVED and new == RESOLVED[key])
        if is_open and (key not in FREE or (wanted.preset is not None and key in MODEL)):
            taken[key] = old
        elif old != new and key not in FREE:
            refused.append(f"{key} is {_shown(old)} there and {_shown(new)} here")
    if refused:
        raise ConfigError(
            f"--from {origin} keeps the vocabulary and the model of that run, but "
            f"{'; '.join(refused)}. Leave these keys out, or start without --from."
        )
    kind = other.tokenizer.kind
    if wanted.tokenizer.sampling_alpha is not None and kind in ("word", "char"):
        raise ConfigError(
            f"--from {origin}: a sentence has only one segmentation with tokenizer.kind: {kind}, "
            "which that run has; leave out tokenizer.sampling_alpha."
        )
    return replaced(wanted, taken)
