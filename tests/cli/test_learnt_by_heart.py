"""A model that has learnt its text by heart reproduces it exactly, and so do its exports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from translator.decoding.translator import Translator
from translator.workflows.export import export_run
from translator.workflows.train import train

pytestmark = pytest.mark.slow

PAIRS = {
    "Good morning, how are you?": "早上好，你好吗？（全角）ＡＢＣ",
    "Ten percent of it.": "10\u00a0% …  ½ x² №",
    "Big greetings": "gro\u0308ße Grüße",
    "The brand": "Die  Marke™\tist ﬁne",
    "I want to go": "می\u200cخواهم بروم",
    "Family": "👩\u200d👩\u200d👧 ครอบครัวทำ",
}
CONFIG = """\
data:
  source_language: en
  target_language: de
  train: {source: text.en, target: text.de}
  validation: {source: text.en, target: text.de}
tokenizer: {vocabulary_size: 400}
model: {num_layers: 1, model_dim: 64, num_heads: 2, feed_forward_dim: 128, dropout_rate: 0,
  embedding_dropout_rate: 0}
training:
  max_steps: 600
  tokens_per_step: 400
  precision: float32
  label_smoothing: 0
  validate_every: 600
  save_every: 600
  averaging: {kind: none}
  optimizer: {learning_rate: 5e-3, schedule: linear, warmup_steps: 20}
decoding: {beam_size: 2, max_length_ratio: 5}
"""


def test_every_target_is_reproduced_exactly(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, lines in (("text.en", PAIRS.keys()), ("text.de", PAIRS.values())):
        text = "".join(f"{line}\n" for line in lines)
        (workplace / name).write_text(text, encoding="utf-8", newline="\n")
    (workplace / "c.yaml").write_text(CONFIG)
    train(Path("c.yaml"))
    assert "cannot produce" not in capsys.readouterr().err
    assert Translator.load("runs/c").translate(list(PAIRS)) == list(PAIRS.values())
    export_run("runs/c", output="exported")
    result = subprocess.run(
        [sys.executable, "exported/example.py"],
        input="".join(f"{line}\n" for line in PAIRS).encode(),
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONUTF8": "1"},
    )
    assert result.stdout.decode() == "".join(f"{line}\n" for line in PAIRS.values())
