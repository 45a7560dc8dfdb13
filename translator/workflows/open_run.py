"""`open_run`: the one way to open a run, a bundle or an export."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from translator.config.schema import DecodingConfig
from translator.decoding.loaded_run import LoadedRun, load_run, load_run_config
from translator.errors import ConfigError
from translator.export.load import LoadedExport, export_of, load_export
from translator.export.manifest import Options
from translator.runs import RunDirectory, is_export
from translator.workflows.logs import ensure_handler

log = logging.getLogger(__name__)


def open_run(
    path: str | Path, overrides: Sequence[str] = (), engine: str | None = None
) -> LoadedRun | LoadedExport:
    """Read a run, a bundle or an export once: configuration, tokenizer, weights and digest.

    overrides: keys that win over what the run keeps, such as "decoding.beam_size=1".
    engine: "ctranslate2" opens the export inside a run. "savedmodel" confirms that you trust a
    SavedModel, which is a program.

    The `engine()` of the result translates. TensorFlow is imported only when it is called. Several
    runs may be open at once, and several threads may share an engine.

        opened = open_run("runs/quickstart")
        opened.engine().translate(["Turn on the lights."])

    Raises RunError if the run is missing or damaged; ConfigError for an invalid override or engine.
    """
    ensure_handler()
    if isinstance(overrides, str):
        raise TypeError("overrides must be a list of settings, not a string")
    path = Path(path)
    if is_export(path) and not RunDirectory(path).exists:
        return load_export(path, overrides, engine)
    if engine == "savedmodel":
        raise ConfigError(f"--engine savedmodel: name the folder of the export, not {path}.")
    directory = RunDirectory.existing(path)
    if engine is None:
        return load_run(directory, overrides)
    export = load_export(export_of(directory), overrides, engine)
    _warn_of_differences(path, load_run_config(directory).decoding, export)
    return export


def _warn_of_differences(path: Path, decoding: DecodingConfig, export: LoadedExport) -> None:
    """Warn if the decoding of the run and of its export differs, unless overrides set it."""
    options = export.manifest.options
    compared: list[tuple[str, float, float]] = [
        ("beam_size", decoding.beam_size, options.beam_size)
    ]
    if isinstance(options, Options):
        compared.append(("no_repeat_ngram", decoding.no_repeat_ngram, options.no_repeat_ngram_size))
        compared.append(("min_length", decoding.min_length, options.min_decoding_length))
    if decoding.length_penalty_kind == "power":
        compared.append(("length_penalty", decoding.length_penalty, options.length_penalty))
    for key, of_run, of_export in compared:
        is_set = any(text.startswith(f"decoding.{key}=") for text in export.overrides)
        if of_run != of_export and not is_set:
            log.warning(
                f"{path} has decoding.{key} {of_run:g}, but {export.folder} has {of_export:g}. "
                "Export the run again to use its value."
            )
