"""The proof that travels with an export: sentences, and what the model itself makes of them.

For each there is the model's greedy translation with the log-probability of every piece of it, end
included, computed in float32 from the weights. Whatever reads the export can be asked the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf
from pydantic import TypeAdapter

from translator.data.batches import pad
from translator.decoding.packing import LARGEST_LOGITS
from translator.decoding.translator import Translator
from translator.errors import RunError
from translator.export.manifest import TOLERANCE, Comparison
from translator.models.encoder_decoder import EncoderDecoder

NUM_SENTENCES = 64

LONGEST = 512
"""Pieces of a source, and of the part of a translation that is looked at."""


class Golden(NamedTuple):
    """A sentence, in pieces, and what the model says of it."""

    source: list[str]
    greedy: list[str]
    """The greedy translation, without its end…"""
    ended: bool
    """…or the beginning of one that had to end."""
    log_probs: list[float]
    """Of each of its pieces, and of its end, after those before."""


def golden_sentences(translator: Translator, sources: Sequence[Sequence[int]]) -> list[Golden]:
    """What a model makes of sources in ids."""
    tokenizer = translator.tokenizer
    greedy = [
        (ids[:LONGEST], ended and len(ids) <= LONGEST) for ids, ended in translator.greedy(sources)
    ]
    forced = log_probs(translator.model, sources, [ids for ids, _ in greedy])
    return [
        Golden(
            [tokenizer.source.piece(i) for i in source],
            [tokenizer.target.piece(i) for i in ids],
            ended,
            [round(float(p), 7) for p in row],
        )
        for source, (ids, ended), row in zip(sources, greedy, forced, strict=True)
    ]


def log_probs(
    model: EncoderDecoder, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> list[np.ndarray]:
    """Of each target's pieces and its end, after those before."""
    vocabulary_size, longest = model.output_table.shape[0], max(map(len, targets), default=0) + 1
    count = max(1, LARGEST_LOGITS // (longest * vocabulary_size))
    rows: list[np.ndarray] = []
    for start in range(0, len(sources), count):
        batch = pad(sources[start : start + count], targets[start : start + count])
        rows.extend(log_probs_of(model, batch.source, batch.target, batch.labels).numpy())
    return [row[: len(target) + 1] for row, target in zip(rows, targets, strict=True)]


def log_probs_of(
    model: EncoderDecoder, source: tf.Tensor, target: tf.Tensor, labels: tf.Tensor
) -> tf.Tensor:
    """Of labels [B, T], each after the target input [B, T] so far, for sources [B, S]: [B, T]."""
    of_all = tf.nn.log_softmax(model.logits(model(source, target)))
    return tf.gather(of_all, labels, batch_dims=2)


class Scorer(Protocol):
    """What is asked, in pieces, of whatever reads an export."""

    def forced(
        self, sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Log-probabilities of each target's pieces and its end."""

    def greedy(self, sources: Sequence[Sequence[str]]) -> list[list[str]]:
        """Greedy translations, without their ends."""


def compare(golden: Sequence[Golden], engine: Scorer) -> Comparison:
    """Ask an engine for the golden sentences."""
    sources = [one.source for one in golden]
    forced = engine.forced(sources, [one.greedy for one in golden])
    differences = np.abs(np.concatenate(forced) - np.concatenate([one.log_probs for one in golden]))
    greedy = [
        found if one.ended else found[: len(one.greedy)]
        for found, one in zip(engine.greedy(sources), golden, strict=True)
    ]
    others = [i for i, one in enumerate(golden) if greedy[i] != one.greedy]
    own = []
    if others:
        own = engine.forced([sources[i] for i in others], [greedy[i] for i in others])
    near_ties = []
    for i, theirs in zip(others, own, strict=True):
        place = _first_difference(greedy[i], golden[i].greedy)
        if abs(theirs[place] - forced[i][place]) <= 2 * TOLERANCE:
            near_ties.append(i)
    return Comparison(
        float(differences.max()),
        float(differences.mean()),
        len(golden) - len(others),
        near_ties,
        [i for i in others if i not in near_ties],
    )


def _first_difference(one: Sequence[str], other: Sequence[str]) -> int:
    """The place of the first piece, or end, that is not the same."""
    pairs = enumerate(zip_longest(one, other))
    return next(place for place, (piece, another) in pairs if piece != another)


def save_golden(path: Path, golden: Sequence[Golden]) -> None:
    path.write_text(
        json.dumps([one._asdict() for one in golden], ensure_ascii=False, indent=1) + "\n",
        encoding="utf-8",
    )


def load_golden(path: Path) -> list[Golden]:
    """Raises RunError if the file is missing or damaged."""
    try:
        found = TypeAdapter(list[Golden]).validate_json(path.read_bytes())
        if 0 < len(found) <= NUM_SENTENCES and all(map(_is_sound, found)):
            return found
    except (OSError, ValueError):
        pass
    raise RunError(f"{path}: the golden sentences are missing or damaged.")


def _is_sound(one: Golden) -> bool:
    """Whether it may be asked for: whoever wrote it must not make us run out of memory."""
    is_whole = len(one.log_probs) == len(one.greedy) + 1
    return is_whole and max(len(one.source), len(one.greedy)) <= LONGEST
