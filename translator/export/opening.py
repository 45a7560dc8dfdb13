"""An export, opened again: to translate with, and to be proved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from translator.bundle import unpacked
from translator.config import load_config
from translator.config.loading import override
from translator.data.tokenizer import Tokenizer
from translator.errors import ConfigError, RunError
from translator.export import need_ctranslate2
from translator.export.record import GOLDEN, Comparison, Record, check_files, load_record
from translator.files import sha256
from translator.runs import EXPORT_CONFIG, RunDirectory

if TYPE_CHECKING:
    from translator.export.ctranslate2 import CTranslate2
    from translator.export.golden import Asked
    from translator.export.savedmodel import SavedModel

SEARCHED_BY = ("beam_size", "length_penalty")
"""Keys of decoding that CTranslate2 can be told anew, and a SavedModel only the first of them."""

SETTABLE = tuple(f"decoding.{key}" for key in (*SEARCHED_BY, "tokens_per_batch"))
"""Keys that an export takes."""


def open_export(folder: Path, overrides: Sequence[str] = ()) -> CTranslate2 | SavedModel:
    """What translates with an export. Raises RunError unless its files are those that were
    exported, ConfigError for an override that it cannot take."""
    record = load_record(folder)
    check_files(folder, record)
    config = override(load_config(folder / EXPORT_CONFIG), overrides)
    for text in overrides:
        key = text.partition("=")[0]
        if key not in SETTABLE:
            raise ConfigError(
                f"--set {key}: an export takes {', '.join(SETTABLE)}; all else was settled when it "
                "was made. Set it in the run, and export again."
            )
    told = {
        key: getattr(config.decoding, key)
        for key in SEARCHED_BY
        if any(text.startswith(f"decoding.{key}=") for text in overrides)
    }
    tokenizer = Tokenizer.load(RunDirectory(folder).tokenizer(config.tokenizer.joint))
    if record.format == "savedmodel":
        from translator.export.savedmodel import SavedModel

        if "length_penalty" in told:
            raise ConfigError(
                "--set decoding.length_penalty: a SavedModel has its own; set it in the run, and "
                "export again."
            )
        return SavedModel(folder, tokenizer, config, record.options.beam_size)
    need_ctranslate2()
    from translator.export.ctranslate2 import CTranslate2

    if "length_penalty" in told and config.decoding.length_penalty_kind != "power":
        raise ConfigError(
            "--set decoding.length_penalty: CTranslate2 divides by length^alpha, and this model "
            "was exported with another kind; export it with decoding.length_penalty_kind=power."
        )
    options = record.options.model_dump() | told
    size = config.decoding.tokens_per_batch
    try:
        return CTranslate2(folder, tokenizer, options, record.max_length, size)
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"{folder}: CTranslate2 cannot load this export: {error}; export the run again."
        ) from None


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
    if load_record(found[0]).weights_sha256 != sha256(run.shipped):
        raise RunError(
            f"{found[0]} was made of other weights than the run's best; `translator export "
            f"{run.path}` makes it anew."
        )
    return found[0]


def check_engine(path: Path, record: Record, engine: str | None) -> None:
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


def verify(path: Path, engine: str | None = None) -> Comparison:
    """Check the files of an export, and ask its engine for the golden sentences again.

    In float32 it must agree as when it was exported; quantized, the mean difference must be no
    more than twice what it was then, as other processors round otherwise. A SavedModel, which is a
    program, must be named as the engine. Raises RunError, ConfigError.
    """
    from translator.decoding.translator import Translator
    from translator.export.bundle import OfRun
    from translator.export.golden import compare, load_golden

    folder = unpacked(path) if path.is_file() else path
    record = load_record(folder)
    check_engine(path, record, engine)
    if record.format == "bundle":
        check_files(folder, record)
        asked: Asked = OfRun(Translator.load(folder, ["decoding.precision=float32"]))
    else:
        asked = open_export(folder)
    found = compare(load_golden(folder / GOLDEN), asked)
    if record.quantization == "float32":
        good = found.is_exact
    else:
        good = found.mean <= 2 * record.golden.mean
    if not good:
        raise RunError(f"{path} is not what was exported: {found}; then, {record.golden}.")
    return found
