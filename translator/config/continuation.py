"""What a run has settled: for its own continuation, and for a run that begins with its weights."""

from __future__ import annotations

from translator.config.keys import differences, is_set, parts, replaced, value
from translator.config.loading import check
from translator.config.preset import KEYS as PRESET_KEYS
from translator.config.schema import Config, ModelConfig
from translator.errors import ConfigError, RunError
from translator.runs import RunDirectory

LIMITS = {
    "training.max_steps",
    "training.max_epochs",
    "training.max_minutes",
    "training.patience",
    "training.save_every",
    "training.keep_text",
    "training.profile",
    "training.distribution",
    "training.accumulation_steps",
    "training.recompute_activations",
}
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
}
"""What a beginning replaces by a value, which the run keeps."""

MODEL = [f"model.{name}" for name in ModelConfig.model_fields]
"""With --from the other run's, where a preset leaves it open."""


def continued(recorded: Config, wanted: Config, run: RunDirectory) -> Config:
    """What is wanted, where it leaves open what the run has settled. Raises ConfigError at a change
    that is not allowed, RunError if the run's own configuration leaves something open."""
    for key, is_open in RESOLVED.items():
        if value(recorded, key) == is_open:
            raise RunError(
                f"{run.config}: {key} is {is_open or 'null'}, but a run holds the value it was "
                "begun with; bring that back."
            )
    open_keys = [key for key, is_open in RESOLVED.items() if value(wanted, key) == is_open]
    if wanted.preset is not None:
        open_keys += [key for key in (*PRESET_KEYS, *MODEL) if not is_set(wanted, key)]
    wanted = replaced(wanted, {key: value(recorded, key) for key in open_keys})
    allowed = LIMITS | {f"data.{name}" for name in PLACES}
    if recorded.training.optimizer.falls_to_zero:
        allowed -= {"training.max_steps", "training.max_epochs", "training.max_minutes"}
    if recorded.preset is not None and wanted.preset is None:
        raise ConfigError(
            f"{run.path} was begun with preset: auto; write that on top of the configuration, too."
        )
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


def _shown(value: object) -> str:
    return "not set" if value is None else repr(value)


def begun_from(other: Config, wanted: Config) -> Config:
    """What is wanted, its model as the other run's where a preset leaves it open."""
    if wanted.preset is None:
        return wanted
    keys = (*MODEL, *(key for key in PRESET_KEYS if key.startswith("tokenizer.")))
    open_keys = [key for key in keys if not is_set(wanted, key)]
    return replaced(wanted, {key: value(other, key) for key in open_keys})
