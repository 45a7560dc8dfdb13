"""Measure the speed of training, beside the limit of the machine and a PyTorch model.

    .venv/bin/python scripts/bench_train.py --source train.en --target train.de
    .venv/bin/python scripts/bench_train.py --source train.en --target train.de --peer --shape B

Text is prepared as `translator train` prepares it. The engines are translator and, with --peer,
Hugging Face's MarianMTModel in PyTorch (from the extra `bench`). Each engine runs in one process
per precision. All processes take turns at the same batches of ids, so that a busy machine slows all
of them equally. The output has medians over the rounds:

- tokens/s: target pieces per second without padding; ms/step; the share of padding;
- memory: the peak resident memory of the engine's process, libraries included;
- first step: from typing `translator train`, on prepared text, to the end of the first step;
- roofline: the time that the matrix products of the real tokens alone would take, at the rates
  that `tf.matmul` reaches here on the model's shapes, divided by the time of a step.
"""

from __future__ import annotations

import argparse
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
from machine import PRECISIONS, Machine, Products
from turns import Process, announce, answer_lines

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


class Round(NamedTuple):
    """What an engine reports after some steps."""

    seconds: float
    losses: list[float]
    peak_mib: float


def configuration(shape: Shape, source: Path, target: Path) -> dict[str, Any]:
    """The configuration of a run. Its validation text is the training text, and is not used."""
    text = {"source": str(source.resolve()), "target": str(target.resolve())}
    return {
        "data": {"source_language": "en", "target_language": "de", "train": text}
        | {"validation": text},
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


def load_batches(path: Path) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    arrays = np.load(path)
    return [
        (arrays[f"source_{i}"], arrays[f"target_{i}"], arrays[f"labels_{i}"])
        for i in range(len(arrays.files) // 3)
    ]


Step = Callable[[tuple[np.ndarray, np.ndarray, np.ndarray], int], float]
"""What an engine is: (batch, step) → mean loss per token, after an update of the model."""


def translator_engine(config_path: Path, precision: str, vocabulary_size: int) -> Step:
    from translator.config import load_config
    from translator.data.batches import Batch
    from translator.models.build import build_model
    from translator.processors import share_processors
    from translator.training.distributed.strategy import shards_at_once
    from translator.training.optimizer import learning_rate
    from translator.training.train_step import TrainStep

    config = load_config(config_path)
    at_once = shards_at_once(config.training, alone=True)
    share_processors(at_once)
    model = build_model(config, vocabulary_size, vocabulary_size, precision, learns=True)
    train_step = TrainStep(model, config.training, at_once)

    def step(arrays: tuple[np.ndarray, np.ndarray, np.ndarray], number: int) -> float:
        rate = learning_rate(config.training.optimizer, number, 0.0)
        shards = [np.array_split(array, train_step.num_shards) for array in arrays]
        return train_step.update(
            [Batch(*shard) for shard in zip(*shards, strict=True)], number, rate
        ).loss

    return step


def marian_settings(shape: ModelConfig, vocabulary_size: int) -> dict[str, Any]:
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
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "eos_token_id": 3,
        "decoder_start_token_id": 2,
    }


def peer_engine(config_path: Path, precision: str, vocabulary_size: int) -> Step:
    import torch
    from transformers import MarianConfig, MarianMTModel

    from translator.config import load_config
    from translator.training.optimizer import learning_rate

    config = load_config(config_path)
    torch.manual_seed(1)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = MarianMTModel(MarianConfig(**marian_settings(config.model, vocabulary_size)))
    model.train()
    settings = config.training.optimizer
    optimizer = torch.optim.Adam(
        model.parameters(), betas=(settings.beta_1, settings.beta_2), eps=settings.epsilon
    )

    def step(arrays: tuple[np.ndarray, np.ndarray, np.ndarray], number: int) -> float:
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


def serve(engine: str, config: Path, precision: str, batches: Path, vocabulary_size: int) -> None:
    """Run the child: for every line `first last`, do these steps (last excluded) and report."""

    def make() -> Callable[[str], Round]:
        from translator.environment import peak_memory

        loaded = load_batches(batches)
        step = ENGINES[engine](config, precision, vocabulary_size)

        def answer(line: str) -> Round:
            first, last = map(int, line.split())
            started = time.perf_counter()
            losses = [step(loaded[i % len(loaded)], i + 1) for i in range(first, last)]
            return Round(time.perf_counter() - started, losses, peak_memory() / 2**20)

        return answer

    answer_lines(make)


def needed_products(
    shape: Shape, batches: list[tuple[np.ndarray, np.ndarray, np.ndarray]], vocabulary_size: int
) -> Products:
    """Operations of the mean step, for real tokens only. A multiplication counts as two."""
    width, inner, layers = shape.model_dim, shape.feed_forward_dim, shape.num_layers
    dense = attention = logits = 0
    for source, _, labels in batches:
        s, t = np.count_nonzero(source, axis=1), np.count_nonzero(labels, axis=1)
        feed_forward = 2 * width * inner
        encoder = 4 * width**2 + feed_forward
        decoder = 6 * width**2 + feed_forward  # cross-attention's keys and values count as source
        dense += layers * int(s.sum()) * (encoder + 2 * width**2) + layers * int(t.sum()) * decoder
        attention += layers * 2 * width * int((s * s + t * t + s * t).sum())
        logits += int(t.sum()) * width * vocabulary_size
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
def engines(
    names: list[str], precisions: list[str], *facts: object
) -> Iterator[dict[tuple[str, str], Process]]:
    config, batches, vocabulary_size = facts
    started = {
        (name, precision): Process(__file__, name, config, precision, batches, vocabulary_size)
        for name in names
        for precision in precisions
    }
    try:
        yield started
    finally:
        for engine in started.values():
            engine.close()


def main() -> None:
    title, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=title, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, required=True, help="training text")
    parser.add_argument("--target", type=Path, required=True, help="its translation")
    parser.add_argument("--shape", choices=SHAPES, default="S", help="size of the model")
    parser.add_argument("--precision", choices=PRECISIONS, nargs="+", default=list(PRECISIONS))
    parser.add_argument("--peer", action="store_true", help="compare with MarianMT in PyTorch")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each engine (7)")
    parser.add_argument("--steps", type=int, default=10, help="steps per round (10)")
    parser.add_argument("--warm-up", type=int, default=5, help="steps before the first round (5)")
    options = parser.parse_args()
    shape = SHAPES[options.shape]
    names = ["translator", "peer"] if options.peer else ["translator"]

    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "bench.yaml")
        config.write_text(json.dumps(configuration(shape, options.source, options.target)))
        filter_native_logs()
        num_batches = options.warm_up + options.rounds * options.steps
        announce("preparing the text")
        path, vocabulary_size = prepare(config, Path(folder, "run"), num_batches)
        batches = load_batches(path)
        announce("from the command to the first step")
        first_step = first_step_seconds(config, Path(folder))
        tokens, width, inner = shape.tokens_per_step, shape.model_dim, shape.feed_forward_dim
        machine = Machine(tokens, width, inner, vocabulary_size)
        rounds: dict[tuple[str, str], list[Round]] = {}
        with engines(names, options.precision, config, path, vocabulary_size) as running:
            for i, ((name, precision), engine) in enumerate(running.items(), start=1):
                announce(f"warming up {name} in {precision}", i, len(running))
                engine.ask(0, options.warm_up)
            for i in range(options.rounds):
                start = options.warm_up + i * options.steps
                machine.measure()
                for j, ((name, precision), engine) in enumerate(running.items(), start=1):
                    announce(
                        f"round {i + 1} of {options.rounds}: {name} in {precision}", j, len(running)
                    )
                    answer = engine.ask(start, start + options.steps)
                    rounds.setdefault((name, precision), []).append(Round(*answer))
    measured = batches[options.warm_up :]
    report(shape, options.steps, measured, rounds, machine, vocabulary_size, first_step)


def report(
    shape: Shape,
    steps: int,
    batches: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
    rounds: dict[tuple[str, str], list[Round]],
    machine: Machine,
    vocabulary_size: int,
    first_step: float,
) -> None:
    tokens = [int(np.count_nonzero(labels)) for _, _, labels in batches]
    padding = 1 - sum(tokens) / sum(labels.size for _, _, labels in batches)
    print(
        f"{shape.num_layers}+{shape.num_layers} layers of width {shape.model_dim}, "
        f"{vocabulary_size:,} pieces; {len(tokens)} steps, {padding:.1%} padding"
    )
    print(f"first step {first_step:.1f} s after the command\n")
    products = needed_products(shape, batches, vocabulary_size)
    for precision in PRECISIONS:
        print(machine.describe(precision))
    print("\nengine      precision  tokens/s  ms/step  peak MiB  roofline   loss")
    speeds = {}
    for (name, precision), done in rounds.items():
        speeds[name, precision] = [
            sum(tokens[i * steps : (i + 1) * steps]) / r.seconds for i, r in enumerate(done)
        ]
        seconds = median(r.seconds for r in done) / steps
        share = machine.seconds(products, precision) / seconds
        print(
            f"{name:11} {precision:9} {median(speeds[name, precision]):9,.0f} "
            f"{1000 * seconds:8,.0f} {done[-1].peak_mib:9,.0f} {share:9.0%} "
            f"{np.mean(done[-1].losses):6.3f}"
        )
    for (name, precision), ours in speeds.items():
        for (other, other_precision), theirs in speeds.items():
            if name == "translator" and other == "peer":
                ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
                print(f"translator {precision} = {ratio:.2f} × peer {other_precision}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        name, config_path, precision_name, batches_path, size = sys.argv[2:]
        serve(name, Path(config_path), precision_name, Path(batches_path), int(size))
    else:
        try:
            main()
        except UserError as error:
            sys.exit(f"Error: {error}")
