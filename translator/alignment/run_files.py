"""alignment.json and lexicon.tsv of a run: where attention is read, and a lexicon."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ValidationError

from translator.alignment.lexicon import Lexicon
from translator.errors import RunError
from translator.files import write_whole
from translator.runs import RunDirectory

At = Literal["output", "input"]


class Reading(BaseModel, frozen=True, extra="forbid"):
    """Where in a model the attention is read."""

    layer: int
    """Number of layers of the decoder below."""
    heads: list[int]
    """Their weights are averaged."""
    at: At
    """output: where a piece is predicted. input: one position later, where it is the decoder's
    input (Chen et al. 2020, "Accurate Word Alignment Induction from Neural Machine
    Translation")."""


class _Record(BaseModel):
    """The content of alignment.json."""

    weights_sha256: str
    """The weights that the reading was chosen for."""
    reading: Reading
    agreement: float
    """Of this reading with the lexicon, on validation text, from 0 to 1."""


def load_reading(run: RunDirectory, weights_sha256: str) -> Reading | None:
    """The reading for these weights; None if there is none. Raises RunError."""
    if not run.alignment.exists():
        return None
    try:
        record = _Record.model_validate_json(run.alignment.read_bytes())
    except (OSError, ValidationError):
        raise _damaged(run.alignment.name, run) from None
    return record.reading if record.weights_sha256 == weights_sha256 else None


def save_reading(
    run: RunDirectory, weights_sha256: str, reading: Reading, agreement: float
) -> None:
    record = _Record(weights_sha256=weights_sha256, reading=reading, agreement=agreement)
    write_whole(run.alignment, json.dumps(record.model_dump(), indent=2) + "\n")


def load_lexicon(run: RunDirectory) -> Lexicon | None:
    """The lexicon; None if the run has none. Raises RunError."""
    if not run.lexicon.exists():
        return None
    try:
        return Lexicon.of_text(run.lexicon.read_bytes().decode())
    except (OSError, ValueError):
        raise _damaged(run.lexicon.name, run) from None


def save_lexicon(run: RunDirectory, lexicon: Lexicon) -> None:
    write_whole(run.lexicon, lexicon.to_text())


def _damaged(name: str, run: RunDirectory) -> RunError:
    return RunError(
        f"{run.path / name}: this file is damaged. Delete it, and `translator translate "
        "--alignments` makes it again."
    )
