"""`verify`: check that an export is unchanged and computes what it did when it was made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from translator.export.load import check_export
from translator.workflows.logs import ensure_handler

if TYPE_CHECKING:
    from translator.export.manifest import Comparison


def verify(export: str | Path, engine: str | None = None) -> Comparison:
    """Check the files of an export, and compare its engine with the golden sentences again.

    engine: "savedmodel" confirms that you trust a SavedModel, which is a program.

    Raises RunError if the export has changed; ConfigError for the wrong engine.
    """
    ensure_handler()
    return check_export(Path(export), engine)
