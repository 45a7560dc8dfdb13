"""How a run translates: the configuration that it keeps, and what was tuned for its weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from translator.config import Config, CorpusStatistics, Machine, load_config, resolve
from translator.config.loading import override
from translator.config.schema import DecodingConfig
from translator.errors import ConfigError, RunError
from translator.models.weights import load_facts
from translator.runs import RunDirectory

TUNED = ("beam_size", "length_penalty", "length_penalty_kind")
"""Keys of decoding that `translator tune` may have chosen for the run."""


def load_run_config(
    run: RunDirectory, overrides: Sequence[str] = (), as_tuned: bool = True
) -> Config:
    """The configuration that a run keeps, with what was tuned for its weights, unless that is not
    wanted, with overrides over both, and with its precision for `auto`. Raises RunError,
    ConfigError."""
    for text in overrides:
        key = text.partition("=")[0]
        trained = ("tokenizer", "model", "training")
        if key.partition(".")[0] in trained and key != "training.keep_text":
            raise ConfigError(
                f"--set {key}: a trained run takes only keys of data, decoding and evaluation."
            )
    config = load_config(run.config)
    if run.is_bundle:  # who made it has no business with our folders
        config = config.model_copy(update={"data": config.data.without_places()})
    tuned = _tuned(run) if as_tuned else []
    searched = override(config, [*tuned, *overrides])
    kind = f"decoding.length_penalty_kind={searched.decoding.length_penalty_kind}"
    if tuned and kind not in tuned:  # an exponent of another kind says nothing
        beam_size = [text for text in tuned if text.startswith("decoding.beam_size=")]
        searched = override(config, [*beam_size, *overrides])
    return resolve(searched, CorpusStatistics(num_pairs=0), Machine(bfloat16_speedup=None))


def _tuned(run: RunDirectory) -> list[str]:
    """What `translator tune` has found for the weights that there are, as overrides."""
    if not (run.tuned.exists() and run.shipped.exists()):
        return []
    try:
        found: dict[str, Any] = json.loads(run.tuned.read_text(encoding="utf-8"))
        found.setdefault("length_penalty_kind", "gnmt")
        weights, values = found["weights"], {key: found[key] for key in TUNED}
        DecodingConfig.model_validate(values)
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(f"{run.tuned}: this file is damaged; delete it, or tune again.") from None
    if weights != load_facts(run.shipped):
        return []
    return [f"decoding.{key}={value}" for key, value in values.items()]
