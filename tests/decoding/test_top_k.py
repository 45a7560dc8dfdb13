"""The likeliest continuations: by hand, and the fast form against the plain one."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf

from translator.data.tokenizer import BEGIN_ID, END_ID, PAD_ID, UNKNOWN_ID
from translator.decoding.top_k import (
    Continuations,
    block_size,
    in_blocks,
    normalizers,
    plain_top_k_continuations,
    top_k_continuations,
)
from translator.layers.kernels import block_maxima

A, B, C = 4, 5, 6
NEVER = -np.inf
RANDOM = np.random.default_rng(1)


Choose = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], Continuations]
Found = list[list[tuple[int, int, float]]]
BOTH = pytest.mark.parametrize("choose", [plain_top_k_continuations, top_k_continuations])


def found(
    log_probs: list[list[float]],
    logits: np.ndarray,
    rows: np.ndarray,
    must_end: list[bool],
    choose: Choose = top_k_continuations,
) -> Found:
    """For each sentence (hypothesis, piece, log-probability), as far as there are any."""
    results = choose(
        tf.constant(log_probs, tf.float32),
        tf.constant(rows, tf.int32),
        tf.constant(logits, tf.float32),
        tf.constant(must_end),
    )
    return [
        [each for each in zip(*sentence, strict=True) if each[2] > NEVER]
        for sentence in zip(*(x.numpy().tolist() for x in results), strict=True)
    ]


def assert_same(one: Found, other: Found) -> None:
    for these, those in zip(one, other, strict=True):
        assert [each[:2] for each in these] == [each[:2] for each in those]
        np.testing.assert_allclose(
            [each[2] for each in these], [each[2] for each in those], rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize(
    ("size", "expected"),
    [(8000, 40), (4096, 32), (6800, 40), (256, 16), (7919, 44), (2 * 7919, 63)],
)
def test_blocks_make_the_least_work(size: int, expected: int) -> None:
    assert block_size(size) == expected


@pytest.mark.parametrize(
    ("size", "expected"), [(8000, [40, 200]), (255, [1, 255]), (991, [16, 62])]
)
def test_are_cut_into_blocks(size: int, expected: list[int]) -> None:
    logits = tf.constant(RANDOM.standard_normal([3, size]), tf.float32)
    blocks = in_blocks(logits)
    assert blocks.shape[1:] == expected
    whole = tf.reshape(blocks, [3, -1])
    np.testing.assert_array_equal(whole[:, :size], logits)
    assert (whole[:, size:].numpy() == NEVER).all()


@BOTH
class TestByHand:
    # Of each row, A, B and C share what there is.
    logits = tf.math.log(
        [[0.0, 0.0, 0.0, 0.0, 0.7, 0.2, 0.1], [0.0, 0.0, 0.0, 0.0, 0.1, 0.4, 0.5]]
    ).numpy()
    rows = np.array([[0, 1]])

    def test_keeps_the_likeliest_of_all_hypotheses(self, choose: Choose) -> None:
        # 0.5 · (0.7, 0.2, 0.1) and 0.5 · (0.1, 0.4, 0.5)
        [sentence] = found([np.log([0.5, 0.5]).tolist()], self.logits, self.rows, [False], choose)
        assert_same([sentence], [[(0, A, np.log(0.35)), (1, C, np.log(0.25))]])

    def test_what_came_before_counts(self, choose: Choose) -> None:
        # 0.1 · (0.7, 0.2, 0.1) and 0.9 · (0.1, 0.4, 0.5)
        [sentence] = found([np.log([0.1, 0.9]).tolist()], self.logits, self.rows, [False], choose)
        assert_same([sentence], [[(1, C, np.log(0.45)), (1, B, np.log(0.36))]])

    def test_knows_where_the_logits_of_each_hypothesis_are(self, choose: Choose) -> None:
        log_probs = [[NEVER, 0.0, NEVER], [NEVER, NEVER, 0.0]]
        rows = np.array([[0, 1, 0], [0, 0, 0]])
        first, second = found(log_probs, self.logits, rows, [False, False], choose)
        assert [(k, piece) for k, piece, _ in first] == [(1, C), (1, B), (1, A)]
        assert [(k, piece) for k, piece, _ in second] == [(2, A), (2, B), (2, C)]

    def test_where_there_are_fewer_than_places_nothing_is(self, choose: Choose) -> None:
        logits = tf.math.log([[0.0, 0.0, 0.0, 0.0, 0.75, 0.25]]).numpy()
        [sentence] = found([[NEVER, 0.0, NEVER]], logits, np.zeros([1, 3]), [False], choose)
        assert_same([sentence], [[(1, A, np.log(0.75)), (1, B, np.log(0.25))]])


@pytest.mark.parametrize("size", [256, 800, 991])
@pytest.mark.parametrize("beam_size", [1, 5, 70])
@pytest.mark.parametrize("ties", [False, True])
def test_are_those_of_the_plain_form(size: int, beam_size: int, ties: bool) -> None:
    random, batch = np.random.default_rng([size, beam_size, ties]), 4
    logits = random.standard_normal([batch * beam_size, size]) * 3
    log_probs = random.standard_normal([batch, beam_size])
    if ties:
        # Numbers whose sums are exact; log Σ exp is the same for every row.
        logits = random.permuted(np.tile(np.arange(size) % 4.0, [batch * beam_size, 1]), axis=1)
        log_probs = random.integers(0, 3, [batch, beam_size]).astype(float)
    log_probs = np.where(random.random([batch, beam_size]) < 0.2, NEVER, log_probs).tolist()
    rows = random.permutation(batch * beam_size).reshape(batch, beam_size)
    arguments = log_probs, logits.astype(np.float32), rows, [False, True, False, False]
    results = found(*arguments)
    expected = found(*arguments, choose=plain_top_k_continuations)
    if not ties:
        assert_same(results, expected)
        return
    for these, those in zip(results, expected, strict=True):
        np.testing.assert_allclose([each[2] for each in these], [each[2] for each in those], 1e-5)
        for before, after in pairwise(these):
            assert before[2] > after[2] or order(before, size) < order(after, size)


def order(continuation: tuple[int, int, float], size: int) -> tuple[bool, int, int, int]:
    """Of those that are equally likely: ends, then by hypothesis, block and piece."""
    hypothesis, piece, _ = continuation
    num_blocks = -(-size // block_size(size))
    return piece != END_ID, hypothesis, piece % num_blocks, piece


@BOTH
def test_what_is_never_said_takes_its_share_but_no_place(choose: Choose) -> None:
    logits = np.zeros([1, 512], np.float32)
    logits[0, [PAD_ID, UNKNOWN_ID, BEGIN_ID, 7, 300]] = [9, 8, 7, 6, 5]
    [sentence] = found([[0.0, NEVER]], logits, np.array([[0, 0]]), [False], choose)
    expected = tf.nn.log_softmax(logits).numpy()[0]
    assert_same([sentence], [[(0, 7, expected[7]), (0, 300, expected[300])]])


@BOTH
def test_a_sentence_that_must_end_ends(choose: Choose) -> None:
    logits = RANDOM.standard_normal([2, 512]).astype(np.float32)
    logits[:, END_ID] = -9
    before, rows = [[-1.0, -2.0]], np.array([[1, 0]])
    [sentence] = found(before, logits, rows, [True], choose)
    expected = tf.nn.log_softmax(logits).numpy()[::-1, END_ID] + before[0]
    assert_same([sorted(sentence)], [[(0, END_ID, expected[0]), (1, END_ID, expected[1])]])


@BOTH
def test_pieces_that_are_next_to_impossible_keep_their_distance(choose: Choose) -> None:
    """Their probabilities are too small for a float."""
    logits = np.full([1, 512], -1000, np.float32)
    logits[0, [5, 6, 7]] = [0, -200, -300]
    [sentence] = found([[0.0, NEVER, NEVER]], logits, np.zeros([1, 3]), [False], choose)
    assert_same([sentence], [[(0, 5, 0.0), (0, 6, -200.0), (0, 7, -300.0)]])


def test_no_number_stays_no_number() -> None:
    logits = np.zeros([1, 512], np.float32)
    logits[0, 9] = np.nan
    assert found([[0.0, NEVER]], logits, np.zeros([1, 2]), [False]) == [[]]


@pytest.mark.parametrize("size", [512, 991])
def test_no_number_in_a_sentence_is_none_of_another(size: int) -> None:
    """Empty places may point to its row."""
    logits = RANDOM.standard_normal([2, size]).astype(np.float32)
    arguments = [[0.0, NEVER], [0.0, NEVER]], np.array([[0, 0], [1, 0]]), [False, False]
    log_probs, rows, must_end = arguments
    expected = found(log_probs, logits, rows, must_end)[1]
    logits[0, 9] = np.nan
    assert found(log_probs, logits, rows, must_end) == [[], expected]


def test_of_bfloat16_logits_are_right_to_a_few_thousandths() -> None:
    logits = tf.cast(RANDOM.standard_normal([6, 8000]) * 3, tf.bfloat16)
    before, rows, ends = tf.zeros([2, 3]), tf.reshape(tf.range(6), [2, 3]), tf.zeros([2], tf.bool)
    *same, found = top_k_continuations(before, rows, logits, ends)
    *here, expected = top_k_continuations(before, rows, tf.cast(logits, tf.float32), ends)
    np.testing.assert_allclose(found, expected, atol=4e-3)
    assert all(np.array_equal(one, other) for one, other in zip(same, here, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", [7, 800, 991])
def test_maxima_of_blocks_are_those_of_every_nth_piece(size: int, dtype: str) -> None:
    logits = tf.cast(RANDOM.standard_normal([3, size]), dtype)
    blocks = in_blocks(logits)
    maxima, num_blocks = block_maxima(blocks).numpy(), blocks.shape[2]
    for i in range(num_blocks):
        np.testing.assert_array_equal(maxima[:, i], tf.reduce_max(logits[:, i::num_blocks], axis=1))


@pytest.mark.parametrize("size", [800, 991])
def test_the_normalizer_is_the_logarithm_of_the_sum(size: int) -> None:
    logits = tf.constant(RANDOM.standard_normal([7, size]) * 5, tf.float32)
    sums = normalizers(tf.nn.softmax(logits), block_maxima(in_blocks(logits)))
    np.testing.assert_allclose(sums, tf.reduce_logsumexp(logits, axis=1), rtol=1e-5)
