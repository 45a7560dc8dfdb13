"""A run or a bundle, read once: what translates with it, and what is reported of that afterwards.

Nothing here imports TensorFlow until an engine is asked for.
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
"""Keys of decoding that `translator tune` may have chosen for the run."""


@dataclass(frozen=True)
class LoadedRun:
    """What a run or bundle held when it was opened."""

    directory: RunDirectory
    origin: Path
    """The file of the weights."""
    recorded: Config
    """The configuration that the run keeps."""
    config: Config
    """The same, with tuned decoding and with overrides; a precision of `auto` is replaced."""
    tokenizer: Tokenizer
    weights: Arrays
    """The best weights, by name."""
    facts: Mapping[str, Any]
    """Of the weights: step, validation score …"""
    digest: str
    """SHA-256 of the weights."""

    def engine(self, frozen: bool = True) -> Translator:
        """Our own search on these weights. frozen: its weights are not changed later.

        Raises RunError if the weights do not fit the configuration.
        """
        from translator.decoding.translator import Translator

        return Translator.of(self, frozen)

    def decided_by(self) -> dict[str, Any]:
        """What makes the translations of `engine` what they are, as JSON."""
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
    """Read a run or bundle, with the weights and decoding that `translator tune` chose, if any.

    With as_tuned=False: the weights that validated best and the configured decoding. Overrides,
    such as "decoding.beam_size=1", win over both. Raises RunError if there are no weights yet or
    something is damaged; ConfigError for an override that a trained run does not take.
    """
    _check_overrides(overrides)
    path = directory.shipped if as_tuned else directory.best
    recorded = _recorded(directory)
    tokenizer = Tokenizer.load(directory.tokenizer())
    if not path.exists():
        if directory.averaged.exists():
            raise RunError(
                f"{path}: this file is missing. Bring it back; or delete {directory.averaged}, and "
                "`translator train` makes the best weights anew."
            )
        raise RunError(
            f"{directory.path}: no weights have been validated yet; train on to the first "
            "validation."
        )
    weights, facts = load_arrays(path)
    tuned = _tuned(directory, facts) if as_tuned else {}
    config = _configured(recorded, tuned, overrides)
    return LoadedRun(
        directory, path, recorded, config, tokenizer, weights, facts, arrays_digest(weights)
    )


def load_run_config(directory: RunDirectory, overrides: Sequence[str] = ()) -> Config:
    """The configuration that `load_run` gives, for a run that need not have weights yet."""
    _check_overrides(overrides)
    facts = load_facts(directory.shipped) if directory.shipped.exists() else {}
    return _configured(_recorded(directory), _tuned(directory, facts), overrides)


def _recorded(directory: RunDirectory) -> Config:
    config = load_recorded(directory.config)
    if directory.is_bundle:  # whoever made it has no business with our folders
        config = config.model_copy(update={"data": config.data.without_local_paths()})
    return config


def _configured(recorded: Config, tuned: Mapping[str, Any], overrides: Sequence[str]) -> Config:
    """A recorded configuration with tuned decoding, and with overrides over both."""

    def configured(keys: Sequence[str]) -> Config:
        values = {f"decoding.{key}": tuned[key] for key in keys}
        config = override(replaced(recorded, values), overrides)
        return resolve_decoding(config, recorded.decoding.length_limit)

    if not tuned:
        return configured([])
    config = configured(TUNED)
    if config.decoding.length_penalty_kind == tuned["length_penalty_kind"]:
        return config
    return configured(["beam_size"])  # an exponent says nothing about another kind of penalty


def _check_overrides(overrides: Sequence[str]) -> None:
    for text in overrides:
        key = text.partition("=")[0]
        trained = ("tokenizer", "model", "training")
        if key.partition(".")[0] in trained and key != "training.keep_text":
            raise ConfigError(
                f"--set {key}: a trained run takes only keys of data, decoding and evaluation."
            )


def _tuned(directory: RunDirectory, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The decoding that `translator tune` found for weights with these facts; empty if none."""
    if not (directory.tuned.exists() and facts):
        return {}
    try:
        found: dict[str, Any] = json.loads(directory.tuned.read_text(encoding="utf-8"))
        found.setdefault("length_penalty_kind", "gnmt")
        weights, values = found["weights"], {key: found[key] for key in TUNED}
        DecodingConfig.model_validate(values)
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(
            f"{directory.tuned}: this file is damaged; delete it, or tune again."
        ) from None
    return values if weights == facts else {}
