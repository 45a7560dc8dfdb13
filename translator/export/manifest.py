"""What an export says of itself, in its export.json: what it is, of which weights, and how good."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from translator.config.schema import LengthPenaltyKind
from translator.errors import RunError
from translator.files import sha256

RECORD, GOLDEN, EXAMPLE = "export.json", "golden.json", "example.py"

Format = Literal["ctranslate2", "savedmodel", "bundle"]
Quantization = Literal["float32", "float16", "int16", "int8"]

Formula = Literal["((5+length)/6)^alpha", "length^alpha"]
FORMULAS: dict[LengthPenaltyKind, Formula] = {
    "gnmt": "((5+length)/6)^alpha",
    "power": "length^alpha",
}
"""Of length penalties."""


TOLERANCE = 1e-4
"""Nats by which a log-probability in float32 may differ."""


@dataclass(frozen=True)
class Comparison:
    """How an export does on the golden sentences."""

    largest: float
    """Largest difference of a log-probability, in nats."""
    mean: float
    """Mean difference."""
    same: int
    """Greedy translations that are the same."""
    near_ties: list[int]
    """Those, by their place in the file from 0, that part for a piece as likely as the model's, by
    twice the tolerance."""
    different: list[int]
    """All others."""

    @property
    def is_exact(self) -> bool:
        """Whether it is the same model, in float32."""
        return self.largest <= TOLERANCE and not self.different

    def __str__(self) -> str:
        total = self.same + len(self.near_ties) + len(self.different)
        return (
            f"log-probabilities differ by {self.largest:.1e} at most ({self.mean:.1e} in the mean) "
            f"on {total} golden sentences; {self.same} greedy translations are the same, "
            f"{len(self.near_ties)} part at a near-tie, {len(self.different)} are different"
        )


class Validation(BaseModel):
    """How the validation split is translated by the export, and by the run itself."""

    model_config = ConfigDict(extra="forbid", strict=True)

    bleu: float
    run_bleu: float
    signature: str
    same: float
    """Share of the translations that are the same."""


class Options(BaseModel):
    """What CTranslate2's translate_batch is told."""

    model_config = ConfigDict(extra="forbid", strict=True)

    beam_size: Annotated[int, Field(ge=1, le=1000)]
    length_penalty: Annotated[float, Field(ge=0, le=10)]
    max_input_length: Literal[0]
    max_decoding_length: Annotated[int, Field(ge=1, lt=2**31)]
    min_decoding_length: Literal[0]
    no_repeat_ngram_size: Annotated[int, Field(ge=0, le=100)] = 0
    disable_unk: bool
    suppress_sequences: list[list[str]]


class Search(BaseModel):
    """How an export with our own search translates."""

    model_config = ConfigDict(extra="forbid", strict=True)

    beam_size: int
    length_penalty: float
    no_repeat_ngram: int = 0


class Manifest(BaseModel):
    """All of it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Format
    quantization: Quantization
    version: str
    """Of translator."""
    weights_sha256: str
    """Of the file with the run's weights."""
    max_length: Annotated[int, Field(ge=1)]
    """Source pieces that are read."""
    penalty: Formula
    """What the log-probability of a translation is divided by, alpha being the length_penalty of
    the options."""
    options: Options | Search
    compute_type: str
    """What the engine computed in, when the following was found."""
    golden: Comparison
    validation: Validation
    files: dict[str, str]
    """SHA-256 of every other file."""
    sha256: str = ""
    """Of all the above."""


def save_manifest(folder: Path, record: Manifest) -> None:
    values = record.model_dump(mode="json")
    text = json.dumps(values | {"sha256": _digest(values)}, indent=2, ensure_ascii=False)
    (folder / RECORD).write_text(f"{text}\n", encoding="utf-8")


def _digest(values: dict[str, Any]) -> str:
    """Of what a record says beside its own checksum."""
    rest = {key: value for key, value in values.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def load_manifest(folder: Path) -> Manifest:
    """Raises RunError if it is missing or damaged."""
    path = folder / RECORD
    if not path.exists():
        raise RunError(f"{folder}: this is no export; `translator export` makes one of a run.")
    try:
        text = path.read_bytes()
        record = Manifest.model_validate_json(text)
        if record.sha256 == _digest(json.loads(text)):
            return record
    except (OSError, ValueError):
        pass
    raise RunError(
        f"{path} is damaged, was changed, or is of another version; export the run again."
    )


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of an export, but its record."""
    files = sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {
        name: sha256(path) if path.is_file() else ""
        for name, path in names.items()
        if name != RECORD
    }


def check_files(folder: Path, record: Manifest) -> None:
    """Raise RunError unless the files are those that were exported, in folders that were: an empty
    one beside a model may be taken for its next version."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not any(name.startswith(f"{path.name}/") for name in record.files):
            raise RunError(f"{path} was not exported; take it away.")
    found = digests(folder)
    for name in sorted(found.keys() | record.files.keys()):
        if name not in record.files:
            raise RunError(f"{folder / name} was not exported; take it away.")
        if found.get(name) != record.files[name]:
            what = "is missing" if name not in found else "is not the one that was exported"
            raise RunError(f"{folder / name} {what}; export the run again.")
