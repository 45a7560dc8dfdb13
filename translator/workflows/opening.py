"""`open_run`: the one way to open a run, a bundle or an export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from translator.decoding.loaded_run import LoadedRun, load_run
from translator.errors import ConfigError
from translator.export.load import LoadedExport, export_of, load_export
from translator.runs import RunDirectory, is_export


def open_run(
    path: str | Path, overrides: Sequence[str] = (), engine: str | None = None
) -> LoadedRun | LoadedExport:
    """Read a run, a bundle or an export once: configuration, tokenizer, weights and digest.

    Overrides, such as "decoding.beam_size=1", win over what the run keeps. engine: "ctranslate2"
    takes the export in a run; "savedmodel" says that you trust a SavedModel, which is a program.
    The result's `.engine()` translates; until it is called, TensorFlow is not imported. Several
    runs may be open at once, and several threads may share an engine.

        opened = open_run("runs/quickstart")
        opened.engine().translate(["Turn on the lights."])

    Raises RunError if there is no such run or it is damaged, ConfigError for an override or an
    engine that it does not take.
    """
    if isinstance(overrides, str):
        raise TypeError("overrides is a list of settings; put the one you have in brackets")
    path = Path(path)
    if is_export(path) and not RunDirectory(path).exists:
        return load_export(path, overrides, engine)
    if engine == "savedmodel":
        raise ConfigError(f"--engine savedmodel: name the folder of the export, not {path}.")
    directory = RunDirectory.existing(path)
    if engine is None:
        return load_run(directory, overrides)
    return load_export(export_of(directory), overrides, engine)
