"""The number of shards that a batch needs, from the memory that two parts of it take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from translator.data.batches import Batch
from translator.errors import DoesNotFit
from translator.training import dry_run as dry_run_module
from translator.training.dry_run import dry_run


def cut(num_shards: int) -> list[Batch]:
    """16 pairs of 10 pieces."""
    ids = np.ones([max(1, 16 // num_shards), 10], np.int32)
    return [Batch(ids, ids, ids)] * min(16, num_shards)


class Memory:
    """A train step in a process that takes 100 bytes, plus 10 per target piece of the shard."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, available: int | None, num_shards: int = 1
    ) -> None:
        self.num_shards = num_shards
        self.sizes: list[list[int]] = []
        self.is_reset = False
        monkeypatch.setattr(dry_run_module, "peak_memory", lambda: 100 + 10 * max(self.sizes[-1]))
        monkeypatch.setattr(dry_run_module, "resident_memory", lambda: 200)
        monkeypatch.setattr(dry_run_module, "available_memory", lambda: available)

    def update(self, shards: list[Batch], step: int, rate: float) -> None:
        assert rate == 0.0
        self.sizes.append([shard.labels.size for shard in shards])

    def reset_moments(self) -> None:
        self.is_reset = True


@pytest.mark.parametrize("available", [None, 1667, 10**9])
def test_a_batch_that_fits_is_tried_whole(
    monkeypatch: pytest.MonkeyPatch, available: int | None
) -> None:
    train_step: Any = Memory(monkeypatch, available)
    dry_run_result = dry_run(train_step, cut)
    assert train_step.sizes == [[20], [40], [160]]
    assert train_step.is_reset
    assert dry_run_result.peak_bytes == 1700


# The process holds 200 and may have nine tenths of what is available on top.
@pytest.mark.parametrize(
    ("available", "limit", "num_shards"),
    [(1666, 1699, 2), (778, 900, 2), (777, 899, 4), (0, 200, 16)],
)
def test_a_batch_that_does_not_fit_is_cut_until_it_does(
    monkeypatch: pytest.MonkeyPatch, available: int, limit: int, num_shards: int
) -> None:
    train_step: Any = Memory(monkeypatch, available)
    with pytest.raises(DoesNotFit) as caught:
        dry_run(train_step, cut)
    error = caught.value
    assert (error.needed, error.available, error.num_shards) == (1700, limit, num_shards)
    assert train_step.sizes == [[20], [40]]


def test_small_parts_of_all_shards_are_tried_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train_step: Any = Memory(monkeypatch, 10**9, num_shards=2)
    assert dry_run(train_step, cut).peak_bytes == 900
    assert train_step.sizes == [[10, 10], [20, 20], [80, 80]]
    train_step = Memory(monkeypatch, 0, num_shards=2)
    with pytest.raises(DoesNotFit, match=r"need 0\.0 GiB of memory, and 0\.0 GiB are available"):
        dry_run(train_step, cut)


def test_without_may_cut_a_batch_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    train_step: Any = Memory(monkeypatch, 0)
    assert dry_run(train_step, cut, may_cut=False).peak_bytes == 1700


def test_a_single_pair_cannot_be_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.ones([1, 10], np.int32)
    train_step: Any = Memory(monkeypatch, 0)
    assert dry_run(train_step, lambda num_shards: [Batch(ids, ids, ids)]).peak_bytes == 200


def test_few_pairs_of_many_shards_are_cut_as_far_as_they_can_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With 16 pairs, each of eight shards has two."""
    train_step: Any = Memory(monkeypatch, 10**9, num_shards=8)
    dry_run(train_step, cut)
    assert train_step.sizes == [[10] * 8, [20] * 8, [20] * 8]
