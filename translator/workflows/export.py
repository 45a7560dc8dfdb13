"""`export_run`: write a model for other programs, and prove that it is the same model."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from translator.bundle_archive import pack, unpacked
from translator.errors import ConfigError, RunError
from translator.export import need_ctranslate2
from translator.files import check_name
from translator.runs import RunDirectory
from translator.workflows.logs import ensure_handler

if TYPE_CHECKING:
    from translator.export.manifest import Format, Manifest, Quantization


class Exported(NamedTuple):
    """An export and what is known about it."""

    path: Path
    """A folder; for a bundle, a file."""
    manifest: Manifest


def export_run(
    run: str | Path,
    format: Format = "ctranslate2",
    quantization: Quantization = "float32",
    output: str | Path | None = None,
    max_loss: float = 0.5,
    overrides: Sequence[str] = (),
    notes: str = "",
) -> Exported:
    """Write the best model of a run for another program, or the run as one file.

    In float32, log-probabilities and greedy translations of some golden sentences must equal those
    of the run. In every format, BLEU on the validation split may be lower by at most `max_loss`.

    format: "ctranslate2", "savedmodel" for TensorFlow, or "bundle" for the run as one file.
    quantization: how CTranslate2 stores matrices: "float32", "float16", "int16" or "int8".
    output: path of the export, by default in exports/ of the run. It replaces an earlier export.
    overrides: keys that win over what the run keeps.
    notes: text for the card of a bundle.

    Raises UserError.
    """
    ensure_handler()
    if format == "ctranslate2":
        need_ctranslate2()
    elif quantization != "float32":
        raise ConfigError(f"--quantization {quantization}: only CTranslate2 has it.")
    if notes and format != "bundle":
        raise ConfigError("--notes: only a bundle has a card for them.")
    from translator.decoding.loaded_run import load_run
    from translator.export.build import build_export
    from translator.export.manifest import save_manifest

    directory = RunDirectory.existing(Path(run))
    if directory.is_bundle and output is None:
        raise ConfigError(f"{run} is a single file. Name a place for the export with --output.")
    directory.need_text(overrides)
    path = Path(output or directory.export(_name(format, quantization)))
    check_name(path, ConfigError)
    _check_path(path, format)
    loaded = load_run(directory, overrides)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=path.parent) as beside:
        unfinished = Path(beside, "export")
        unfinished.mkdir()
        manifest = build_export(unfinished, loaded, format, quantization, notes)
        _check_quality(manifest, max_loss)
        save_manifest(unfinished, manifest)
        if format == "bundle":
            packed = Path(beside, "bundle")
            pack(unfinished, packed)
            unfinished = packed
        _check_path(path, format)
        if path.is_dir():
            path.replace(Path(beside, "before"))
        unfinished.replace(path)
    return Exported(path, manifest)


def _name(format: Format, quantization: Quantization) -> str:
    return {
        "ctranslate2": f"ctranslate2-{quantization}",
        "savedmodel": "savedmodel",
        "bundle": "model.bundle",
    }[format]


def _check_path(path: Path, format: Format) -> None:
    """Raise ConfigError unless the path is free or holds an export of the same kind alone."""
    from translator.export.manifest import digests, load_manifest

    if not path.exists():
        return
    try:
        known = load_manifest(unpacked(path) if path.is_file() else path).files.keys()
    except RunError:
        raise ConfigError(
            f"{path} exists and is not an export. Name another place with --output."
        ) from None
    if path.is_file() != (format == "bundle"):
        what = "file" if path.is_file() else "folder"
        raise ConfigError(f"{path} is a {what}. Name another place with --output.")
    if path.is_dir() and (others := sorted(digests(path).keys() - known)):
        raise ConfigError(
            f"{path / others[0]} is not part of the export there. Move it away, or name another "
            "place with --output."
        )


def _check_quality(manifest: Manifest, max_loss: float) -> None:
    """Raise RunError if the export is not good enough."""
    if manifest.quantization == "float32" and not manifest.golden.is_exact:
        raise RunError(
            f"The export is not the same model as the run: {manifest.golden}. Nothing was written."
        )
    loss = manifest.validation.run_bleu - manifest.validation.bleu
    if not loss <= max_loss:
        finer = "" if manifest.quantization == "float32" else "choose a finer --quantization, or "
        raise RunError(
            f"The export loses {loss:.2f} BLEU, more than {max_loss:g}; nothing was written. To "
            f"go on, {finer}allow more with --max-loss."
        )
