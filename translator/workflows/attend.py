"""`attend`: which pieces a model looks at while it translates a sentence.

N heads, T queries (positions that look), S keys (positions that are looked at).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from translator.config.schema import ModelConfig
from translator.corpora.lines import is_blank, one_line
from translator.data.tokenizer import BEGIN_ID, END_ID, Vocabulary
from translator.decoding.loaded_run import LoadedRun, load_run
from translator.errors import ConfigError, DataError, RunError
from translator.runs import RunDirectory
from translator.workflows.logs import ensure_handler

if TYPE_CHECKING:
    from translator.decoding.translator import Translator
    from translator.models.seq2seq import AttentionMap, Part

log = logging.getLogger(__name__)


class Line(NamedTuple):
    """One side of a translation."""

    text: str
    pieces: list[str]
    """As in the vocabulary, with ▁ for a space, and with the end; at most `max_pieces`."""
    controls: list[int]
    """Indices of pieces that come from no text: the end, and a tag."""
    num_pieces: int
    """All pieces, also those beyond `max_pieces` and data.max_length."""


class Layer(NamedTuple):
    """The heads of one attention."""

    part: Part
    """encoder: source pieces look at the source. cross: target pieces look at the source. decoder:
    target pieces look at the begin and at the target pieces before them."""
    layer: int
    """Number of layers below."""
    weights: np.ndarray
    """[N, T, S] float32. Query t of a target looks for piece t. Key s of the decoder is piece
    s - 1, since the begin comes first."""
    entropy: np.ndarray
    """[N]: how widely each head looks, in bits, as a mean over the queries. 0: at one key.
    log2(num_keys): at all alike."""
    num_keys: int
    """S without the limit of `max_pieces`."""


class AttendedSentence(NamedTuple):
    """A sentence, its translation, and the attention of every layer that has one."""

    source: Line
    target: Line
    layers: list[Layer]


@dataclass(frozen=True)
class Attended:
    """What `attend` returns."""

    run: str
    languages: tuple[str, str]
    mixers: Mapping[Part, str]
    """What each part has: attention, recurrence or convolution."""
    is_decoder_only: bool
    """Then cross and decoder are one attention, and their weights add up to one together."""
    is_forced: bool
    """Whether the target was given."""
    sentences: list[AttendedSentence]


def attend(
    run: str | Path,
    sentences: Sequence[str],
    target: str | None = None,
    overrides: Sequence[str] = (),
    max_pieces: int | None = None,
) -> Attended:
    """Translate sentences, and compute what each piece of them looks at.

    run: a run or a bundle, not an export.
    target: use this translation of a single sentence instead of the model's own.
    overrides: as in `open_run`.
    max_pieces: return pieces and weights only for the first so many positions of each side. The
    weights stay those of the whole sentence.

    Raises DataError for an empty sentence; ConfigError for a target of several sentences; RunError
    if the run is missing, is an export, or has no attention.
    """
    ensure_handler()
    if isinstance(sentences, str):
        raise TypeError("attend takes a list of sentences; put the one you have in brackets")
    _check_text(sentences, target)
    opened = load_run(RunDirectory.existing(Path(run)), overrides)
    engine = opened.engine(frozen=False)
    sources = _read_sources(engine, sentences)
    if target is None:
        targets = _translate(engine, sources)
    else:
        targets = [engine.tokenizer.target.encode([target])[0]]
    return Attended(
        run=str(run),
        languages=(opened.config.data.source_language, opened.config.data.target_language),
        mixers=_mixers(opened.config.model),
        is_decoder_only=opened.config.model.kind == "decoder_only",
        is_forced=target is not None,
        sentences=[
            _attend_one(opened, engine, *one, max_pieces)
            for one in zip(sentences, sources, targets, strict=True)
        ],
    )


def _check_text(sentences: Sequence[str], target: str | None) -> None:
    if not sentences:
        raise DataError("There is no sentence to translate.")
    if target is not None and len(sentences) > 1:
        raise ConfigError(
            f"--target is the translation of one sentence, but there are {len(sentences)}."
        )
    for number, sentence in enumerate(sentences, start=1):
        name = f"Sentence {number}" if len(sentences) > 1 else "The sentence"
        _check_line(name, sentence)
    if target is not None:
        _check_line("The target", target)


def _check_line(name: str, text: str) -> None:
    if is_blank(text):
        raise DataError(f"{name} is empty, so nothing looks at it.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError(f"{name} is not UTF-8 text.") from None


def _mixers(model: ModelConfig) -> dict[Part, str]:
    return {"encoder": model.encoder, "decoder": model.decoder, "cross": "attention"}


def _read_sources(engine: Translator, sentences: Sequence[str]) -> list[list[int]]:
    """The ids of sentences, all of them. Raises DataError where there are none."""
    rows = engine.tokenizer.source.encode_visible(sentences)
    for number, row in enumerate(rows, start=1):
        if not row:
            raise DataError(f"Sentence {number} has only a tag. Write a text behind it.")
        if (num_unread := len(row) - engine.max_length) > 0:
            log.warning(
                f"Sentence {number} is too long. Its last {num_unread} pieces (beyond "
                "data.max_length) were not read."
            )
    return rows


def _translate(engine: Translator, sources: Sequence[Sequence[int]]) -> list[list[int]]:
    """The best translation of each source, as ids without ends."""
    numbered = {i: row[: engine.max_length] for i, row in enumerate(sources)}
    best = {one.number: one for one in engine.search.find(numbered, 1)}
    if not all(math.isfinite(one.scores[0]) for one in best.values()):
        raise RunError("The model gives no finite scores: its weights are damaged.")
    return [best[i].ids[0] for i in range(len(sources))]


def _attend_one(
    opened: LoadedRun,
    engine: Translator,
    sentence: str,
    source: list[int],
    target: list[int],
    max_pieces: int | None,
) -> AttendedSentence:
    """Force the target, piece by piece, and keep what it looked at."""
    import tensorflow as tf

    read = [*source[: engine.max_length], END_ID]
    # No position depends on later ones, so the first are the same without the others.
    forced = [BEGIN_ID, *target][:max_pieces]
    maps = engine.model.attention_maps(tf.constant([read]), tf.constant([forced]))
    if not maps:
        raise RunError(f"{opened.directory.path}: this model has no attention to look at.")
    [text] = engine.tokenizer.target.decode([target])
    return AttendedSentence(
        _line(engine.tokenizer.source, one_line(sentence), source, len(read), max_pieces),
        _line(engine.tokenizer.target, one_line(text), target, len(target) + 1, max_pieces),
        [_layer(one, max_pieces) for one in maps],
    )


def _line(
    vocabulary: Vocabulary, text: str, ids: list[int], num_read: int, max_pieces: int | None
) -> Line:
    """num_read: of the pieces and the end, how many the model has read or written."""
    shown = [*ids[: num_read - 1], END_ID][:max_pieces]
    controls = [i for i, id_ in enumerate(shown) if vocabulary.is_control(id_)]
    return Line(text, [vocabulary.piece(id_) for id_ in shown], controls, len(ids) + 1)


def _layer(one: AttentionMap, max_pieces: int | None) -> Layer:
    """The attention in a batch of one."""
    weights: np.ndarray = one.weights[0].numpy()
    shown = weights[:, :max_pieces, :max_pieces]
    return Layer(one.part, one.layer, shown, head_entropy(weights), weights.shape[2])


def head_entropy(weights: np.ndarray) -> np.ndarray:
    """[N, T, S] → [N]: mean entropy of the queries, in bits.

    The weights of each query are first divided by their sum, which is less than one if the query
    also looks elsewhere (decoder-only models).
    """
    shares = weights / np.maximum(weights.sum(axis=2, keepdims=True), np.finfo(np.float32).tiny)
    logs = np.log2(np.where(shares > 0, shares, 1.0))
    return -(shares * logs).sum(axis=2).mean(axis=1)
