"""`translator export` and `translator verify`: a model for other programs, and the proof of it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from translator.bundle_archive import pack, unpacked
from translator.errors import ConfigError, RunError
from translator.export import need_ctranslate2
from translator.files import check_name
from translator.runs import RunDirectory

if TYPE_CHECKING:
    from translator.export.manifest import Comparison, Format, Manifest, Quantization


def export(
    run_path: str | Path,
    format: Format = "ctranslate2",
    quantization: Quantization = "float32",
    output: str | Path | None = None,
    max_loss: float = 0.5,
    overrides: Sequence[str] = (),
    notes: str = "",
) -> Path:
    """Write a run's best model for another program, or as one file, with the proof that it is the
    same: in float32 the log-probabilities and greedy translations of the golden sentences must be,
    otherwise BLEU on the validation split must not be lower by more than max_loss.

    It goes to exports/ in the run unless told otherwise, in place of an earlier one. Returns where
    it is. Raises UserError.
    """
    if format == "ctranslate2":
        need_ctranslate2()
    elif quantization != "float32":
        raise ConfigError(f"--quantization {quantization}: only CTranslate2 has it.")
    if notes and format != "bundle":
        raise ConfigError("--notes: only a bundle has a card for them.")
    from translator.decoding.loaded_run import load_run
    from translator.export.build import build_export
    from translator.export.manifest import save_manifest

    directory = RunDirectory.existing(Path(run_path))
    if directory.is_bundle and output is None:
        raise ConfigError(f"{run_path} is one file; say where the export goes by --output.")
    directory.need_text(overrides)
    place = Path(output or directory.export(_name(format, quantization)))
    check_name(place, ConfigError)
    _check_place(place, format)
    run = load_run(directory, overrides)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=place.parent) as beside:
        unfinished = Path(beside, "export")
        unfinished.mkdir()
        record = build_export(unfinished, run, format, quantization, notes)
        _judge(record, max_loss)
        save_manifest(unfinished, record)
        if format == "bundle":
            packed = Path(beside, "bundle")
            pack(unfinished, packed)
            unfinished = packed
        _check_place(place, format)
        if place.is_dir():
            place.replace(Path(beside, "before"))
        unfinished.replace(place)
    if format == "bundle":
        print(f"Exported to {place}, which the commands take in place of a run.")
    else:
        print(f"Exported to {place}; {place / 'example.py'} translates lines with it.")
    return place


def _name(format: Format, quantization: Quantization) -> str:
    return {
        "ctranslate2": f"ctranslate2-{quantization}",
        "savedmodel": "savedmodel",
        "bundle": "model.bundle",
    }[format]


def _check_place(place: Path, format: Format) -> None:
    """Raise ConfigError unless nothing is there, or an export as this one, a file or a folder with
    nothing else in it."""
    from translator.export.manifest import digests, load_manifest

    if not place.exists():
        return
    try:
        known = load_manifest(unpacked(place) if place.is_file() else place).files.keys()
    except RunError:
        raise ConfigError(
            f"{place} is there and is no export; name another place by --output."
        ) from None
    if place.is_file() != (format == "bundle"):
        what = "file" if place.is_file() else "folder"
        raise ConfigError(f"{place} is a {what}; name another place by --output.")
    if place.is_dir() and (others := sorted(digests(place).keys() - known)):
        raise ConfigError(
            f"{place / others[0]} is not part of the export there; take it away, or name another "
            "place by --output."
        )


def _judge(record: Manifest, max_loss: float) -> None:
    """Tell how an export does; RunError if it is not good enough."""
    golden, validation, search = record.golden, record.validation, record.options
    penalty = record.penalty.replace("alpha", f"{search.length_penalty:g}")
    print(f"It searches with beam {search.beam_size}, log-probabilities over {penalty}.")
    print(f"Compared with the run, computing in {record.compute_type}: {golden}.")
    print(
        f"Validation BLEU {validation.bleu:.2f}, and {validation.run_bleu:.2f} by the run itself; "
        f"{validation.same:.1%} of the translations are the same.  {validation.signature}"
    )
    if record.quantization == "float32" and not golden.is_exact:
        raise RunError("The export is not the same model as the run; nothing was written.")
    loss = validation.run_bleu - validation.bleu
    if not loss <= max_loss:
        finer = "" if record.quantization == "float32" else "choose a finer --quantization, or "
        raise RunError(
            f"The export loses {loss:.2f} BLEU, more than {max_loss:g}; nothing was written. You "
            f"may {finer}allow more by --max-loss."
        )


def verify(path: str | Path, engine: str | None = None) -> Comparison:
    """Prove an export again: its files, and what it makes of its golden sentences.

    A SavedModel, which is a program, must be named by its engine, "savedmodel". Raises UserError if
    it is not what was exported.
    """
    from translator.export.load import verify

    found = verify(Path(path), engine)
    print(f"{path} is what was exported: {found}.")
    return found
