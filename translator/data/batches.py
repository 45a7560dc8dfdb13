"""The batch of any step, as a pure function of store, schedule, seed and step.

B: batch size, S: source length, T: target length.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from translator.data.batch_schedule import BatchSchedule
from translator.data.concatenation import Concatenation, Rows, joined
from translator.data.mixture import Mixture
from translator.data.store import Store
from translator.data.subword_sampling import SubwordSampling
from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID, Tokenizer


class Batch(NamedTuple):
    """Sentence pairs as padded int32 ids."""

    source: np.ndarray
    """[B, S]: the source, with its end."""
    target: np.ndarray
    """[B, T]: the decoder's input, which starts with begin."""
    labels: np.ndarray
    """[B, T]: what the decoder should predict, with its end."""

    @property
    def num_target_tokens(self) -> int:
        """Number of target pieces, ends included."""
        return int(np.count_nonzero(self.labels))


def batch(
    store: Store | Mixture,
    tokenizer: Tokenizer,
    schedule: BatchSchedule,
    step: int,
    num_shards: int = 1,
    sampling: SubwordSampling | None = None,
    concatenation: Concatenation | None = None,
) -> list[Batch]:
    """The batch of a step (from 0), cut into `num_shards` shards of similar size, or fewer.

    With `sampling`, the pairs are segmented from their text again, by a seed drawn from its seed
    and the step. With `concatenation`, pairs may be joined two by two.
    """
    rows = schedule.rows(step)
    sides = store.source, store.target
    sources: Rows
    targets: Rows
    if sampling is None:
        sources, targets = ([side.ids(row) for row in rows] for side in sides)
    else:
        draws = np.random.SeedSequence([sampling.seed, step]).generate_state(2)
        sources, targets = (
            vocabulary.encode([side.text(row) for row in rows], sampling._replace(seed=int(draw)))
            for vocabulary, side, draw in zip(tokenizer, sides, draws, strict=True)
        )
        sources = [row[: sampling.max_length] for row in sources]  # longer only if truncated
    if concatenation is not None and concatenation.applies(step):
        tags = tokenizer.source.tags.values()
        sources, targets = joined(sources, targets, concatenation.max_length, tags)
    cuts = [len(sources) * i // num_shards for i in range(num_shards + 1)]
    return [
        pad(sources[start:end], targets[start:end]) for start, end in pairwise(cuts) if end > start
    ]


def pad(sources: Rows, targets: Rows) -> Batch:
    """A Batch from rows of ids without begin and end."""
    source, target = pad_rows(sources), pad_rows(targets)
    begin = np.full((len(target), 1), BEGIN_ID, np.int32)
    return Batch(_with_end(source), np.hstack([begin, target]), _with_end(target))


def pad_rows(rows: Rows) -> np.ndarray:
    """Rows of ids to a padded array: [B, longest row] int32."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    padded = np.full((len(rows), lengths.max()), PAD_ID, np.int32)
    padded[np.arange(padded.shape[1]) < lengths[:, np.newaxis]] = np.concatenate(rows)
    return padded


def _with_end(padded: np.ndarray) -> np.ndarray:
    longer = np.full((len(padded), padded.shape[1] + 1), PAD_ID, np.int32)
    longer[:, :-1] = padded
    longer[np.arange(len(padded)), np.count_nonzero(padded, axis=1)] = END_ID
    return longer
