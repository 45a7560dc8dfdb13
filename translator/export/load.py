"""An export, opened again: to translate with, and to be proved."""

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
    RECORD,
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

SEARCHED_BY = ("beam_size", "length_penalty")
"""Keys of decoding that CTranslate2 can be told anew, and a SavedModel only the first of them."""

SETTABLE = tuple(f"decoding.{key}" for key in (*SEARCHED_BY, "tokens_per_batch"))
"""Keys that an export takes."""


@dataclass(frozen=True)
class LoadedExport:
    """What an export held when it was opened; its files are those that were exported."""

    folder: Path
    record: Manifest
    config: Config
    """That of the run, with overrides."""
    overrides: tuple[str, ...]
    tokenizer: Tokenizer
    stamps: Mapping[str, tuple[int, int]]
    """Of each file, when it was checked."""

    @property
    def digest(self) -> str:
        """SHA-256 of the record, which names every file with a digest of its own."""
        return self.record.sha256

    def engine(self) -> CTranslate2 | SavedModel:
        """What translates. Raises RunError if the engine cannot load the files, or if they have
        changed since the export was opened."""
        engine = self._engine()
        if _stamps(self.folder) != self.stamps:
            raise RunError(f"{self.folder} has changed while it was opened; open it again.")
        return engine

    def _engine(self) -> CTranslate2 | SavedModel:
        options = self.record.options
        if self.record.format == "savedmodel":
            from translator.export.savedmodel import SavedModel

            return SavedModel(self.folder, self.tokenizer, self.config, options.beam_size)
        need_ctranslate2()
        from translator.export.ctranslate2 import CTranslate2

        told = options.model_dump() | _searched_by(self.config, self.overrides)
        size = self.config.decoding.tokens_per_batch
        try:
            return CTranslate2(self.folder, self.tokenizer, told, self.record.max_length, size)
        except (RuntimeError, ValueError) as error:
            raise RunError(
                f"{self.folder}: CTranslate2 cannot load this export: {error}; export the run "
                "again."
            ) from None

    def decided_by(self) -> dict[str, Any]:
        """What makes the translations of `engine` what they are, as JSON."""
        return {RECORD: self.digest} | dict(text.split("=", 1) for text in self.overrides)


def load_export(
    folder: Path, overrides: Sequence[str] = (), engine: str | None = None
) -> LoadedExport:
    """Read an export for an engine, "ctranslate2" or "savedmodel"; by default, the one that it was
    made for, but not a SavedModel, which is a program and must be named.

    Raises RunError unless its files are those that were exported, ConfigError for an override or an
    engine that it does not take.
    """
    record = load_manifest(folder)
    check_engine(folder, record, engine)
    stamps = _stamps(folder)
    check_files(folder, record)
    config = override(load_recorded(folder / EXPORT_CONFIG), overrides)
    _check_overrides(record, config, overrides)
    tokenizer = Tokenizer.load(RunDirectory(folder).tokenizer())
    return LoadedExport(folder, record, config, tuple(overrides), tokenizer, stamps)


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file."""
    files = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {str(path): (facts.st_size, facts.st_ctime_ns) for path, facts in files.items()}


def _check_overrides(record: Manifest, config: Config, overrides: Sequence[str]) -> None:
    """Raise ConfigError for an override that an export does not take."""
    for text in overrides:
        key = text.partition("=")[0]
        if key not in SETTABLE:
            raise ConfigError(
                f"--set {key}: an export takes {', '.join(SETTABLE)}; all else was settled when it "
                "was made. Set it in the run, and export again."
            )
    if "length_penalty" not in _searched_by(config, overrides):
        return
    if record.format == "savedmodel":
        raise ConfigError(
            "--set decoding.length_penalty: a SavedModel has its own; set it in the run, and "
            "export again."
        )
    if config.decoding.length_penalty_kind != "power":
        raise ConfigError(
            "--set decoding.length_penalty: CTranslate2 divides by length^alpha, and this model "
            "was exported with another kind; export it with decoding.length_penalty_kind=power."
        )


def _searched_by(config: Config, overrides: Sequence[str]) -> dict[str, Any]:
    """What overrides tell the search of an export."""
    return {
        key: getattr(config.decoding, key)
        for key in SEARCHED_BY
        if any(text.startswith(f"decoding.{key}=") for text in overrides)
    }


def export_of(run: RunDirectory) -> Path:
    """The export for CTranslate2 in a run. Raises RunError unless there is one, of its weights."""
    if run.is_bundle:
        raise RunError(
            "A bundle holds no export for CTranslate2; export it to a folder by --output, and name "
            "that."
        )
    found = run.exports("ctranslate2")
    if not found:
        raise RunError(
            f"{run.path} has no export for CTranslate2; `translator export {run.path}` makes one."
        )
    if len(found) > 1:
        names = " or ".join(map(str, found))
        raise RunError(f"{run.path} has several exports; name {names} in place of the run.")
    made_of = load_manifest(found[0]).weights_sha256
    # Exports made by early versions name the digest of the file instead.
    if made_of not in (arrays_digest(load_arrays(run.shipped)[0]), sha256(run.shipped)):
        raise RunError(
            f"{found[0]} was made of other weights than the run's best; `translator export "
            f"{run.path}` makes it anew."
        )
    return found[0]


def check_engine(path: Path, record: Manifest, engine: str | None) -> None:
    """Raise ConfigError if an export is for another engine than the one named, or is a program that
    nobody has asked to run."""
    if record.format == "savedmodel" and engine is None:
        raise ConfigError(
            f"{path}: a SavedModel is a program; if you trust those who made it, --engine "
            "savedmodel runs it."
        )
    if engine is not None and record.format != engine:
        what = "a bundle" if record.format == "bundle" else f"an export for {record.format}"
        raise ConfigError(f"--engine {engine}: {path} is {what}.")


def prove(path: Path, engine: str | None = None) -> Comparison:
    """Check the files of an export, and ask its engine for the golden sentences again.

    In float32 it must agree as when it was exported; quantized, the mean difference must be no
    more than twice what it was then, as other processors round otherwise. A SavedModel, which is a
    program, must be named as the engine. Raises RunError, ConfigError.
    """
    from translator.decoding.loaded_run import load_run
    from translator.export.bundle import OfRun
    from translator.export.golden import compare, load_golden

    folder = unpacked(path) if path.is_file() else path
    record = load_manifest(folder)
    asked: Scorer
    if record.format == "bundle":
        check_engine(path, record, engine)
        check_files(folder, record)
        run = load_run(RunDirectory.existing(folder), ["decoding.precision=float32"])
        asked = OfRun(run.engine())
    else:
        asked = load_export(folder, engine=engine).engine()
    found = compare(load_golden(folder / GOLDEN), asked)
    if record.quantization == "float32":
        good = found.is_exact
    else:
        good = found.mean <= 2 * record.golden.mean
    if not good:
        raise RunError(f"{path} is not what was exported: {found}; then, {record.golden}.")
    return found
