"""Dropout: a share of zeros, the mean kept, and the seed deciding everything.

B batch, T length, D model width.
"""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from translator.layers.dropout import dropout, fold_in

SEED = tf.constant([3, 7], tf.int64)
ONES = tf.ones([400, 251])


def zeros_of(seed: tf.Tensor | None) -> bytes:
    return (dropout(ONES, 0.5, seed).numpy() == 0).tobytes()


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 0.75])
def test_the_share_of_zeros_is_the_rate_and_the_mean_stays(rate: float) -> None:
    dropped = dropout(ONES, rate, SEED).numpy()
    assert np.mean(dropped == 0) == pytest.approx(rate, abs=0.005)
    assert np.mean(dropped) == pytest.approx(1.0, abs=0.015)
    np.testing.assert_allclose(np.unique(dropped[dropped > 0]), 1 / (1 - rate), rtol=1e-6)


def test_the_rate_is_rounded_to_a_256th_and_the_scale_fits_it() -> None:
    values = np.unique(dropout(ONES, 0.1, SEED))  # 0.1 · 256 = 25.6, so 26 of 256 bytes
    np.testing.assert_allclose(values, [0.0, 256 / 230], rtol=1e-6)


def test_each_element_is_zero_or_scaled() -> None:
    x = tf.constant(np.random.default_rng(0).standard_normal((40, 5), "float32"))
    dropped = dropout(x, 0.5, SEED).numpy()
    np.testing.assert_array_equal(dropped, np.where(dropped == 0, 0, 2 * x.numpy()))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_any_number_of_elements_can_be_dropped(size: int) -> None:
    assert dropout(tf.ones([size]), 0.5, SEED).shape == (size,)


def test_the_same_seed_gives_the_same_zeros_whatever_else_was_computed() -> None:
    first = zeros_of(SEED)
    tf.random.normal([3])
    zeros_of(SEED + 1)
    assert zeros_of(SEED) == first
    assert (tf.function(dropout)(ONES, 0.5, SEED).numpy() == 0).tobytes() == first


def test_other_numbers_in_the_seed_give_other_zeros() -> None:
    seeds = [(3, 7), (3, 8), (4, 7), (7, 3)]
    assert len({zeros_of(tf.constant(seed, tf.int64)) for seed in seeds}) == 4


def test_each_index_folded_into_a_seed_gives_other_zeros() -> None:
    places = [fold_in(SEED, i) for i in range(4)]
    deeper = [fold_in(below, i) for below in places for i in range(4)]
    assert len({zeros_of(seed) for seed in [SEED, *places, *deeper]}) == 21


@pytest.mark.parametrize(
    ("seed", "index", "expected"),
    [
        ((1, 2**20), 0, (1, 4815695281138958337)),
        ((1, 2**20), 1, (1, 4815695281138958339)),
        ((3, 7), 5, (3, 7655465419508447814)),
        ((1, 2**62 + 1), 2, (1, -7470921831435370702)),
    ],
)
def test_fold_in_gives_these_seeds(
    seed: tuple[int, int], index: int, expected: tuple[int, int]
) -> None:
    """(a, b) → (a, b · 6364136223846793005 + 2 · index + 1) mod 2⁶⁴. Old runs depend on it."""
    folded: np.ndarray = np.asarray(fold_in(tf.constant(seed, tf.int64), index))
    assert tuple(folded.tolist()) == expected


def test_a_seed_gives_these_zeros() -> None:
    zeros = np.flatnonzero(dropout(tf.ones([32]), 0.5, SEED) == 0).tolist()
    assert zeros == [3, 4, 9, 11, 12, 13, 15, 16, 17, 18, 21, 22, 23, 24, 26, 28, 31]


def test_zeros_of_two_indices_coincide_only_by_chance() -> None:
    one, other = (dropout(ONES, 0.5, fold_in(SEED, i)).numpy() == 0 for i in range(2))
    assert np.mean(one & other) == pytest.approx(0.25, abs=0.01)


def test_nothing_is_dropped_without_a_seed() -> None:
    assert fold_in(None, 3) is None
    np.testing.assert_array_equal(dropout(ONES, 0.9, None), ONES)


def test_the_gradient_goes_through_what_was_kept() -> None:
    x = tf.ones([100])
    with tf.GradientTape() as tape:
        tape.watch(x)
        dropped = dropout(x, 0.5, SEED)
    np.testing.assert_array_equal(tape.gradient(dropped, x), dropped)


def test_bfloat16_stays_bfloat16_with_the_same_zeros() -> None:
    low = dropout(tf.cast(ONES, tf.bfloat16), 0.5, SEED)
    assert low.dtype == tf.bfloat16
    np.testing.assert_array_equal(tf.cast(low, tf.float32), dropout(ONES, 0.5, SEED))
