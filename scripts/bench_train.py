"""Measure the speed of training: kinds of models, the limit of the machine, and a PyTorch model.

    .venv/bin/python scripts/bench_train.py --source train.en --target train.de
    .venv/bin/python scripts/bench_train.py --source train.en --target train.de --peer --shape B
    .venv/bin/python scripts/bench_train.py --length 512 --kind decoder=recurrence \\
        --kind "encoder=convolution decoder=convolution" --kind kind=decoder_only

The models are a Transformer with self-attention, one for each --kind, and with --peer, Hugging
Face's MarianMTModel in PyTorch (from the extra `bench`). Each model runs in one process per
precision. All processes take turns at the same batches of ids, so that a busy machine slows all of
them equally. Text is prepared as `translator train` prepares it. With --length, batches are random
ids instead, and both sides of every row have exactly so many pieces, the end included.

The output has medians over the rounds:

- tokens/s: target pieces per second without padding; ms/step; the share of padding;
- × attention: speed over that of self-attention in the same precision, as the median of the ratios
  round by round;
- memory: the peak resident memory of the engine's process, libraries included;
- first step: from typing `translator train`, on prepared text, to the end of the first step;
- roofline: the time that the matrix products of the real tokens alone would take, at the rates
  that `tf.matmul` reaches here on the model's shapes, divided by the time of a step. The taps of
  convolutions and the scans of recurrences are not matrix products.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from machine import PRECISIONS, Machine, Positions, Products, multiplications
from turns import Process, announce, answer_lines, median_ratio

from translator.cli.log_filter import filter_native_logs
from translator.errors import UserError

if TYPE_CHECKING:
    from translator.config.schema import ModelConfig


class Shape(NamedTuple):
    """The size of a model, and tokens_per_step of its batches."""

    num_layers: int
    model_dim: int
    num_heads: int
    feed_forward_dim: int
    vocabulary_size: int = 8000
    tokens_per_step: int = 4096


SHAPES = {
    "S": Shape(3, 256, 4, 1024),
    "B": Shape(6, 512, 8, 2048),
    "tiny": Shape(4, 128, 4, 256),
}


ATTENTION, PEER = "attention", "MarianMT"
"""Names of the model that the others are compared with, and of the peer."""


class Measured(NamedTuple):
    """A model to measure."""

    engine: str
    overrides: list[str]
    """What it changes in the configuration."""


class Round(NamedTuple):
    """What an engine reports after some steps."""

    seconds: float
    losses: list[float]
    peak_mib: float


Batch = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Source, target and labels."""


def configuration(options: argparse.Namespace) -> dict[str, Any]:
    """The configuration of a run. Its validation text is the training text, and is not used."""
    shape = SHAPES[options.shape]
    text = {"source": str(options.source), "target": str(options.target)}
    data = {"source_language": "en", "target_language": "de", "train": text, "validation": text}
    return {
        "data": data if options.length is None else data | {"max_length": options.length},
        "tokenizer": {"vocabulary_size": shape.vocabulary_size},
        "model": {
            "num_layers": shape.num_layers,
            "model_dim": shape.model_dim,
            "num_heads": shape.num_heads,
            "feed_forward_dim": shape.feed_forward_dim,
        },
        "training": {
            "max_steps": 1_000_000,
            "tokens_per_step": shape.tokens_per_step,
            "optimizer": {"schedule": "inverse_sqrt"},
            "accumulation_steps": 1,
        },
    }


def prepare(config_path: Path, run_path: Path, num_batches: int) -> tuple[Path, int]:
    """Prepare the text as a run does.

    Returns a file with the run's first batches, and the size of the vocabulary.
    """
    from translator.config import load_config
    from translator.data.batch_schedule import BatchSchedule
    from translator.data.batches import batch
    from translator.runs import RunDirectory
    from translator.workflows.new_run import prepare_new_run

    run = RunDirectory(run_path)
    run.create()
    prepared = prepare_new_run(load_config(config_path), run, None)
    training = prepared.config.training
    schedule = BatchSchedule(prepared.training.lengths, training.tokens_per_step, training.seed)
    arrays: dict[str, np.ndarray] = {}
    for step in range(num_batches):
        (shard,) = batch(prepared.training, prepared.tokenizer, schedule, step)
        arrays |= {f"{name}_{step}": array for name, array in shard._asdict().items()}
    path = run_path / "batches.npz"
    np.savez(path, allow_pickle=False, **arrays)
    return path, len(prepared.tokenizer.target)


def random_batches(shape: Shape, length: int, num_batches: int, path: Path) -> None:
    """Write batches of random ids, whose rows have `length` pieces, ends included.

    There is a row for each processor, even if the batch then exceeds the shape's tokens_per_step.
    """
    from translator.data.tokenizer import BEGIN_ID, END_ID
    from translator.environment import num_threads

    generator = np.random.default_rng(1)
    size = 2, max(num_threads(), shape.tokens_per_step // length), length
    arrays: dict[str, np.ndarray] = {}
    for step in range(num_batches):
        source, labels = generator.integers(END_ID + 1, shape.vocabulary_size, size, np.int32)
        source[:, -1] = labels[:, -1] = END_ID
        target = np.roll(labels, 1, axis=1)
        target[:, 0] = BEGIN_ID
        arrays |= {f"source_{step}": source, f"target_{step}": target, f"labels_{step}": labels}
    np.savez(path, allow_pickle=False, **arrays)


def load_batches(path: Path) -> list[Batch]:
    arrays = np.load(path)
    return [
        (arrays[f"source_{i}"], arrays[f"target_{i}"], arrays[f"labels_{i}"])
        for i in range(len(arrays.files) // 3)
    ]


Step = Callable[[Batch, int], float]
"""What an engine is: (batch, step) → mean loss per token, after an update of the model."""


def translator_engine(
    config_path: Path, precision: str, vocabulary_size: int, overrides: list[str]
) -> Step:
    from translator.config import load_config
    from translator.data import batches
    from translator.models.build import build_model
    from translator.processors import share_processors
    from translator.training.distributed.strategy import shards_at_once
    from translator.training.optimizer import learning_rate
    from translator.training.train_step import TrainStep

    config = load_config(config_path, overrides)
    at_once = shards_at_once(config.training, alone=True)
    share_processors(at_once)
    model = build_model(config, vocabulary_size, vocabulary_size, precision, learns=True)
    train_step = TrainStep(model, config.training, at_once)

    def step(arrays: Batch, number: int) -> float:
        rate = learning_rate(config.training.optimizer, number, 0.0)
        shards = [np.array_split(array, train_step.num_shards) for array in arrays]
        return train_step.update(
            [batches.Batch(*shard) for shard in zip(*shards, strict=True)], number, rate
        ).loss

    return step


def marian_settings(shape: ModelConfig, vocabulary_size: int, max_length: int) -> dict[str, Any]:
    """The arguments of a MarianConfig for a model of the same shape."""
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (
            ("layers", shape.num_layers),
            ("attention_heads", shape.num_heads),
            ("ffn_dim", shape.feed_forward_dim),
        )
    }
    return sides | {
        "d_model": shape.model_dim,
        "vocab_size": vocabulary_size,
        "dropout": shape.dropout_rate,
        "attention_dropout": shape.attention_dropout_rate,
        "activation_dropout": shape.activation_dropout_rate,
        "activation_function": shape.activation,
        "scale_embedding": True,
        "max_position_embeddings": max(512, max_length),
        "pad_token_id": 0,
        "eos_token_id": 3,
        "decoder_start_token_id": 2,
    }


def peer_engine(
    config_path: Path, precision: str, vocabulary_size: int, overrides: list[str]
) -> Step:
    import torch
    from transformers import MarianConfig, MarianMTModel

    from translator.config import load_config
    from translator.training.optimizer import learning_rate

    config = load_config(config_path, overrides)
    torch.manual_seed(1)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    arguments = marian_settings(config.model, vocabulary_size, config.data.max_length)
    model = MarianMTModel(MarianConfig(**arguments))
    model.train()
    settings = config.training.optimizer
    optimizer = torch.optim.Adam(
        model.parameters(), betas=(settings.beta_1, settings.beta_2), eps=settings.epsilon
    )

    def step(arrays: Batch, number: int) -> float:
        source, target, labels = (torch.from_numpy(array.astype(np.int64)) for array in arrays)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, number, 0.0)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = model(
                input_ids=source, attention_mask=source != 0, decoder_input_ids=target
            ).logits
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1),
                labels.flatten(),
                ignore_index=0,
                label_smoothing=config.training.label_smoothing,
            )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()
        return float(loss)

    return step


ENGINES = {"translator": translator_engine, "peer": peer_engine}


def serve(
    engine: str, config: str, precision: str, batches: str, vocabulary_size: str, *overrides: str
) -> None:
    """Run the child: for every line `first last`, do these steps (last excluded) and report."""

    def make() -> Callable[[str], Round]:
        from translator.environment import peak_memory

        loaded = load_batches(Path(batches))
        step = ENGINES[engine](Path(config), precision, int(vocabulary_size), list(overrides))

        def answer(line: str) -> Round:
            first, last = map(int, line.split())
            started = time.perf_counter()
            losses = [step(loaded[i % len(loaded)], i + 1) for i in range(first, last)]
            return Round(time.perf_counter() - started, losses, peak_memory() / 2**20)

        return answer

    answer_lines(make)


def needed_products(model: ModelConfig, batches: list[Batch], vocabulary_size: int) -> Products:
    """Operations of the mean step, for real tokens only. A multiplication counts as two."""
    dense = attention = logits = 0
    for source, _, labels in batches:
        s, t = np.count_nonzero(source, axis=1), np.count_nonzero(labels, axis=1)
        sums = (int(each.sum()) for each in (s, t, s * s, t * t, s * t))
        in_batch = multiplications(model, Positions(*sums))
        dense, attention = dense + in_batch[0], attention + in_batch[1]
        logits += int(t.sum()) * model.model_dim * vocabulary_size
    per_step = 2 / len(batches)
    return Products(
        layers=per_step * (2 * dense + 3 * attention),
        weights=per_step * dense,
        logits=per_step * 3 * logits,
    )


def first_step_seconds(config: Path, folder: Path) -> float:
    """Seconds from the command to the end of the first step, on prepared text."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "translator", "train", str(config), "--run", str(folder / "first")],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if line.startswith("step 1 "):
                return time.monotonic() - started
        raise SystemExit("translator train ended before the first step")
    finally:
        process.kill()
        process.wait()


@contextmanager
def started(
    models: dict[str, Measured], precisions: list[str], *facts: object
) -> Iterator[dict[tuple[str, str], Process]]:
    """The process of each model and precision. facts: configuration, batches, vocabulary."""
    config, batches, vocabulary_size = facts
    running = {
        (name, precision): Process(
            __file__, model.engine, config, precision, batches, vocabulary_size, *model.overrides
        )
        for precision in precisions
        for name, model in models.items()
    }
    try:
        yield running
    finally:
        for process in running.values():
            process.close()


def parsed() -> argparse.Namespace:
    title, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=title, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, help="training text")
    parser.add_argument("--target", type=Path, help="its translation")
    parser.add_argument("--length", type=int, help="pieces of each row, in place of a text")
    parser.add_argument("--shape", choices=SHAPES, default="S", help="size of the model")
    parser.add_argument(
        "--kind",
        action="append",
        default=[],
        metavar="SETTINGS",
        help='another kind of model, as "key=value …" of the section model; may be repeated',
    )
    parser.add_argument("--precision", choices=PRECISIONS, nargs="+", default=list(PRECISIONS))
    parser.add_argument("--peer", action="store_true", help="compare with MarianMT in PyTorch")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each model (7)")
    parser.add_argument("--steps", type=int, default=10, help="steps per round (10)")
    parser.add_argument("--warm-up", type=int, default=5, help="steps before the first round (5)")
    options = parser.parse_args()
    given = [one is not None for one in (options.source, options.target, options.length)]
    if given not in ([True, True, False], [False, False, True]):
        parser.error("give either --source and --target, or --length")
    if options.length is None:
        options.source, options.target = options.source.resolve(), options.target.resolve()
    elif options.length < 2:
        parser.error("--length: a row has at least 2 pieces, one and the end")
    return options


def main() -> None:
    options = parsed()
    with tempfile.TemporaryDirectory() as folder:
        bench(options, Path(folder))


def bench(options: argparse.Namespace, folder: Path) -> None:
    from translator.config import load_config

    shape = SHAPES[options.shape]
    models = {ATTENTION: Measured("translator", [])}
    for kind in options.kind:
        models[kind] = Measured("translator", [f"model.{setting}" for setting in kind.split()])
    if options.peer:
        models[PEER] = Measured("peer", [])
    config = folder / "bench.yaml"
    config.write_text(json.dumps(configuration(options)))
    shapes = {name: load_config(config, model.overrides).model for name, model in models.items()}
    filter_native_logs()
    num_batches = options.warm_up + options.rounds * options.steps
    if options.length is None:
        announce("preparing the text")
        path, vocabulary_size = prepare(config, folder / "run", num_batches)
        announce("from the command to the first step")
        first_step = first_step_seconds(config, folder)
        print(f"first step {first_step:.1f} s after the command")
    else:
        path, vocabulary_size = folder / "batches.npz", shape.vocabulary_size
        random_batches(shape, options.length, num_batches, path)
    sizes = {
        name: (shape.tokens_per_step, model.model_dim, model.feed_forward_dim, vocabulary_size)
        for name, model in shapes.items()
    }
    machines = {size: Machine(*size) for size in dict.fromkeys(sizes.values())}
    with started(models, options.precision, config, path, vocabulary_size) as running:
        rounds = measure(options, running, list(machines.values()))
    batches = load_batches(path)[options.warm_up :]
    rooflines = {
        (name, precision): machines[sizes[name]].seconds(
            needed_products(model, batches, vocabulary_size), precision
        )
        for name, model in shapes.items()
        for precision in options.precision
    }
    for (_, width, inner, _), machine in machines.items():
        for precision in options.precision:
            print(f"width {width}, inner width {inner}: {machine.describe(precision)}")
    report(options, batches, rounds, rooflines)


Rounds = dict[tuple[str, str], list[Round]]
"""By name of the model and precision."""


def measure(
    options: argparse.Namespace, running: dict[tuple[str, str], Process], machines: list[Machine]
) -> Rounds:
    rounds: Rounds = {key: [] for key in running}
    for i, ((name, precision), process) in enumerate(running.items(), start=1):
        announce(f"warming up {name} in {precision}", i, len(running))
        process.ask(0, options.warm_up)
    end = None
    for i in range(options.rounds):
        first, began = options.warm_up + i * options.steps, time.monotonic()
        for machine in machines:
            machine.measure()
        for j, ((name, precision), process) in enumerate(running.items(), start=1):
            what = f"round {i + 1} of {options.rounds}: {name} in {precision}"
            announce(what, j, len(running), end)
            rounds[name, precision].append(Round(*process.ask(first, first + options.steps)))
        now = time.monotonic()
        end = now + (options.rounds - i - 1) * (now - began)
    return rounds


def report(
    options: argparse.Namespace,
    batches: list[Batch],
    rounds: Rounds,
    rooflines: dict[tuple[str, str], float],
) -> None:
    """Print a row for each model and precision."""
    steps, shape = options.steps, SHAPES[options.shape]
    tokens = [int(np.count_nonzero(labels)) for _, _, labels in batches]
    padding = 1 - sum(tokens) / sum(labels.size for _, _, labels in batches)
    print(
        f"{shape.num_layers}+{shape.num_layers} layers of width {shape.model_dim}; "
        f"{len(tokens)} steps, {np.mean(tokens):,.0f} target pieces a step, {padding:.1%} padding"
    )
    width = max(len(name) for name, _ in rounds)
    print(
        f"\n{'model':{width}}  precision  tokens/s  × attention  ms/step  peak MiB  roofline   loss"
    )
    speeds = {
        key: [sum(tokens[i * steps : (i + 1) * steps]) / r.seconds for i, r in enumerate(done)]
        for key, done in rounds.items()
    }
    for (name, precision), done in rounds.items():
        speed = speeds[name, precision]
        seconds = median(r.seconds for r in done) / steps
        print(
            f"{name:{width}}  {precision:9} {median(speed):9,.0f} "
            f"{median_ratio(speed, speeds[ATTENTION, precision]):12.2f} {1000 * seconds:8,.0f} "
            f"{done[-1].peak_mib:9,.0f} {rooflines[name, precision] / seconds:9.0%} "
            f"{np.mean(done[-1].losses):6.3f}"
        )
    for precision, other in itertools.product(options.precision, repeat=2):
        if options.peer:
            ratio = median_ratio(speeds[ATTENTION, precision], speeds[PEER, other])
            print(f"{ATTENTION} {precision} = {ratio:.2f} × {PEER} {other}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
    else:
        try:
            main()
        except UserError as error:
            sys.exit(f"Error: {error}")
