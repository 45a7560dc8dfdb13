"""Read a run or a bundle once: its configuration, tokenizer and weights.

Translations and the reports about them then agree, even if training continues meanwhile. TensorFlow
is imported only by `LoadedRun.engine`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from translator.config import Config, load_recorded, replaced, resolve_decoding
from translator.config.loading import override
from translator.config.schema import DecodingConfig
from translator.data.tokenizer import Tokenizer
from translator.errors import ConfigError, RunError
from translator.models.weights import Arrays, arrays_digest, load_arrays, load_facts
from translator.runs import RunDirectory

if TYPE_CHECKING:
    from translator.decoding.translator import Translator

TUNED = ("beam_size", "length_penalty", "length_penalty_kind")
"""Keys of decoding that `translator tune` chooses."""


@dataclass(frozen=True)
class LoadedRun:
    """The contents of a run or bundle when it was opened."""

    directory: RunDirectory
    origin: Path
    """The file of the weights."""
    recorded: Config
    """The configuration in the run."""
    config: Config
    """The same with tuned decoding, overrides, and `auto` replaced by a precision."""
    tokenizer: Tokenizer
    weights: Arrays
    """The best weights, by name."""
    facts: Mapping[str, Any]
    """Facts about the weights: step, validation score …"""
    digest: str
    """SHA-256 of the weights."""

    def engine(self, frozen: bool = True) -> Translator:
        """Our own search with these weights. frozen: the caller never changes them.

        Raises RunError if the weights do not fit the configuration.
        """
        from translator.decoding.translator import Translator

        return Translator.of(self, frozen)

    def decided_by(self) -> dict[str, Any]:
        """What determines the translations of `engine`, as JSON."""
        return {
            "weights": self.digest,
            "model": self.config.model.model_dump(),
            "tokenizer": self.tokenizer.digest,
            "data": {"max_length": self.config.data.max_length},
            "decoding": self.config.decoding.model_dump(),
        }


def load_run(
    directory: RunDirectory, overrides: Sequence[str] = (), as_tuned: bool = True
) -> LoadedRun:
    """Read a run or bundle.

    as_tuned: use the weights and decoding that `translator tune` chose, if any. Otherwise, use the
    weights that validated best and the configured decoding.
    overrides: settings such as "decoding.beam_size=1". They win over both.

    Raises RunError if there are no weights yet or something is damaged; ConfigError for an override
    that a trained run does not accept.
    """
    _check_overrides(overrides)
    path = directory.shipped if as_tuned else directory.best
    recorded = _load_config(directory)
    tokenizer = Tokenizer.load(directory.tokenizer())
    if not path.exists():
        if directory.averaged.exists():
            raise RunError(
                f"{path}: this file is missing. Restore it, or delete {directory.averaged} and run "
                "`translator train` to write the best weights again."
            )
        raise RunError(
            f"{directory.path}: no weights have been validated yet. Train until the first "
            "validation."
        )
    weights, facts = load_arrays(path)
    tuned = _load_tuned(directory, facts) if as_tuned else {}
    config = _merge(recorded, tuned, overrides)
    return LoadedRun(
        directory, path, recorded, config, tokenizer, weights, facts, arrays_digest(weights)
    )


def load_run_config(directory: RunDirectory, overrides: Sequence[str] = ()) -> Config:
    """The configuration that `load_run` gives. The run need not have weights yet."""
    _check_overrides(overrides)
    facts = load_facts(directory.shipped) if directory.shipped.exists() else {}
    return _merge(_load_config(directory), _load_tuned(directory, facts), overrides)


def _load_config(directory: RunDirectory) -> Config:
    config = load_recorded(directory.config)
    if directory.is_bundle:  # a stranger's file must not name our folders
        config = config.model_copy(update={"data": config.data.without_local_paths()})
    return config


def _merge(recorded: Config, tuned: Mapping[str, Any], overrides: Sequence[str]) -> Config:
    """A recorded configuration with tuned decoding and overrides, which win over both."""

    def with_tuned(keys: Sequence[str]) -> Config:
        values = {f"decoding.{key}": tuned[key] for key in keys}
        config = override(replaced(recorded, values), overrides)
        return resolve_decoding(config, recorded.decoding.length_limit)

    if not tuned:
        return with_tuned([])
    config = with_tuned(TUNED)
    if config.decoding.length_penalty_kind == tuned["length_penalty_kind"]:
        return config
    return with_tuned(["beam_size"])  # the exponent was chosen for another kind of penalty


def _check_overrides(overrides: Sequence[str]) -> None:
    fixed = ("tokenizer", "model", "training")
    for text in overrides:
        key = text.partition("=")[0]
        if key.partition(".")[0] in fixed and key != "training.keep_text":
            raise ConfigError(
                f"--set {key}: a trained run accepts only keys of data, decoding and evaluation."
            )


def _load_tuned(directory: RunDirectory, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The decoding that `translator tune` chose for weights with these facts; empty if none."""
    if not (directory.tuned.exists() and facts):
        return {}
    try:
        tuned: dict[str, Any] = json.loads(directory.tuned.read_text(encoding="utf-8"))
        tuned.setdefault("length_penalty_kind", "gnmt")
        weights, values = tuned["weights"], {key: tuned[key] for key in TUNED}
        DecodingConfig.model_validate(values)
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(
            f"{directory.tuned}: this file is damaged. Delete it, or tune again."
        ) from None
    return values if weights == facts else {}
