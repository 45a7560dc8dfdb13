"""The matrix products that a model consists of, and their speed on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from translator.config.schema import ModelConfig

PRECISIONS = ("float32", "bfloat16")


class Products(NamedTuple):
    """Floating-point operations of matrix products, grouped by shape."""

    layers: float
    """Projections, feed-forward and attention: the forward pass, and in training the gradients of
    the states."""
    weights: float
    """Gradients of the layers' weights; only in training."""
    logits: float
    """States times output table: the forward pass, and in training the gradients of both."""


class Positions(NamedTuple):
    """How many positions a model computes, and how many pairs of positions attention compares."""

    source: int
    target: int
    source_pairs: int
    """A source position, and one that it looks at."""
    target_pairs: int
    """A target position, and a target position that it looks at."""
    cross_pairs: int
    """A target position, and a source position that it looks at."""


def multiplications(model: ModelConfig, positions: Positions) -> tuple[int, int]:
    """Multiplications in the layers' matrix products: those with weights, and those of attention.

    Products that affect no result are left out: the source needs only keys and values in the last
    layer of a decoder-only model. Taps of convolutions and scans of recurrences are no matrix
    products and do not count.
    """
    from translator.models.blocks import MIXERS

    layers, square = model.num_layers, model.model_dim**2
    feed_forward = 2 * model.model_dim * model.feed_forward_dim
    if model.kind == "decoder_only":
        layer = 4 * square + feed_forward
        of_source = (layers - 1) * layer + 2 * square
        of_target = layers * layer
        pairs = (layers - 1) * positions.source_pairs
        pairs += layers * (positions.target_pairs + positions.cross_pairs)
    else:
        decoder_layers = model.num_decoder_layers or layers
        encoder, decoder = MIXERS[model.encoder], MIXERS[model.decoder]
        # Keys and values of cross-attention are products of source positions.
        of_source = layers * (encoder.num_matrices * square + feed_forward)
        of_source += decoder_layers * 2 * square
        of_target = decoder_layers * ((decoder.num_matrices + 2) * square + feed_forward)
        pairs = decoder_layers * positions.cross_pairs
        pairs += layers * positions.source_pairs if model.encoder == "attention" else 0
        pairs += decoder_layers * positions.target_pairs if model.decoder == "attention" else 0
    dense = positions.source * of_source + positions.target * of_target
    return dense, 2 * model.model_dim * pairs


class Machine:
    """The speed of such products with `rows` rows at once."""

    def __init__(self, rows: int, width: int, inner: int, vocabulary_size: int) -> None:
        import tensorflow as tf

        self._sizes = {
            "layers": (rows, width, inner),
            "weights": (width, rows, inner),
            "logits": (rows, width, vocabulary_size),
        }
        self._products = {
            (name, precision): self._product(tf, *size, precision)
            for name, size in self._sizes.items()
            for precision in PRECISIONS
        }
        self._rates: dict[tuple[str, str], list[float]] = {key: [] for key in self._products}

    @staticmethod
    def _product(tf: Any, m: int, k: int, n: int, precision: str) -> Callable[[], Any]:
        a = tf.cast(tf.random.stateless_normal([m, k], [1, 2]), precision)
        b = tf.cast(tf.random.stateless_normal([k, n], [3, 4]), precision)
        product = tf.function(lambda: tf.reduce_max(tf.matmul(a, b)[:1]))
        return lambda: product().numpy()

    def measure(self, seconds: float = 0.2) -> None:
        """Measure every product once, for at least `seconds` each."""
        for (name, precision), run in self._products.items():
            m, k, n = self._sizes[name]
            run()
            count, started = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - started) < seconds:
                run()
                count += 1
            self._rates[name, precision].append(2 * m * k * n * count / elapsed)

    def rate(self, name: str, precision: str) -> float:
        """Median of the measured operations per second."""
        return median(self._rates[name, precision])

    def describe(self, precision: str) -> str:
        each = (f"{name} {self.rate(name, precision) / 1e9:,.0f}" for name in Products._fields)
        return f"tf.matmul {precision}: {', '.join(each)} GFLOP/s"

    def seconds(self, products: Products, precision: str) -> float:
        """The time that these products would take."""
        return sum(n / self.rate(name, precision) for name, n in products._asdict().items())
