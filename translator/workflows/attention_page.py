"""The page of `attend`: one HTML file that shows attention and needs nothing else.

The files in page/ are written into one. Text of the user is only in a block of JSON, which the
script shows as text.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from translator.corpora.lines import read_nonempty
from translator.errors import ConfigError
from translator.files import check_name, write_whole
from translator.workflows.attend import Attended, AttendedSentence, Layer, Line

log = logging.getLogger(__name__)

MAX_PIECES = 60
"""Pieces that are drawn of each side: more would not fit a screen. Six layers of eight heads then
take 0.7 MB."""
MAX_SENTENCES = 30
"""Sentences of a page."""

SCRIPTS = ("weights", "colours", "words", "heads", "matrix", "page")


def read_sentences(sentence: str | None, source: Path | None) -> list[str]:
    """The given sentence, or the first sentences of a file.

    Raises ConfigError unless just one of both is given; DataError if the file cannot be read.
    """
    if (sentence is None) == (source is None):
        raise ConfigError("Name either a sentence, or a file of sentences with --input.")
    if source is None:
        return [str(sentence)]
    sentences = list(islice(read_nonempty(source), MAX_SENTENCES + 1))
    if len(sentences) > MAX_SENTENCES:
        log.warning(f"{source} has more than {MAX_SENTENCES} sentences. The others are left out.")
    return sentences[:MAX_SENTENCES]


def check_page(path: Path, source: Path | None) -> None:
    """Raise ConfigError unless a page can be written here; source: the file that is read."""
    check_name(path, ConfigError)
    if path.is_dir():
        raise ConfigError(f"{path}: this is a folder. Name a file, such as {path / 'page.html'}.")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}; make it first.")
    if source is not None and path.exists() and path.samefile(source):
        raise ConfigError(f"{path}: the page would overwrite the input. Name another file.")


def write_page(path: str | Path, attended: Attended) -> None:
    """Write the page into one file. Raises OSError."""
    write_whole(Path(path), attention_page(attended))
    log.info(f"Written to {path}. Open it in a browser.")


def attention_page(attended: Attended) -> str:
    """The page as HTML."""
    folder = files("translator.workflows") / "page"
    read = {name: (folder / name).read_text(encoding="utf-8") for name in _file_names()}
    parts = {
        "style": read["page.css"],
        "script": "\n".join(read[f"{name}.js"] for name in SCRIPTS),
        "data": _json(attended),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], read["page.html"])


def _file_names() -> list[str]:
    return ["page.html", "page.css", *(f"{name}.js" for name in SCRIPTS)]


def _json(attended: Attended) -> str:
    """The data of the page. No character of it can end the script element that holds it."""
    value = {
        "run": attended.run,
        "languages": attended.languages,
        "mixers": dict(attended.mixers),
        "isDecoderOnly": attended.is_decoder_only,
        "isForced": attended.is_forced,
        "sentences": [_sentence(one) for one in attended.sentences],
    }
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _sentence(one: AttendedSentence) -> dict[str, Any]:
    return {
        "source": _line(one.source),
        "target": _line(one.target),
        "layers": [_layer(layer) for layer in one.layers],
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "text": line.text,
        "pieces": line.pieces,
        "controls": line.controls,
        "numPieces": line.num_pieces,
    }


def _layer(one: Layer) -> dict[str, Any]:
    """Weights in steps of 1/255: heads, then queries, then keys."""
    quantized = np.rint(one.weights * 255).astype(np.uint8)
    return {
        "part": one.part,
        "layer": one.layer,
        "shape": one.weights.shape,
        "weights": base64.b64encode(quantized.tobytes()).decode(),
        "numKeys": one.num_keys,
        "entropy": [round(float(value), 3) for value in one.entropy],
    }
