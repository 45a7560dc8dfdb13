"""Time and memory of self-attention by length: at once, in blocks, in a window, and Keras's layer.

    python scripts/bench_attention.py
    python scripts/bench_attention.py --lengths 1024 4096 --precision bfloat16 --plot attention.svg

Each layer of width 256 with 4 heads computes one sequence and the gradients of all its inputs and
weights. For each length, the layers have a process each and take turns. The table shows the median
time, and the peak memory of the process beyond what it held before the first call. A layer that
would need more than half of the free memory is left out.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from turns import Process, announce, answer_lines

MODEL_DIM, NUM_HEADS = 256, 4
KINDS = ("at once", "blocks", "window", "Keras")
LENGTHS = (128, 256, 512, 1024, 2048, 4096, 8192, 16_384)
WINDOW = 256


class Cell(NamedTuple):
    """What a layer takes at a length; None if it was left out."""

    milliseconds: float | None
    mib: float | None


def make_layer(kind: str, dtype: str) -> Callable[[Any, Any], Any]:
    """A layer as a function of x [B, T, D] and not_padding [B, T]."""
    import keras

    from translator.config.resolution import ATTENTION_BLOCK
    from translator.layers.self_attention import SelfAttention
    from translator.layers.visible import Visible

    if kind == "Keras":
        layer = keras.layers.MultiHeadAttention(NUM_HEADS, MODEL_DIM // NUM_HEADS, dtype=dtype)
        layer.build((None, None, MODEL_DIM), (None, None, MODEL_DIM))
        return lambda x, not_padding: layer(x, x, attention_mask=not_padding[:, None])
    block_size = None if kind == "at once" else ATTENTION_BLOCK
    window = WINDOW if kind == "window" else None
    ours = SelfAttention(MODEL_DIM, NUM_HEADS, block_size=block_size, window=window, dtype=dtype)
    ours.build((None, None, MODEL_DIM))
    return lambda x, not_padding: ours(x, visible=Visible(not_padding))


def serve(kind: str, length: int, precision: str) -> Callable[[str], dict[str, float]]:
    """A function that computes forward and backward once; returns seconds and MiB."""
    import tensorflow as tf

    from translator.environment import num_threads, peak_memory
    from translator.processors import share_processors

    share_processors(num_threads())
    dtype = "mixed_bfloat16" if precision == "bfloat16" else precision
    layer = make_layer(kind, dtype)
    x = tf.cast(tf.random.stateless_normal([1, length, MODEL_DIM], [1, 2]), precision)
    lengths = tf.constant([length - length // 10])

    @tf.function(autograph=False)
    def compute(x: tf.Tensor, lengths: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, tf.sequence_mask(lengths, length))
        gradients = tape.gradient(y, [x, *tape.watched_variables()], x)
        return [tf.reduce_sum(tf.cast(one, tf.float32)) for one in (y, *gradients)]

    before = peak_memory()
    compute(x, lengths)

    def answer(_: str) -> dict[str, float]:
        started = time.perf_counter()
        for one in compute(x, lengths):
            one.numpy()
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "mib": (peak_memory() - before) / 2**20}

    return answer


def free_memory() -> float:
    """Bytes of memory that programs can still take."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    (available,) = (line.split()[1] for line in lines if line.startswith("MemAvailable"))
    return 1024 * float(available)


def measure(length: int, precision: str, rounds: int) -> dict[str, Cell]:
    """All layers at one length, in turns."""
    scores = NUM_HEADS * length**2 * 4
    too_large = 6 * scores > free_memory() / 2
    kinds = [kind for kind in KINDS if not too_large or kind in ("blocks", "window")]
    processes = {kind: Process(__file__, kind, length, precision) for kind in kinds}
    answers: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, process in processes.items():
            answers[kind].append(process.ask("go"))
    for process in processes.values():
        process.close()
    return {
        kind: Cell(1000 * median(one["seconds"] for one in answers[kind]), answers[kind][-1]["mib"])
        if kind in answers
        else Cell(None, None)
        for kind in KINDS
    }


def draw(table: dict[int, dict[str, Cell]], output: Path) -> None:
    """Time and memory against the length, both axes logarithmic."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "translator"
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    for axes, index, unit in zip(
        figure.subplots(1, 2), (0, 1), ("milliseconds", "MiB"), strict=True
    ):
        for kind, marker in zip(KINDS, "osD^", strict=True):
            points = [(length, cells[kind][index]) for length, cells in table.items()]
            points = [point for point in points if point[1] is not None]
            axes.plot(*zip(*points, strict=True), f"{marker}-", label=kind)
        axes.set(xlabel="length in pieces", ylabel=unit, xscale="log", yscale="log")
        axes.set_xticks(list(table), [f"{length:,}" for length in table], rotation=45)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    figure.savefig(output, metadata={"Date": None})


def show(value: float | None) -> str:
    return "–" if value is None else f"{value:,.{1 if value < 10 else 0}f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plot", type=Path, help="an SVG; the figures go to a CSV beside it")
    options = parser.parse_args()

    table: dict[int, dict[str, Cell]] = {}
    for number, length in enumerate(options.lengths, start=1):
        announce(f"length {length:,}", number, len(options.lengths))
        table[length] = measure(length, options.precision, options.rounds)
    for unit, index in (("milliseconds", 0), ("MiB", 1)):
        print(f"\n| {unit} | {' | '.join(KINDS)} |\n|{'---|' * (len(KINDS) + 1)}")
        for length, cells in table.items():
            values = " | ".join(show(cells[kind][index]) for kind in KINDS)
            print(f"| {length:,} | {values} |")
    if options.plot is not None:
        draw(table, options.plot)
        with options.plot.with_suffix(".csv").open("w", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["length", "layer", "milliseconds", "mib"])
            for length, cells in table.items():
                for kind, cell in cells.items():
                    if cell.milliseconds is not None and cell.mib is not None:
                        rows.writerow([length, kind, f"{cell.milliseconds:.2f}", f"{cell.mib:.0f}"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        kind, length, precision = sys.argv[2:]
        answer_lines(lambda: serve(kind, int(length), precision))
    else:
        main()
