"""Fast forms against the plain formulas that are their oracles, eagerly and in graphs.

M rows, D input width, F output width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from translator.layers import kernels
from translator.layers.inference import inference
from translator.layers.kernels import PLAIN, affine, layer_norm, linear, small_batch_matmul

DTYPES = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
TOLERANCE = {"float32": 1e-5, "bfloat16": 0.05}


def normal(*shape: int, seed: int = 0, dtype: str = "float32") -> tf.Tensor:
    values = np.random.default_rng(seed).standard_normal(shape, "float32")
    return tf.cast(tf.constant(values), dtype)


def uniform(*shape: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).random(shape, "float32"))


def whole(*shape: int, seed: int = 0, dtype: str = "float32") -> tf.Tensor:
    """Whole numbers, whose products are exact in bfloat16."""
    return tf.cast(np.random.default_rng(seed).integers(-4, 5, shape), dtype)


def weight(*shape: int, seed: int) -> keras.Variable:
    return keras.Variable(normal(*shape, seed=seed))


CASES: dict[str, Callable[[str], Sequence[Any]]] = {
    "small_batch_matmul": lambda d: (normal(6, 2, 1, 4, dtype=d), normal(6, 2, 4, 7, dtype=d)),
    "few_queries_matmul": lambda d: (normal(3, 2, 5, 4, dtype=d), normal(3, 2, 4, 7, dtype=d)),
    "linear": lambda d: (normal(5, 8, dtype=d), normal(8, 6, seed=1, dtype=d)),
    "joint_linear": lambda d: (
        normal(5, 8, dtype=d),
        [weight(8, 8, seed=1), weight(8, 16, seed=2)],
    ),
    "affine": lambda d: (
        normal(5, 8, dtype=d),
        normal(8, 6, seed=1, dtype=d),
        normal(6, seed=2, dtype=d),
        True,
    ),
    "layer_norm": lambda d: (
        normal(3, 7, 64, dtype=d),
        normal(64, seed=1),
        normal(64, seed=2),
        0.1,
    ),
    "layer_norm_in_one": lambda d: (
        normal(3, 7, 64, dtype=d),
        normal(64, seed=1, dtype=d),
        normal(64, seed=2, dtype=d),
        0.1,
    ),
    "block_maxima": lambda d: (normal(3, 16, 50, dtype=d),),
    "lightweight_convolution": lambda d: (normal(3, 7, 8, dtype=d), uniform(2, 5), 3),
}


@DTYPES
@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("infers", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_each_equals_its_plain_formula(name: str, infers: bool, in_graph: bool, dtype: str) -> None:
    arguments = CASES[name](dtype)

    def fast() -> tf.Tensor:
        with inference(frozen=True) if infers else nullcontext():
            return getattr(kernels, name)(*arguments)

    found = tf.function(fast, autograph=False)() if in_graph else fast()
    expected: Any = PLAIN[name](*arguments)
    assert found.dtype == expected.dtype == dtype
    np.testing.assert_allclose(
        tf.cast(found, tf.float32), tf.cast(expected, tf.float32), atol=TOLERANCE[dtype], rtol=0.02
    )


@pytest.mark.parametrize(("length", "size", "num_before"), [(7, 3, 1), (3, 7, 6), (1, 4, 2)])
def test_a_convolution_has_the_gradient_of_its_plain_formula(
    length: int, size: int, num_before: int
) -> None:
    x, taps, upstream = normal(2, length, 8), uniform(2, size), normal(2, length, 8, seed=1)

    def results(convolve: Callable[..., tf.Tensor]) -> list[tf.Tensor]:
        def function(x: tf.Tensor, taps: tf.Tensor) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch([x, taps])
                y = convolve(x, taps, num_before)
            return [y, *tape.gradient(y, [x, taps], upstream)]

        specs = [tf.TensorSpec([None, None, 8]), tf.TensorSpec([2, size])]
        return tf.function(function, input_signature=specs, autograph=False)(x, taps)

    fast, plain = map(results, (kernels.lightweight_convolution, PLAIN["lightweight_convolution"]))
    for found, expected in zip(fast, plain, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_every_kernel_has_a_case_and_an_oracle() -> None:
    assert {*CASES, "search_output"} == PLAIN.keys()


@DTYPES
@pytest.mark.parametrize("few", [small_batch_matmul, kernels.few_queries_matmul])
def test_products_of_small_batches_transpose_the_second(
    few: Callable[..., tf.Tensor], dtype: str
) -> None:
    x = tf.constant([[[1.0, 2.0]], [[3.0, 4.0]]])
    y = tf.constant([[[5.0, 0.0], [0.0, 6.0]], [[1.0, 1.0], [0.0, 1.0]]])
    x, y = tf.cast(x, dtype), tf.cast(y, dtype)
    np.testing.assert_array_equal(few(x, y), [[[5, 12]], [[3, 7]]])
    np.testing.assert_array_equal(few(x, y, transpose_b=True), [[[5, 12]], [[7, 4]]])


@DTYPES
@pytest.mark.parametrize("relu", [False, True])
def test_values_and_gradients_of_affine_are_those_of_the_plain_formula(
    relu: bool, dtype: str
) -> None:
    arguments = [
        whole(*shape, seed=i, dtype=dtype) for i, shape in enumerate([(50, 3), (3, 7), (7,)])
    ]
    upstream = tf.abs(whole(50, 7, seed=3, dtype=dtype))
    results = []
    functions: list[Callable[..., Any]] = [affine, PLAIN["affine"]]
    for function in functions:
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            y = function(*arguments, relu)
        results.append([y, *tape.gradient(y, arguments, upstream)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(tf.cast(ours, tf.float32), tf.cast(theirs, tf.float32))


def test_gradients_of_layer_norm_are_those_of_the_plain_formula() -> None:
    inputs = 3 * normal(2, 3, 5) + 1, normal(5, seed=1), normal(5, seed=2)
    results = []
    for function in (layer_norm, PLAIN["layer_norm"]):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = function(*inputs, 0.1)
        results.append(tape.gradient(y, inputs, normal(2, 3, 5, seed=3)))
    for ours, plain in zip(*results, strict=True):
        np.testing.assert_allclose(ours, plain, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 16), (3, 7, 64)])
def test_layer_norm_in_one_is_right_where_epsilon_counts(shape: tuple[int, ...]) -> None:
    """In a graph that knows only the width, as a search does, and for small variances."""
    x = normal(*shape) * tf.exp(4 * normal(*shape[:-1], 1, seed=4))
    scale, offset = normal(shape[-1], seed=1), normal(shape[-1], seed=2)

    @tf.function(input_signature=[tf.TensorSpec([*(None,) * (len(shape) - 1), shape[-1]])])
    def in_graph(x: tf.Tensor) -> tf.Tensor:
        return kernels.layer_norm_in_one(x, scale, offset, 1e-6)

    expected = PLAIN["layer_norm"](x, scale, offset, 1e-6)
    np.testing.assert_allclose(in_graph(x), expected, atol=1e-5)


@DTYPES
def test_search_output_gives_the_probabilities_of_the_plain_formula(dtype: str) -> None:
    states, matrix = normal(5, 8, dtype=dtype), normal(8, 300, seed=1, dtype=dtype)
    plain: Any = PLAIN["search_output"](matrix)
    fast, plain = kernels.search_output(matrix)(states), plain(states)
    assert fast.dtype == plain.dtype == dtype
    np.testing.assert_allclose(
        tf.nn.softmax(tf.cast(fast, tf.float32)),
        tf.nn.softmax(tf.matmul(states, matrix)),
        atol=0.01,
    )
    np.testing.assert_allclose(
        tf.cast(fast, tf.float32), tf.cast(plain, tf.float32), atol=TOLERANCE[dtype]
    )


def test_linear_is_a_product() -> None:
    x, kernel = whole(5, 64), whole(64, 32, seed=1)
    np.testing.assert_array_equal(linear(x, kernel), tf.matmul(x, kernel))
