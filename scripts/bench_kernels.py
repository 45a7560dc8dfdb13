"""How much time each fast kernel of translator/layers/kernels.py saves over its plain formula.

    .venv/bin/python scripts/bench_kernels.py RUN --source test.en
    .venv/bin/python scripts/bench_kernels.py RUN --source test.en --only layer_norm_in_one

One process uses all fast kernels. For each kernel, another process replaces that kernel by its
plain formula. All take turns at the same work, in float32 and in bfloat16:

- translating the text with beams 1 and 5;
- training: the gradients of a batch whose sources and targets are both taken from the text.

The table shows time with the plain formula over time with all fast kernels, as a ratio of medians
over the rounds: at 1.10, the plain formula takes 10 % longer. In parentheses stands the number of
translations (beam 5) that the plain formula changes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from turns import Process, announce, answer_lines

ALL_FAST = "all fast"
PRECISIONS = ("float32", "bfloat16")
WORK = ("beam 1", "beam 5", "training")


class Round(NamedTuple):
    """What a process reports after each round."""

    seconds: float
    translations: list[str]
    """Empty for training."""


def trainer(run: str, precision: str, sentences: list[str]) -> Callable[[], None]:
    """A function that computes the gradients of a batch three times."""
    import tensorflow as tf

    from translator.data.batches import pad
    from translator.data.tokenizer import PAD_ID
    from translator.decoding.loaded_run import load_run
    from translator.models.build import build_model
    from translator.runs import RunDirectory
    from translator.training.loss import chunked_cross_entropy

    loaded = load_run(RunDirectory.existing(Path(run)))
    tokenizer = loaded.tokenizer
    sizes = len(tokenizer.source), len(tokenizer.target)
    model = build_model(loaded.config, *sizes, precision, learns=True)
    rows = sorted(tokenizer.source.encode(sentences), key=len)[-200:]
    batch = pad(rows, [[id_ % sizes[1] for id_ in row] for row in rows])
    weights = [variable.value for variable in model.trainable_variables]

    @tf.function(autograph=False)
    def gradients(seed: tf.Tensor) -> list[tf.Tensor]:
        real = tf.not_equal(batch.labels, PAD_ID)
        with tf.GradientTape() as tape:
            states = tf.boolean_mask(model(batch.source, batch.target, seed=seed), real)
            table = tf.convert_to_tensor(model.output_table.value)
            labels = tf.boolean_mask(batch.labels, real)
            loss = chunked_cross_entropy(states, table, labels, 0.1)
        computed: list[tf.Tensor] = tape.gradient(
            loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return [tf.reduce_sum(gradient) for gradient in computed]

    def train() -> None:
        for step in range(3):
            gradients(tf.constant([1, step], tf.int64))

    return train


def serve(kernel: str, run: str, source: str, precision: str, work: str) -> None:
    """Run the child: do its kind of work once for every line on standard input."""

    def make() -> Callable[[str], Any]:
        from translator.corpora.lines import read_lines
        from translator.decoding.translator import Translator
        from translator.environment import freeze_weights, num_threads
        from translator.layers import kernels
        from translator.processors import share_processors

        if kernel != ALL_FAST:
            setattr(kernels, kernel, kernels.PLAIN[kernel])
        sentences = list(read_lines(Path(source)))
        if work == "training":
            train = trainer(run, precision, sentences)
        else:
            freeze_weights(True)
            share_processors(num_threads())
            settings = {"precision": precision, "beam_size": work.split()[1]}
            translator = Translator.load(run, [f"decoding.{k}={v}" for k, v in settings.items()])

        def answer(_: str) -> Round:
            started = time.perf_counter()
            translations: list[str] = []
            if work == "training":
                train()
            else:
                translations = translator.translate(sentences)
            return Round(time.perf_counter() - started, translations)

        return answer

    answer_lines(make)


def main() -> None:
    from translator.layers.kernels import PLAIN

    title, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=title, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="directory of the run")
    parser.add_argument("--source", type=Path, required=True, help="text to translate")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each process (5)")
    parser.add_argument(
        "--only", action="append", choices=PLAIN, help="measure this kernel only; may be repeated"
    )
    options = parser.parse_args()
    chosen = options.only or list(PLAIN)
    columns = [(precision, work) for precision in PRECISIONS for work in WORK]
    rows: dict[str, list[str]] = {kernel: [] for kernel in chosen}
    for precision, work in columns:
        announce(f"{precision}, {work}")
        done = measure([ALL_FAST, *chosen], options, precision, work)
        fast = median(one.seconds for one in done[ALL_FAST])
        for kernel in chosen:
            ratio = median(one.seconds for one in done[kernel]) / fast
            pairs = zip(done[kernel][-1].translations, done[ALL_FAST][-1].translations, strict=True)
            changed = f" ({sum(a != b for a, b in pairs)})" if work == "beam 5" else ""
            rows[kernel].append(f"{ratio:.2f}{changed}")
    print(f"{'kernel':20}" + "".join(f"{' '.join(column):>18}" for column in columns))
    for kernel, row in rows.items():
        print(f"{kernel:20}" + "".join(f"{cell:>18}" for cell in row))


def measure(
    kernels: list[str], options: argparse.Namespace, precision: str, work: str
) -> dict[str, list[Round]]:
    """The rounds of each process by kernel, after one round to warm up."""
    running = {
        kernel: Process(__file__, kernel, options.run, options.source, precision, work)
        for kernel in kernels
    }
    try:
        for process in running.values():
            process.ask("round")
        done: dict[str, list[Round]] = {kernel: [] for kernel in kernels}
        for _ in range(options.rounds):
            for kernel, process in running.items():
                done[kernel].append(Round(*process.ask("round")))
        return done
    finally:
        for process in running.values():
            process.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
    else:
        main()
