"""Golden sentences: the run's own results, stored in an export to check other engines against.

Each has the greedy translation by the run and the log-probability of every piece of it, end
included. Both are computed in float32.

B sentences, S source length, T target length.
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
from translator.models.seq2seq import Seq2SeqModel

NUM_SENTENCES = 64

LONGEST = 512
"""Maximal pieces of a source. Of a longer translation, only so many pieces are compared."""


class Golden(NamedTuple):
    """A sentence in pieces, with the results of the run."""

    source: list[str]
    greedy: list[str]
    """The greedy translation without its end."""
    ended: bool
    """False if a length limit cut the translation."""
    log_probs: list[float]
    """Log-probability of each piece of `greedy`, and of the end, given those before."""


def golden_sentences(translator: Translator, sources: Sequence[Sequence[int]]) -> list[Golden]:
    """Golden sentences for sources in ids."""
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
    model: Seq2SeqModel, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> list[np.ndarray]:
    """Log-probabilities of each target's pieces and its end, each given the pieces before it."""
    vocabulary_size, longest = model.output_table.shape[0], max(map(len, targets), default=0) + 1
    count = max(1, LARGEST_LOGITS // (longest * vocabulary_size))
    rows: list[np.ndarray] = []
    for start in range(0, len(sources), count):
        batch = pad(sources[start : start + count], targets[start : start + count])
        rows.extend(log_probs_of(model, batch.source, batch.target, batch.labels).numpy())
    return [row[: len(target) + 1] for row, target in zip(rows, targets, strict=True)]


def log_probs_of(
    model: Seq2SeqModel, source: tf.Tensor, target: tf.Tensor, labels: tf.Tensor
) -> tf.Tensor:
    """Log-probabilities [B, T] of labels [B, T], given sources [B, S] and target input [B, T]."""
    all_log_probs = tf.nn.log_softmax(model.logits(model(source, target)))
    return tf.gather(all_log_probs, labels, batch_dims=2)


class Scorer(Protocol):
    """What an engine must compute for the golden sentences, in pieces."""

    def forced(
        self, sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Log-probabilities of each target's pieces and its end."""

    def greedy(self, sources: Sequence[Sequence[str]]) -> list[list[str]]:
        """Greedy translations, without their ends."""


def compare(golden: Sequence[Golden], scorer: Scorer) -> Comparison:
    """Compare the results of an engine with the golden sentences."""
    sources = [one.source for one in golden]
    forced = scorer.forced(sources, [one.greedy for one in golden])
    differences = np.abs(np.concatenate(forced) - np.concatenate([one.log_probs for one in golden]))
    greedy = [
        pieces if one.ended else pieces[: len(one.greedy)]
        for pieces, one in zip(scorer.greedy(sources), golden, strict=True)
    ]
    different = [i for i, one in enumerate(golden) if greedy[i] != one.greedy]
    rescored = []
    if different:
        rescored = scorer.forced([sources[i] for i in different], [greedy[i] for i in different])
    near_ties = []
    for i, row in zip(different, rescored, strict=True):
        position = _first_difference(greedy[i], golden[i].greedy)
        if abs(row[position] - forced[i][position]) <= 2 * TOLERANCE:
            near_ties.append(i)
    return Comparison(
        float(differences.max()),
        float(differences.mean()),
        len(golden) - len(different),
        near_ties,
        [i for i in different if i not in near_ties],
    )


def _first_difference(one: Sequence[str], other: Sequence[str]) -> int:
    """The position of the first piece that differs, or of the end that only one has there."""
    pairs = enumerate(zip_longest(one, other))
    return next(position for position, (a, b) in pairs if a != b)


def save_golden(path: Path, golden: Sequence[Golden]) -> None:
    path.write_text(
        json.dumps([one._asdict() for one in golden], ensure_ascii=False, indent=1) + "\n",
        encoding="utf-8",
    )


def load_golden(path: Path) -> list[Golden]:
    """The golden sentences in a file. Raises RunError if it is missing or damaged."""
    try:
        golden = TypeAdapter(list[Golden]).validate_json(path.read_bytes())
        if 0 < len(golden) <= NUM_SENTENCES and all(map(_is_valid, golden)):
            return golden
    except (OSError, ValueError):
        pass
    raise RunError(f"{path}: the golden sentences are missing or damaged.")


def _is_valid(one: Golden) -> bool:
    """Whether the lengths agree and are limited: a stranger's file must not exhaust memory."""
    is_complete = len(one.log_probs) == len(one.greedy) + 1
    return is_complete and max(len(one.source), len(one.greedy)) <= LONGEST
