"""A run that is killed again and again ends with the same bits as an uninterrupted one."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from translator.config import load_config
from translator.models.weights import Arrays, load_arrays
from translator.runs import RunDirectory

ROOT = Path(__file__).parents[2]

CONFIG = """\
data:
  source_language: en
  target_language: de
  train:
  - {tsv: train.tsv, tag: <2de>, weight: 2}
  - {tsv: more.tsv, weight: 1}
  validation: {tsv: validation.tsv, tag: <2de>}
tokenizer: {vocabulary_size: 350, sampling_alpha: 0.2}
model:
  num_layers: 1
  model_dim: 16
  num_heads: 2
  feed_forward_dim: 32
  dropout_rate: 0.2
  attention_dropout_rate: 0.1
training:
  max_steps: 120
  tokens_per_step: 400
  accumulation_steps: 2
  r_drop: 2.0
  concatenation_rate: 0.5
  precision: float32
  validate_every: 30
  save_every: 8
  best_by: loss
  optimizer: {learning_rate: 5e-3, warmup_steps: 20}
  averaging: {kind: ema, decay: 0.9}
decoding: {beam_size: 2, max_length_ratio: 1.0, max_length_extra: 0}
"""

WITH_A_SIGNAL = """
import os, signal, sys
from pathlib import Path
import translator.evaluation.validation as validation
from translator.cli.app import main
from translator.training.train_step import TrainStep
from translator.training.distributed import worker_group
from translator.training.metrics_writer import MetricsWriter

place, count, number = sys.argv.pop(1), int(sys.argv.pop(1)), int(sys.argv.pop(1))
left = count
if silence := os.environ.get("SILENCE_SECONDS"):
    worker_group.SILENCE_SECONDS = float(silence)
if fails_at := [int(step) for step in os.environ.get("FAILS_AT", "").split()]:
    real_update = TrainStep.update
    def failing(self, shards, step, rate):
        result = real_update(self, shards, step, rate)
        if step in fails_at:
            full = 5e-3 * min(step / 20, (20 / step) ** 0.5) * 0.5 ** fails_at.index(step)
            return result._replace(loss=float("nan")) if rate > 0.6 * full else result
        return result
    TrainStep.update = failing

def reached():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), number)

def before(owner, name, act=lambda *_: None):
    real = getattr(owner, name)
    def wrapped(*arguments, **keys):
        act(*arguments)
        reached()
        return real(*arguments, **keys)
    setattr(owner, name, wrapped)

def cut_in_half(file):
    if left == 1 and os.fstat(file).st_size:
        os.ftruncate(file, os.fstat(file).st_size // 2)

match place:
    case "writing": before(os, "fsync", cut_in_half)
    case "renaming": before(Path, "replace")
    case "validation": before(validation, "symptoms")
    case "record": before(MetricsWriter, "_add_validation")
    case "step": before(TrainStep, "update")
main()
"""
"""The command sends itself a signal when it reaches a place for the count-th time. At the steps in
FAILS_AT the loss is NaN, unless the learning rate has been halved for each of them so far."""

KILLS = [
    ("writing", 1),  # no checkpoint is complete yet
    ("random start", 0),
    ("random", 0),
    ("validation", 1),
    ("renaming", 2),  # between the first and the second file after a validation
    ("record", 1),  # a validation is over and not yet in metrics.jsonl
]
STOPS = [
    ("step", 18, signal.SIGTERM),  # neither a save nor a record is due
    ("validation", 1, signal.SIGINT),  # at step 60
]


class Folder:
    """A working directory with a configuration and a little text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = RunDirectory(path / "runs/c")
        (path / "c.yaml").write_text(CONFIG)
        texts = (("train", "train", 0, 60), ("more", "train", 60, 90))
        for name, origin, start, end in (*texts, ("validation", "validation", 0, 4)):
            with (ROOT / f"data/everyday/{origin}.tsv").open() as lines:
                (path / f"{name}.tsv").write_text("".join(itertools.islice(lines, start, end)))

    def start(
        self, *options: str, before: Sequence[str] = (), **environment: str
    ) -> "subprocess.Popen[str]":
        """Start `python *options train c.yaml`; `before` is a command that runs it, such as ip."""
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LD_LIBRARY_PATH")}
        folders = {"HOME": str(self.path), "XDG_CACHE_HOME": str(self.path / "cache")}
        return subprocess.Popen(
            [*before, sys.executable, *options, "train", "c.yaml"],
            cwd=self.path,
            env=kept | folders | {"PYTHONPATH": str(ROOT)} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def train(self, *options: str, **environment: str) -> tuple[int, str]:
        """Exit code and output of a session."""
        process = self.start(*options or ("-m", "translator"), **environment)
        output, _ = process.communicate(timeout=300)
        return process.returncode, output

    def train_until(
        self, place: str, count: int, number: int, **environment: str
    ) -> tuple[int, str]:
        """A session that gets a signal when it reaches a place for the count-th time."""
        return self.train("-c", WITH_A_SIGNAL, place, str(count), str(number), **environment)

    def kill_after(self, seconds: float, checkpoints: bool) -> None:
        """SIGKILL a session some seconds after its start, or after its first new checkpoint."""
        known = set(self.run.checkpoints())
        process = self.start("-m", "translator")
        while checkpoints and process.poll() is None and known >= set(self.run.checkpoints()):
            time.sleep(0.005)
        time.sleep(seconds)
        process.kill()
        process.communicate()

    def last(self) -> Arrays:
        return load_arrays(self.run.checkpoints()[-1])[0]

    def best(self) -> tuple[Arrays, dict[str, Any]]:
        return load_arrays(self.run.best)

    def metrics(self) -> list[dict[str, Any]]:
        rows = map(json.loads, self.run.metrics.read_text().splitlines())
        return [{k: v for k, v in row.items() if "second" not in k} for row in rows]

    def translations(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.run.validations()}


def assert_same_bits(one: Arrays, other: Arrays) -> None:
    assert one.keys() == other.keys()
    different = [name for name in one if not np.array_equal(one[name], other[name])]
    assert different == []


def assert_same_run(one: Folder, other: Folder) -> None:
    assert [p.name for p in one.run.checkpoints()] == [p.name for p in other.run.checkpoints()]
    assert_same_bits(one.last(), other.last())
    assert_same_bits(one.best()[0], other.best()[0])
    assert one.best()[1] == other.best()[1]
    weights = [(folder.run.best, *folder.run.snapshots()) for folder in (one, other)]
    for own, others in zip(*weights, strict=True):
        assert own.read_bytes() == others.read_bytes(), own.name
    assert one.translations() == other.translations()
    assert one.metrics() == other.metrics()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("unbroken"))
    code, output = folder.train()
    assert code == 0, output
    return folder


@pytest.mark.slow
def test_killed_or_stopped_at_any_moment_a_run_ends_with_the_same_bits(
    unbroken: Folder, tmp_path: Path
) -> None:
    folder = Folder(tmp_path)
    moments = random.Random(20)
    for place, count in KILLS:
        if place.startswith("random"):
            is_running = place == "random"
            folder.kill_after(moments.uniform(0, 0.4 if is_running else 5), is_running)
        else:
            code, output = folder.train_until(place, count, signal.SIGKILL)
            assert code in (-signal.SIGKILL, 0), output
    for place, count, number in STOPS:
        code, output = folder.train_until(place, count, number)
        assert code == 128 + number, output
        assert "Traceback" not in output
        assert output.endswith("Stopped. The same command continues runs/c.\n")
    code, output = folder.train()
    assert code == 0, output
    assert "Continuing runs/c after step 60." in output
    assert_same_run(folder, unbroken)
    assert list(folder.run.path.rglob("*.unfinished")) == []


@pytest.mark.slow
def test_a_run_that_rolled_back_and_was_killed_ends_with_the_same_bits(
    unbroken: Folder, tmp_path: Path
) -> None:
    """From step 5 back to the beginning, and from 69 to 64, which has no row of metrics.jsonl.

    It is killed two steps after each rollback.
    """
    keys = {"FAILS_AT": "5 69"}
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    whole, broken = Folder(tmp_path / "whole"), Folder(tmp_path / "broken")
    code, output = whole.train_until("nowhere", 1, 0, **keys)
    assert code == 0, output
    for number, (step, back) in enumerate([(5, 0), (69, 64)], start=1):
        assert f"Training diverged: the loss at step {step} is nan (gradient norm " in output
        assert (
            f"Training returns to step {back} and continues with half the learning rate (rollback "
            f"{number} of at most 3). runs/c/incidents/step-{step:08}-{number}.json has the "
            "details."
        ) in output

    dry_run_steps = 3
    for step in (5, 69):
        count = dry_run_steps + step + 2
        code, output = broken.train_until("step", count, signal.SIGKILL, **keys)
        assert code == -signal.SIGKILL, output
        assert output.count("Training returns") == 1
    assert "Continuing runs/c after step 0." in output
    code, output = broken.train_until("nowhere", 1, 0, **keys)
    assert code == 0, output
    assert "Continuing runs/c after step 64." in output
    assert "Training returns" not in output
    assert_same_run(broken, whole)
    weights = {name.partition("/")[2] for name in whole.last() if name.startswith("weights/")}
    for number, step in enumerate((5, 69), start=1):
        incident = whole.run.incident(step, number).read_text()
        assert incident == broken.run.incident(step, number).read_text()
        assert json.loads(incident)["gradient_norms"].keys() == weights
    different = [name for name, w in whole.last().items() if (w != unbroken.last()[name]).any()]
    assert len(different) == len(whole.last())


@pytest.mark.slow
def test_the_run_uses_every_source_of_randomness(unbroken: Folder) -> None:
    """Otherwise the tests above would prove little."""
    config = load_config(unbroken.run.config)
    assert config.tokenizer.sampling_alpha and config.model.dropout_rate
    assert config.training.r_drop and config.training.concatenation_rate
    assert (config.data.weights, config.data.tags) == ([2, 1], ["<2de>"])
    state = unbroken.last()
    kinds = {name.partition("/")[0] for name in state}
    assert kinds == {"weights", "first_moments", "second_moments", "averages"}
    rows = [row["step"] for row in unbroken.metrics() if row["kind"] == "train"]
    assert rows == [1, 2, 4, 8, 16, 32, 50, 100]
    validations = [row for row in unbroken.metrics() if row["kind"] == "validation"]
    assert [row["step"] for row in validations] == [30, 60, 90, 120]
    assert validations[-1]["loss"] < validations[0]["loss"]
