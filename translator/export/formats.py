"""The formats in which a model can be exported, which depend on its kind."""

from __future__ import annotations

from typing import get_args

from translator.config import Config
from translator.errors import ConfigError
from translator.export.manifest import Format
from translator.models.build import MODELS


def formats(config: Config) -> list[Format]:
    """The formats of the model that a configuration describes, in order of preference."""
    missing = MODELS[config.model.kind].missing_exports(config)
    return [format for format in get_args(Format) if format not in missing]


def check_format(config: Config, format: Format) -> None:
    """Raise ConfigError, with the reason, if the model has no export of this format."""
    if format not in formats(config):
        reason = MODELS[config.model.kind].missing_exports(config)[format]
        others = " or ".join(f"--format {other}" for other in formats(config))
        raise ConfigError(f"This run has no export for {format}: {reason}. Use {others}.")
