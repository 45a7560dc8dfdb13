"""A folder with a little text, and one tiny run that all tests of the command line share."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from shutil import copytree

import pytest

from translator.cli import app
from translator.cli.terminal import shown_messages
from translator.workflows.train import train

ROOT = Path(__file__).parents[2]
COUNTS = {"train": 60, "validation": 5, "test": 5}
CONFIG = """\
data:
  source_language: en
  target_language: de
  train: {tsv: train.tsv}
  validation: {tsv: validation.tsv}
  test: {tsv: test.tsv}
  max_length: 80
tokenizer: {vocabulary_size: 340}
model: {num_layers: 1, model_dim: 16, num_heads: 2, feed_forward_dim: 32}
training:
  max_steps: 20
  tokens_per_step: 400
  precision: float32
  validate_every: 10
  save_every: 5
  best_by: loss
  optimizer: {learning_rate: 5e-3, warmup_steps: 5}
decoding: {beam_size: 3, max_length_ratio: 1.0, max_length_extra: 0}
"""

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Type = Callable[..., int]


@pytest.fixture(autouse=True)
def messages() -> Iterator[None]:
    """Show the log of the workflows on stderr, as in a command."""
    with shown_messages():
        yield


@pytest.fixture
def type_(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Runs `translator` with some arguments in this process; returns the exit code."""
    for name in ("training_process", "inference_process"):
        monkeypatch.setattr(app, name, lambda **_: nullcontext())

    def type_in(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["translator", *words])
        with pytest.raises(SystemExit) as exit:
            app.main()
        return int(exit.value.code or 0)

    return type_in


def lay_out(folder: Path) -> None:
    """Put c.yaml and its text into a folder."""
    (folder / "c.yaml").write_text(CONFIG)
    for name, count in COUNTS.items():
        with (ROOT / f"data/everyday/{name}.tsv").open(encoding="utf-8") as lines:
            text = "".join(itertools.islice(lines, count))
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")
        for side, suffix in enumerate(("en", "de")):
            column = [line.split("\t")[side] for line in text.splitlines()]
            (folder / f"{name}.{suffix}").write_text("\n".join(column) + "\n", encoding="utf-8")


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and home, with c.yaml and its text."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which c.yaml has been trained into runs/c."""
    folder = tmp_path_factory.mktemp("trained")
    lay_out(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder / "home"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.chdir(folder)
        train(Path("c.yaml"))
    return folder


@pytest.fixture
def run(trained: Path, workplace: Path) -> Path:
    """A copy of the trained run, as runs/c of the workplace."""
    copytree(trained / "runs/c", workplace / "runs/c")
    config = workplace / "runs/c/config.yaml"
    config.write_text(config.read_text().replace(str(trained), str(workplace)))
    return Path("runs/c")


@pytest.fixture
def command(workplace: Path) -> Command:
    """Runs `translator` with some arguments in a process of its own."""

    def start(
        *arguments: str, stdin: str = "", code: str | None = None, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "XDG_CACHE_HOME")}
        return subprocess.run(
            [sys.executable, *(["-c", code] if code else ["-m", "translator"]), *arguments],
            env=kept | {"PYTHONPATH": str(ROOT)} | environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return start
