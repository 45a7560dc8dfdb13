"""What a run has settled: for its own continuation, and for a run that begins with its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from translator.config.keys import differences, is_set, parts, replaced, value
from translator.config.loading import check
from translator.config.preset import KEYS as PRESET_KEYS
from translator.config.schema import Config, Corpus, ModelConfig, TokenizerConfig
from translator.errors import ConfigError, RunError
from translator.runs import RunDirectory

OF_A_SESSION = {"training.distribution", "training.profile"}
"""Left unset, they have their defaults at every start, whatever the run was begun with."""

ENDS = {"training.max_steps", "training.max_epochs", "training.max_minutes"}
"""Where a learning rate may fall to zero."""

LIMITS = (
    OF_A_SESSION
    | ENDS
    | {
        "training.patience",
        "training.save_every",
        "training.keep_text",
        "training.accumulation_steps",
        "training.recompute_activations",
    }
)
"""How long a run goes on, what it writes, and what it computes on."""

PLACES = {"folder", "dataset_folder", "wheel", "test", "licence"}
"""Keys of data, free with all in them: the text itself is compared, or not used in training."""

RESOLVED = {
    "tokenizer.vocabulary_size": "auto",
    "model.num_decoder_layers": None,
    "training.precision": "auto",
    "training.accumulation_steps": "auto",
    "training.optimizer.schedule": "auto",
    "decoding.precision": "auto",
    "decoding.max_length_ratio": "auto",
    "decoding.max_length_extra": "auto",
}
"""What a beginning replaces by a value, which the run keeps."""

MODEL = [f"model.{name}" for name in ModelConfig.model_fields]
TOKENIZER = [f"tokenizer.{name}" for name in TokenizerConfig.model_fields]
"""With --from, both are the other run's…"""

FREE = {"tokenizer.sampling_alpha", *(key for key in MODEL if key.endswith("dropout_rate"))}
"""…but for these, which only training uses. With a preset, dropout is the other run's if unset."""


def continued(recorded: Config, wanted: Config, run: RunDirectory) -> Config:
    """What is wanted, with the run's value for each key that is left unset. Raises ConfigError at a
    change that is not allowed, RunError if the run's own configuration leaves something open."""
    for key, is_open in RESOLVED.items():
        if value(recorded, key) == is_open:
            raise RunError(
                f"{run.config}: {key} is {is_open or 'null'}, but a run holds the value it was "
                "begun with; bring that back."
            )
    if recorded.preset is None and not is_set(wanted, "model"):
        wanted = replaced(wanted, {"preset": None})  # it stands for the model that is left unset
    if recorded.preset is not None and wanted.preset is None:
        raise ConfigError(
            f"{run.path} was begun with preset: auto; write that on top of the configuration, too."
        )
    open_keys = [key for key, is_open in RESOLVED.items() if value(wanted, key) == is_open]
    own = [key for key in OF_A_SESSION if not is_set(wanted, key)]
    defaults = {key: value(wanted, key) for key in own}
    wanted = replaced(wanted, {key: value(recorded, key) for key in open_keys} | defaults)
    wanted = _filled(wanted, recorded)
    allowed = LIMITS | {f"data.{name}" for name in PLACES}
    if recorded.training.optimizer.falls_to_zero:
        allowed -= ENDS
    refused = [
        f"{key} is {_shown(old)} there and {_shown(new)} here"
        for key, old, new in differences(recorded, wanted)
        if ".".join(map(str, parts(key)[:2])) not in allowed
    ]
    if refused:
        raise ConfigError(
            f"{run.path} was begun with another configuration: {'; '.join(refused)}. Change that "
            "back, or begin another run with --run."
        )
    return check(wanted, str(run.path))


def kept(wanted: Config, settled: Config, from_another: bool) -> list[str]:
    """What `continued` has taken from the run in place of a default, each as a phrase; but for what
    a run that began from another has taken over."""
    expected = {key for key, is_open in RESOLVED.items() if value(wanted, key) == is_open}
    if wanted.preset is not None:
        expected |= {*PRESET_KEYS, *MODEL}
    if from_another:
        expected |= {*MODEL, *TOKENIZER}
    return [
        f"{key} {_shown(new)}"
        for key, _, new in differences(wanted, settled)
        if key not in expected
    ]


def _filled(wanted: Any, recorded: Any) -> Any:
    """What is wanted, with what is recorded for each key that is unset, in sections and lists."""
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
        return wanted  # another text: what was said of the recorded one does not count for it
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
    """What is wanted, with the vocabulary and the model of the other run. Raises ConfigError if a
    key of theirs is set and differs."""
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
            f"--from {origin} keeps the vocabulary and the model of that run: "
            f"{'; '.join(refused)}. Leave out what differs, or begin without --from."
        )
    kind = other.tokenizer.kind
    if wanted.tokenizer.sampling_alpha is not None and kind in ("word", "char"):
        raise ConfigError(
            f"--from {origin}: the pieces of its vocabulary are {kind}s, and there is nothing to "
            "sample; leave out tokenizer.sampling_alpha."
        )
    return replaced(wanted, taken)
