"""The likeliest next pieces: by hand, and against the plain formulas."""

import numpy as np
import pytest
import tensorflow as tf

from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID, UNKNOWN_ID
from translator.decoding.likeliest import block_size, next_pieces, top_k

NEVER = -np.inf
RANDOM = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(8000, 32), (4096, 16), (6800, 25), (256, 16), (255, None), (7919, None), (2 * 7919, None)],
)
def test_blocks_make_the_least_work(size: int, expected: int | None) -> None:
    assert block_size(size) == expected


def test_an_unknown_size_has_no_blocks() -> None:
    assert block_size(None) is None


@pytest.mark.parametrize("size", [256, 800, 991])
@pytest.mark.parametrize("k", [1, 7, 200])
@pytest.mark.parametrize("ties", [False, True])
def test_top_k_is_that_of_tensorflow(size: int, k: int, ties: bool) -> None:
    x = RANDOM.integers(0, 4, [9, size]) if ties else RANDOM.standard_normal([9, size])
    x = tf.constant(x, tf.float32)
    for found, expected in zip(top_k(x, tf.constant(k)), tf.math.top_k(x, k), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_log_probabilities_by_hand() -> None:
    logits = tf.math.log([[0.0, 0.0, 0.0, 1.0, 5.0, 2.0]])
    log_probs, pieces = next_pieces(logits, tf.constant(2), tf.constant([False]))
    np.testing.assert_array_equal(pieces[:, :3], [[4, 5, END_ID]])
    np.testing.assert_allclose(tf.exp(log_probs[:, :3]), [[5 / 8, 2 / 8, 1 / 8]], rtol=1e-6)


def test_what_is_never_said_takes_its_share_but_no_place() -> None:
    logits = np.zeros([1, 512], np.float32)
    logits[0, [PAD_ID, UNKNOWN_ID, BEGIN_ID, 7, 300]] = [9, 8, 7, 6, 5]
    log_probs, pieces = next_pieces(tf.constant(logits), tf.constant(2), tf.constant([False]))
    expected = tf.nn.log_softmax(logits).numpy()[0, [7, 300]]
    allowed = np.isfinite(log_probs[0])
    np.testing.assert_array_equal(pieces[0][allowed], [7, 300])
    np.testing.assert_allclose(log_probs[0][allowed], expected, rtol=1e-6)


def test_a_row_that_must_end_ends() -> None:
    logits = tf.constant(RANDOM.standard_normal([2, 512]), tf.float32)
    log_probs, pieces = next_pieces(logits, tf.constant(3), tf.constant([True, False]))
    np.testing.assert_array_equal(np.isfinite(log_probs[0]), [True] + 5 * [False])
    assert int(pieces[0, 0]) == END_ID
    expected = tf.nn.log_softmax(logits)[0, END_ID]
    assert float(log_probs[0, 0]) == pytest.approx(float(expected), rel=1e-6)
    assert np.isfinite(log_probs[1]).sum() >= 3


def test_pieces_that_are_next_to_impossible_keep_their_distance() -> None:
    """Their probabilities are too small for a float."""
    logits = np.full([1, 512], -1000, np.float32)
    logits[0, [5, 6, 7]] = [0, -200, -300]
    log_probs, pieces = next_pieces(tf.constant(logits), tf.constant(3), tf.constant([False]))
    np.testing.assert_array_equal(pieces[0, :3], [5, 6, 7])
    np.testing.assert_allclose(log_probs[0, :3], [0, -200, -300], atol=1e-6)


def test_no_number_stays_no_number() -> None:
    logits = np.zeros([1, 512], np.float32)
    logits[0, 9] = np.nan
    log_probs, _ = next_pieces(tf.constant(logits), tf.constant(2), tf.constant([False]))
    assert not np.isfinite(log_probs).any()
