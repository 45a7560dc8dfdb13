"""Check that the working tree computes the same bits as another commit.

    .venv/bin/python scripts/compare_with.py COMMIT
    .venv/bin/python scripts/compare_with.py COMMIT --only tiny --only mixed

Both trees train the same runs on this machine, translate with them and score them. The script
compares all arrays of the best weights and of the newest checkpoint, n-best lists with scores,
greedy translations, and the scores of `translator eval`. It prints a table with the first
difference of each. The exit code is 1 if anything differs.

The other commit is checked out as a git worktree in a temporary folder, which is removed at the
end. The text is that of data/everyday in the working tree. Results are reproducible only on one
machine, so no digests are stored.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[1]
TEXT = ROOT / "data/everyday"

DATA = """\
data:
  source_language: en
  target_language: de
  folder: ../text
  validation: {tsv: validation.tsv}
  test: {tsv: test.tsv}
  max_length: 60
"""


class Run(NamedTuple):
    """A run that both trees train and translate with."""

    yaml: str | None
    """Its configuration; None means configs/tiny.yaml of each tree."""
    settings: tuple[str, ...] = ()
    tag: str = ""
    """Put in front of the lines to translate."""
    precisions: tuple[str, ...] = ("float32",)
    """Values of decoding.precision to translate with."""


RUNS = {
    "tiny": Run(
        None,
        (
            "training.max_steps=80",
            "training.validate_every=40",
            "training.save_every=40",
            "training.precision=float32",
        ),
    ),
    # R-Drop, accumulation, unigram sampling, joined pairs, mean of the best, post-norm.
    "joined": Run(
        DATA
        + """\
  train: {tsv: one.tsv}
tokenizer: {vocabulary_size: 600, sampling_alpha: 0.2}
model:
  num_layers: 2
  num_decoder_layers: 1
  model_dim: 48
  num_heads: 4
  feed_forward_dim: 96
  normalization: post
  positions: learned
  share_embeddings: target
  attention_dropout_rate: 0.1
training:
  seed: 3
  max_steps: 40
  tokens_per_step: 700
  accumulation_steps: 2
  r_drop: 5.0
  concatenation_rate: 0.5
  precision: float32
  averaging: {kind: best, count: 3}
  best_by: loss
  validate_every: 10
  save_every: 20
  optimizer: {learning_rate: 5e-3, warmup_steps: 10, schedule: cosine, weight_decay: 0.01}
decoding: {beam_size: 4, length_penalty: 0.8}
"""
    ),
    # Weighted and tagged corpora, BPE-dropout, bfloat16, checkpointed activations, moving average.
    "mixed": Run(
        DATA
        + """\
  train:
    - {tsv: one.tsv, weight: 3, tag: <one>}
    - {tsv: two.tsv, weight: 1, tag: <two>}
tokenizer: {kind: bpe, vocabulary_size: 600, sampling_alpha: 0.1}
model: {num_layers: 2, model_dim: 48, num_heads: 4, feed_forward_dim: 96, activation: gelu}
training:
  seed: 4
  max_steps: 40
  tokens_per_step: 700
  accumulation_steps: 2
  recompute_activations: true
  precision: bfloat16
  averaging: {kind: ema, decay: 0.9}
  validate_every: 20
  save_every: 20
  optimizer: {learning_rate: 5e-3, warmup_steps: 10, schedule: inverse_sqrt}
""",
        tag="<two> ",
        precisions=("float32", "bfloat16"),
    ),
    # One shard per processor, a temperature, R-Drop with checkpointed activations, no sharing.
    "apart": Run(
        DATA
        + """\
  train: [{tsv: one.tsv}, {tsv: two.tsv}]
  temperature: 5.0
tokenizer: {vocabulary_size: 500, joint: false}
model:
  num_layers: 1
  model_dim: 48
  num_heads: 2
  feed_forward_dim: 96
  share_embeddings: none
  activation_dropout_rate: 0.1
training:
  seed: 5
  max_steps: 40
  tokens_per_step: 700
  accumulation_steps: 1
  recompute_activations: true
  r_drop: 1.0
  label_smoothing: 0.0
  precision: float32
  averaging: {kind: last, count: 2}
  validate_every: 20
  save_every: 20
  optimizer: {learning_rate: 5e-3, warmup_steps: 10, schedule: linear, clip_norm: 0.5}
decoding: {beam_size: 3, length_penalty_kind: power}
"""
    ),
}


class Row(NamedTuple):
    """A row of the table."""

    run: str
    compared: str
    difference: str
    """Empty if there is none."""


class Failed(Exception):
    """A command failed. The other runs are still compared."""


class Side:
    """A tree, and the folder of its runs."""

    def __init__(self, tree: Path, folder: Path) -> None:
        self.tree, self.folder = tree, folder
        folder.mkdir()

    def make(self, name: str, run: Run) -> None:
        """Train a run, translate with it and score it. Raises Failed."""
        config = self.tree / "configs/tiny.yaml"
        if run.yaml is not None:
            config = self.folder / f"{name}.yaml"
            config.write_text(run.yaml, encoding="utf-8")
        self._translator("train", config, "--run", name, *_set(*run.settings))
        lines = self.folder / f"{name}-lines.txt"
        plain = (self.folder.parent / "text/lines.txt").read_text(encoding="utf-8")
        lines.write_text("".join(run.tag + line for line in plain.splitlines(True)), "utf-8")
        for precision in run.precisions:
            same = name, "-i", lines, *_set(f"decoding.precision={precision}")
            best, greedy = self.n_best(name, precision), self.greedy(name, precision)
            self._translator("translate", *same, "-o", best, "--n-best", 3)
            self._translator("translate", *same, "-o", greedy, *_set("decoding.beam_size=1"))
        self._translator("eval", name)

    def n_best(self, name: str, precision: str) -> Path:
        return self.folder / f"{name}-n-best-{precision}.txt"

    def greedy(self, name: str, precision: str) -> Path:
        return self.folder / f"{name}-greedy-{precision}.txt"

    def best(self, name: str) -> Path:
        return self.folder / name / "best.safetensors"

    def checkpoint(self, name: str) -> Path:
        return max((self.folder / name / "checkpoints").glob("step-*.safetensors"))

    def scores(self, name: str) -> dict[str, str]:
        report = json.loads((self.folder / name / "results/test.json").read_text("utf-8"))
        return {score["name"]: repr(score["value"]) for score in report["scores"]}

    def _translator(self, *arguments: object) -> None:
        environment = os.environ | {
            "PYTHONPATH": str(self.tree),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }
        command = [sys.executable, "-m", "translator", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise Failed(f"{self.tree}: {' '.join(command)} failed:\n{done.stderr[-2000:]}")


def _set(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def compare(name: str, run: Run, other: Side, own: Side) -> Iterator[Row]:
    """Make a run with both trees, and yield the comparisons. Raises Failed."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda side: side.make(name, run), (other, own)))
    yield Row(name, "best weights", arrays_differ(other.best(name), own.best(name)))
    checkpoints = other.checkpoint(name), own.checkpoint(name)
    yield Row(name, f"checkpoint {checkpoints[1].stem}", arrays_differ(*checkpoints))
    for precision in run.precisions:
        pair = other.n_best(name, precision), own.n_best(name, precision)
        yield Row(name, f"3-best with scores, {precision}", lines_differ(*pair))
        pair = other.greedy(name, precision), own.greedy(name, precision)
        yield Row(name, f"greedy, {precision}", lines_differ(*pair))
    there, here = other.scores(name), own.scores(name)
    wrong = [
        f"{key}: {there.get(key, 'absent')}, now {here.get(key, 'absent')}"
        for key in sorted(there.keys() | here.keys())
        if there.get(key) != here.get(key)
    ]
    yield Row(name, "scores of eval", "; ".join(wrong))


def arrays_differ(other: Path, own: Path) -> str:
    """How two files of arrays differ; "" if they do not. Order and metadata do not count."""
    if other.name != own.name:
        return f"{other.name}, now {own.name}"
    there, here = load_file(other), load_file(own)
    wrong = []
    for name in sorted(there.keys() | here.keys()):
        if name not in there or name not in here:
            wrong.append(f"{name} is only {'here' if name in here else 'there'}")
            continue
        a, b = there[name], here[name]
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            wrong.append(f"{name} is {a.dtype} {a.shape}, now {b.dtype} {b.shape}")
        elif a.tobytes() != b.tobytes():
            largest = np.abs(a.astype(np.float64) - b.astype(np.float64)).max()
            wrong.append(f"{name} by up to {largest:.3g}")
    return f"{len(wrong)} of {len(there)} arrays; first {wrong[0]}" if wrong else ""


def lines_differ(other: Path, own: Path) -> str:
    """How many lines of two files differ, and the first of them; "" if none does."""
    there, here = (path.read_text("utf-8").removesuffix("\n").split("\n") for path in (other, own))
    if len(there) != len(here):
        return f"{len(there)} lines, now {len(here)}"
    wrong = [i for i, (a, b) in enumerate(zip(there, here, strict=True)) if a != b]
    if not wrong:
        return ""
    first = wrong[0]
    return f"{len(wrong)} of {len(there)} lines; line {first + 1}: {there[first]} | {here[first]}"


def write_text(folder: Path) -> None:
    """Write small corpora, and lines to translate: some are empty, long or unlike the corpus."""
    folder.mkdir()
    slices = {
        "one": ("train", 0, 1500),
        "two": ("train", 1500, 2000),
        "validation": ("validation", 0, 50),
        "test": ("test", 0, 50),
    }
    for name, (split, start, stop) in slices.items():
        with (TEXT / f"{split}.tsv").open(encoding="utf-8") as lines:
            (folder / f"{name}.tsv").write_text("".join(islice(lines, start, stop)), "utf-8")
    rows = (folder / "test.tsv").read_text("utf-8").splitlines()[:20]
    sources = [row.split("\t")[0] for row in rows]
    sources += ["", "?", "Ŵhere is the 北 station? 😀", " ".join(sources[:12])]
    (folder / "lines.txt").write_text("".join(f"{line}\n" for line in sources), "utf-8")


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """Check out a commit as a worktree in `folder`, and remove it at the end."""

    def git(*arguments: object) -> None:
        subprocess.run(["git", "-C", ROOT, "worktree", *map(str, arguments)], check=True)

    git("add", "--quiet", "--detach", folder, commit)
    try:
        yield folder
    finally:
        git("remove", "--force", folder)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the working tree with another commit.")
    parser.add_argument("commit", help="any revision, such as 6ab5e60 or HEAD~1")
    parser.add_argument(
        "--only", action="append", choices=RUNS, help="compare this run only; may be repeated"
    )
    options = parser.parse_args()
    chosen = {name: RUNS[name] for name in options.only or RUNS}
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory(prefix="compare-") as folder,
        checked_out(options.commit, Path(folder) / "tree") as tree,
    ):
        write_text(Path(folder) / "text")
        other, own = Side(tree, Path(folder) / "other"), Side(ROOT, Path(folder) / "own")
        for name, run in chosen.items():
            print(f"{name} …", file=sys.stderr)
            try:
                rows += compare(name, run, other, own)
            except Failed as error:
                rows.append(Row(name, "training", str(error)))
    table = Table("run", "compared", f"difference from {options.commit}")
    for row in rows:
        table.add_row(row.run, row.compared, escape(row.difference) or "same")
    Console().print(table)
    if any(row.difference for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
