"""The manifest of an export, export.json: its format, weights, checks and files."""

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

MANIFEST, GOLDEN, EXAMPLE = "export.json", "golden.json", "example.py"

Format = Literal["ctranslate2", "savedmodel", "bundle"]
Quantization = Literal["float32", "float16", "int16", "int8"]

Formula = Literal["((5+length)/6)^alpha", "length^alpha"]
FORMULAS: dict[LengthPenaltyKind, Formula] = {
    "gnmt": "((5+length)/6)^alpha",
    "power": "length^alpha",
}
"""What each kind of length penalty divides the log-probability of a translation by."""

TOLERANCE = 1e-4
"""Largest difference allowed for a log-probability in float32, in nats."""


@dataclass(frozen=True)
class Comparison:
    """How the results of an export differ from the golden sentences."""

    largest: float
    """Largest difference of a log-probability, in nats."""
    mean: float
    """Mean difference, in nats."""
    same: int
    """Number of greedy translations that are the same."""
    near_ties: list[int]
    """Indices of sentences whose first differing piece is a tie within 2 × TOLERANCE."""
    different: list[int]
    """Indices of sentences that differ otherwise."""

    @property
    def is_exact(self) -> bool:
        """Whether this is the same model within the tolerance of float32."""
        return self.largest <= TOLERANCE and not self.different

    def __str__(self) -> str:
        total = self.same + len(self.near_ties) + len(self.different)
        return (
            f"log-probabilities differ by at most {self.largest:.1e} (mean {self.mean:.1e}) on "
            f"{total} golden sentences; {self.same} greedy translations are the same, "
            f"{len(self.near_ties)} differ after a near-tie, {len(self.different)} are different"
        )


class Validation(BaseModel):
    """How well the export and the run itself translate the validation split."""

    model_config = ConfigDict(extra="forbid", strict=True)

    bleu: float
    run_bleu: float
    signature: str
    same: float
    """Share of translations that are identical."""


class Options(BaseModel):
    """Arguments of CTranslate2's translate_batch."""

    model_config = ConfigDict(extra="forbid", strict=True)

    beam_size: Annotated[int, Field(ge=1, le=1000)]
    length_penalty: Annotated[float, Field(ge=0, le=10)]
    max_input_length: Literal[0]
    max_decoding_length: Annotated[int, Field(ge=1, lt=2**31)]
    min_decoding_length: Annotated[int, Field(ge=0, lt=2**31)]
    no_repeat_ngram_size: Annotated[int, Field(ge=0, le=100)] = 0
    disable_unk: bool
    suppress_sequences: list[list[str]]


class Search(BaseModel):
    """Settings of an export that contains our own search."""

    model_config = ConfigDict(extra="forbid", strict=True)

    beam_size: int
    length_penalty: float
    no_repeat_ngram: int = 0
    min_length: int = 0


class Manifest(BaseModel):
    """The contents of export.json."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Format
    quantization: Quantization
    version: str
    """Version of translator."""
    weights_sha256: str
    """Digest of the run's weights; early versions stored that of their file."""
    max_length: Annotated[int, Field(ge=1)]
    """Source pieces that are read."""
    penalty: Formula
    """What divides the log-probability of a translation. alpha is `options.length_penalty`."""
    options: Options | Search
    compute_type: str
    """Type in which the engine computed the results below."""
    golden: Comparison
    validation: Validation
    files: dict[str, str]
    """SHA-256 of every other file."""
    sha256: str = ""
    """Digest of all values above."""


def save_manifest(folder: Path, manifest: Manifest) -> None:
    values = manifest.model_dump(mode="json")
    text = json.dumps(values | {"sha256": _digest(values)}, indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")


def _digest(values: dict[str, Any]) -> str:
    """SHA-256 of the values of a manifest, apart from `sha256` itself."""
    rest = {key: value for key, value in values.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def load_manifest(folder: Path) -> Manifest:
    """The manifest of an export. Raises RunError if it is missing or damaged."""
    path = folder / MANIFEST
    if not path.exists():
        raise RunError(
            f"{folder}: this is not an export. `translator export` makes one from a run."
        )
    try:
        text = path.read_bytes()
        manifest = Manifest.model_validate_json(text)
        if manifest.sha256 == _digest(json.loads(text)):
            return manifest
    except (OSError, ValueError):
        pass
    raise RunError(
        f"{path} is damaged, was changed, or is from another version. Export the run again."
    )


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of an export, except its manifest."""
    files = sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {
        name: sha256(path) if path.is_file() else ""
        for name, path in names.items()
        if name != MANIFEST
    }


def check_files(folder: Path, manifest: Manifest) -> None:
    """Raise RunError unless the files are exactly those that were exported.

    An added folder is refused even if it is empty: TensorFlow Serving may take it for a newer
    version of the model.
    """
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not any(name.startswith(f"{path.name}/") for name in manifest.files):
            raise RunError(f"{path} is not part of the export. Remove it.")
    present = digests(folder)
    for name in sorted(present.keys() | manifest.files.keys()):
        if name not in manifest.files:
            raise RunError(f"{folder / name} is not part of the export. Remove it.")
        if present.get(name) != manifest.files[name]:
            what = "has changed since it was exported" if name in present else "is missing"
            raise RunError(f"{folder / name} {what}. Export the run again.")
