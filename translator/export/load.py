"""Open an export to translate with it, or check that it is intact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from translator.bundle_archive import unpacked
from translator.config import Config, load_recorded, override
from translator.data.tokenizer import Tokenizer
from translator.errors import ConfigError, RunError
from translator.export import need_ctranslate2
from translator.export.manifest import (
    GOLDEN,
    MANIFEST,
    Comparison,
    Manifest,
    check_files,
    load_manifest,
)
from translator.files import sha256
from translator.models.weights import arrays_digest, load_arrays
from translator.runs import EXPORT_CONFIG, RunDirectory

if TYPE_CHECKING:
    from translator.export.ctranslate2 import CTranslate2
    from translator.export.golden import Scorer
    from translator.export.savedmodel import SavedModel

SEARCH_KEYS = ("beam_size", "length_penalty")
"""Keys of decoding that can be overridden for CTranslate2; for a SavedModel, only the first."""

SETTABLE = tuple(f"decoding.{key}" for key in (*SEARCH_KEYS, "tokens_per_batch"))
"""Keys that an export accepts."""


@dataclass(frozen=True)
class LoadedExport:
    """The contents of an export when it was opened, with its files checked."""

    folder: Path
    manifest: Manifest
    config: Config
    """The configuration of the run, with overrides."""
    overrides: tuple[str, ...]
    tokenizer: Tokenizer
    stamps: Mapping[str, tuple[int, int]]
    """Size and time of change of each file when it was checked."""

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, which contains the SHA-256 of every file."""
        return self.manifest.sha256

    def engine(self) -> CTranslate2 | SavedModel:
        """The engine that translates.

        Raises RunError if it cannot load the files, or if they changed since the export was opened.
        """
        engine = self._load_engine()
        if _stamps(self.folder) != self.stamps:
            raise RunError(f"{self.folder} changed while it was being opened. Open it again.")
        return engine

    def _load_engine(self) -> CTranslate2 | SavedModel:
        options = self.manifest.options
        if self.manifest.format == "savedmodel":
            from translator.export.savedmodel import SavedModel

            return SavedModel(self.folder, self.tokenizer, self.config, options.beam_size)
        need_ctranslate2()
        from translator.export.ctranslate2 import CTranslate2

        try:
            return CTranslate2(
                self.folder,
                self.tokenizer,
                options.model_dump() | _search_overrides(self.config, self.overrides),
                self.manifest.max_length,
                self.config.decoding.tokens_per_batch,
            )
        except (RuntimeError, ValueError) as error:
            raise RunError(
                f"{self.folder}: CTranslate2 cannot load this export: {error}. Export the run "
                "again."
            ) from None

    def decided_by(self) -> dict[str, Any]:
        """What determines the translations of `engine`, as JSON."""
        return {MANIFEST: self.digest} | dict(text.split("=", 1) for text in self.overrides)


def load_export(
    folder: Path, overrides: Sequence[str] = (), engine: str | None = None
) -> LoadedExport:
    """Read an export.

    engine: "ctranslate2" or "savedmodel"; by default the one that the export was made for. A
    SavedModel is a program, so it must be named.

    Raises RunError if files were changed, removed or added; ConfigError for an override or an
    engine that does not fit the export.
    """
    manifest = load_manifest(folder)
    _check_engine(folder, manifest, engine)
    stamps = _stamps(folder)
    check_files(folder, manifest)
    config = override(load_recorded(folder / EXPORT_CONFIG), overrides)
    _check_overrides(manifest, config, overrides)
    tokenizer = Tokenizer.load(RunDirectory(folder).tokenizer())
    return LoadedExport(folder, manifest, config, tuple(overrides), tokenizer, stamps)


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file."""
    files = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {str(path): (stat.st_size, stat.st_ctime_ns) for path, stat in files.items()}


def _check_overrides(manifest: Manifest, config: Config, overrides: Sequence[str]) -> None:
    """Raise ConfigError for an override that an export does not accept."""
    for text in overrides:
        key = text.partition("=")[0]
        if key not in SETTABLE:
            raise ConfigError(
                f"--set {key}: an export accepts only {', '.join(SETTABLE)}. For other keys, "
                "export the run again with --set."
            )
    if "length_penalty" not in _search_overrides(config, overrides):
        return
    if manifest.format == "savedmodel":
        raise ConfigError(
            "--set decoding.length_penalty: the value in a SavedModel is fixed. Export the run "
            "again with this setting."
        )
    if config.decoding.length_penalty_kind != "power":
        raise ConfigError(
            "--set decoding.length_penalty: CTranslate2 divides by length^alpha, but this run was "
            "exported with another kind. Export it with decoding.length_penalty_kind=power."
        )


def _search_overrides(config: Config, overrides: Sequence[str]) -> dict[str, Any]:
    """Values of the SEARCH_KEYS that are overridden."""
    return {
        key: getattr(config.decoding, key)
        for key in SEARCH_KEYS
        if any(text.startswith(f"decoding.{key}=") for text in overrides)
    }


def export_of(run: RunDirectory) -> Path:
    """The export for CTranslate2 in a run.

    Raises RunError unless there is exactly one, made from the current weights of the run;
    ConfigError if the model cannot have one.
    """
    if run.is_bundle:
        raise RunError(
            "A bundle contains no export for CTranslate2. Export it to a folder with --output, and "
            "name that folder."
        )
    exports = run.exports("ctranslate2")
    if not exports:
        from translator.export.formats import check_format  # imports TensorFlow

        check_format(load_recorded(run.config), "ctranslate2")
        raise RunError(
            f"{run.path} has no export for CTranslate2. `translator export {run.path}` makes one."
        )
    if len(exports) > 1:
        names = " or ".join(map(str, exports))
        raise RunError(f"{run.path} has several exports. Name {names} instead of the run.")
    (folder,) = exports
    exported = load_manifest(folder).weights_sha256
    # Exports by early versions have the digest of the file instead.
    if exported not in (arrays_digest(load_arrays(run.shipped)[0]), sha256(run.shipped)):
        raise RunError(
            f"{folder} was not made from the run's current best weights. Export the run again."
        )
    return folder


def _check_engine(path: Path, manifest: Manifest, engine: str | None) -> None:
    """Raise ConfigError if an export is for another engine, or a SavedModel that is not named."""
    if manifest.format == "savedmodel" and engine is None:
        raise ConfigError(
            f"{path}: a SavedModel is a program. If you trust its authors, run it with --engine "
            "savedmodel."
        )
    if engine is not None and manifest.format != engine:
        what = "a bundle" if manifest.format == "bundle" else f"an export for {manifest.format}"
        raise ConfigError(f"--engine {engine}: {path} is {what}.")


def check_export(path: Path, engine: str | None = None) -> Comparison:
    """Check the files of an export, and compare its results with the golden sentences.

    A float32 export must agree within the tolerance. For a quantized one, the mean difference may
    be twice that measured at export, because processors round differently.

    engine: as in `load_export`. Raises RunError, ConfigError.
    """
    from translator.decoding.loaded_run import load_run
    from translator.export.bundle import TranslatorScorer
    from translator.export.golden import compare, load_golden

    folder = unpacked(path) if path.is_file() else path
    manifest = load_manifest(folder)
    scorer: Scorer
    if manifest.format == "bundle":
        _check_engine(path, manifest, engine)
        check_files(folder, manifest)
        run = load_run(RunDirectory.existing(folder), ["decoding.precision=float32"])
        scorer = TranslatorScorer(run.engine())
    else:
        scorer = load_export(folder, engine=engine).engine()
    comparison = compare(load_golden(folder / GOLDEN), scorer)
    if manifest.quantization == "float32":
        is_same = comparison.is_exact
    else:
        is_same = comparison.mean <= 2 * manifest.golden.mean
    if not is_same:
        raise RunError(
            f"{path} is not what was exported. Now, {comparison}. At export, {manifest.golden}."
        )
    return comparison
