"""`translator export` and `translator verify`: a model for other programs, and the proof of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from translator.errors import ConfigError, RunError
from translator.runs import RunDirectory

if TYPE_CHECKING:
    from translator.export.golden import Comparison
    from translator.export.record import Quantization, Record


def export(
    run_path: str | Path,
    quantization: Quantization = "float32",
    output: str | Path | None = None,
    max_loss: float = 0.5,
) -> Path:
    """Write a run's best model for CTranslate2, with tokenizer, golden sentences and an example.

    It is compared with the run: in float32 the log-probabilities and greedy translations of the
    golden sentences must be the same, otherwise BLEU on the validation split must not be lower by
    more than max_loss. It goes to exports/ in the run unless told otherwise, in place of an earlier
    one. Returns its folder. Raises UserError.
    """
    need_ctranslate2()
    from translator.export.making import make_export
    from translator.export.record import save_record

    run = RunDirectory.existing(Path(run_path))
    folder = Path(output or run.export(f"ctranslate2-{quantization}"))
    _check_place(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder.parent) as place:
        unfinished = Path(place, "export")
        unfinished.mkdir()
        record = make_export(unfinished, run, quantization)
        _judge(record, max_loss)
        save_record(unfinished, record)
        _check_place(folder)
        if folder.exists():
            folder.replace(Path(place, "before"))
        unfinished.replace(folder)
    print(f"Exported to {folder}; {folder / 'example.py'} translates lines with it.")
    return folder


def _check_place(folder: Path) -> None:
    """Raise ConfigError unless nothing is there, or an export with nothing else beside it."""
    from translator.export.record import digests, load_record

    if not folder.exists():
        return
    try:
        known = load_record(folder).files.keys()
    except RunError:
        raise ConfigError(
            f"{folder} is there and is no export; name another place by --output."
        ) from None
    if others := sorted(digests(folder).keys() - known):
        raise ConfigError(
            f"{folder / others[0]} is not part of the export there; take it away, or name another "
            "place by --output."
        )


def _judge(record: Record, max_loss: float) -> None:
    """Tell how an export does; RunError if it is not good enough."""
    golden, validation = record.golden, record.validation
    print(f"Compared with the run, computing in {record.compute_type}: {golden}.")
    print(
        f"Validation BLEU {validation.bleu:.2f}, and {validation.run_bleu:.2f} by the run itself; "
        f"{validation.same:.1%} of the translations are the same.  {validation.signature}"
    )
    if record.quantization == "float32" and not golden.is_exact:
        raise RunError("The export is not the same model as the run; nothing was written.")
    if (loss := validation.run_bleu - validation.bleu) > max_loss:
        raise RunError(
            f"The export loses {loss:.2f} BLEU, more than {max_loss:g}; nothing was written. "
            "Choose a finer --quantization, or allow more by --max-loss."
        )


def verify(path: str | Path) -> Comparison:
    """Prove an export again: its files, and what it makes of its golden sentences.

    Raises UserError if it is not what was exported.
    """
    need_ctranslate2()
    from translator.export.opening import verify

    found = verify(Path(path))
    print(f"{path} is what was exported: {found}.")
    return found


def need_ctranslate2() -> None:
    try:
        import ctranslate2  # noqa: F401
    except ImportError:
        raise ConfigError(
            "CTranslate2 is not installed; install the extra [ctranslate2] (pip install "
            "'.[ctranslate2]' in the checkout)."
        ) from None
