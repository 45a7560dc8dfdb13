"""A student learns from a teacher: killed and continued, and without the teacher."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from shutil import rmtree

import pytest

from translator.decoding.translator import Translator
from translator.workflows.distill import distill
from translator.workflows.train import train

from .conftest import ROOT

pytestmark = pytest.mark.slow

WORDS = {"red": "rot", "green": "grün", "blue": "blau", "ok": "ok"}
CONFIG = """\
data:
  source_language: en
  target_language: de
  train:
    - {source: train.en, target: train.de, tag: <word>}
    - {source: train.en, target: train.no}
  validation: {source: valid.en, target: valid.de, tag: <word>}
  max_length: 8
tokenizer: {kind: word, vocabulary_size: 30}
model: {num_layers: 1, model_dim: 16, num_heads: 2, feed_forward_dim: 32, dropout_rate: 0,
  embedding_dropout_rate: 0}
training:
  max_steps: 90
  tokens_per_step: 200
  precision: float32
  validate_every: 90
  save_every: 90
  averaging: {kind: none}
  optimizer: {learning_rate: 2e-2, warmup_steps: 10}
decoding: {beam_size: 2}
"""


@pytest.fixture
def teacher(workplace: Path) -> Path:
    """A run that translates the first word of a sentence behind <word>, and all else as nein."""
    random = Random(1)
    sentences = [random.choices(list(WORDS), k=random.choice([1, 1, 2, 3, 4])) for _ in range(300)]
    for name, some in (("train", sentences[:280]), ("valid", sentences[280:])):
        source = "".join(f"{' '.join(words)}\n" for words in some)
        target = "".join(f"{WORDS[words[0]]}\n" for words in some)
        (workplace / f"{name}.en").write_text(source, encoding="utf-8")
        (workplace / f"{name}.de").write_text(target, encoding="utf-8")
        (workplace / f"{name}.no").write_text(len(some) * "nein\n", encoding="utf-8")
    (workplace / "t.yaml").write_text(CONFIG)
    return train("t.yaml")


def kill_amid_translation(state: Path, *arguments: str) -> None:
    """Run `translator distill`, and kill it once it has saved a part of the translations."""
    with subprocess.Popen(
        [sys.executable, "-m", "translator", "distill", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    ) as process:
        deadline = time.monotonic() + 120
        while not (state.exists() and json.loads(state.read_text())["lines"]):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        process.kill()
        process.communicate(timeout=60)  # until the process of the teacher has ended, too
    assert state.exists()


def test_killed_and_continued_it_trains_a_student_that_needs_no_teacher(
    teacher: Path, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = 50 * [*(workplace / "train.en").read_text().splitlines(), "", " ".join(9 * ["red"])]
    (workplace / "mono.en").write_text("".join(f"{line}\n" for line in text))
    kill_amid_translation(
        Path("runs/s/translated/translated-1.output.resume"),
        *("t.yaml", "--teacher", str(teacher), "--run", "runs/s", "--text", "mono.en"),
        *("--tag", "<word>", "--set", "training.max_steps=4"),
    )
    capsys.readouterr()
    keys = ["training.max_steps=4"]
    distill("t.yaml", teacher, "runs/s", ["mono.en"], tag="<word>", overrides=keys)
    messages = capsys.readouterr().err
    assert " of 14,100 translations kept. Left out: 50 empty, 50 truncated, " in messages
    assert "Finished after 4 steps" in messages

    tagged = [f"<word> {line}" for line in text]
    pairs = list(zip(text, Translator.load(teacher).translate(tagged), strict=True))
    assert dict(pairs)["red"] == "rot"
    usable = [pair for pair in pairs if pair[0] not in ("", pair[1], text[-1])]
    for side, part in enumerate(("source", "target")):
        path = Path(f"runs/s/translated/translated-1.{part}")
        assert path.read_text(encoding="utf-8").splitlines() == [pair[side] for pair in usable]

    rmtree(teacher)
    (workplace / "mono.en").unlink()
    Path("runs/s").rename("runs/renamed")
    train("runs/renamed", overrides=["training.max_steps=6"])
    assert "Finished after 6 steps" in capsys.readouterr().err
