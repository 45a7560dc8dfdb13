"""The child process learns the same model as this process would, and ends with its parent."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from translator.data.sentencepiece_process import SentencePieceError, train_model

ROOT = Path(__file__).parents[2]
EVERYDAY = (ROOT / "data/everyday/train.tsv").read_text(encoding="utf-8")
SENTENCES = [text for line in EVERYDAY.splitlines() for text in line.split("\t")]
OPTIONS = {"vocab_size": 300, "minloglevel": 2, "num_threads": 2}


def children() -> set[int]:
    return {
        int(child)
        for thread in Path("/proc/self/task").iterdir()
        for child in (thread / "children").read_text().split()
    }


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize("sentences", [SENTENCES[:400], ["a\nb c", "", "\u2028 d", "\x00 e"] * 9])
def test_model_equals_one_trained_in_this_process(kind: str, sentences: list[str]) -> None:
    options: dict[str, Any] = OPTIONS | {"vocab_size": 400, "model_type": kind}
    options |= {"hard_vocab_limit": False, "byte_fallback": True}
    model = io.BytesIO()
    sentencepiece.set_random_generator_seed(7)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=model, **options
    )
    assert train_model(iter(sentences), 7, options) == model.getvalue()


def test_error_has_the_reason_from_sentencepiece() -> None:
    with pytest.raises(SentencePieceError, match="Vocabulary size too high"):
        train_model(SENTENCES[:10], 1, OPTIONS | {"vocab_size": 10_000})


def test_error_names_the_exit_code_of_a_killed_child(monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen

    def killed(*arguments: object, **keys: object) -> "subprocess.Popen[bytes]":
        process: subprocess.Popen[bytes] = real(*arguments, **keys)  # type: ignore[call-overload]
        process.kill()
        return process

    monkeypatch.setattr(subprocess, "Popen", killed)
    with pytest.raises(SentencePieceError, match="its process ended with code -9"):
        train_model(SENTENCES, 1, OPTIONS)


@pytest.mark.parametrize("count", [1, 5_000])
def test_exception_from_reading_ends_the_child(count: int) -> None:
    before = children()

    def breaks_off() -> Iterator[str]:
        yield from SENTENCES[:count]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(breaks_off(), 1, OPTIONS)
    assert children() == before


LONG = """
from translator.data.sentencepiece_process import train_model

def sentences():
    yield from (f"{i * 7919 % 99991} {i * 31 % 1009} {i}" for i in range(400_000))
    print("fed", flush=True)

train_model(sentences(), 1, {"vocab_size": 8000, "minloglevel": 2})
"""
"""Its training takes much longer than the test."""


@pytest.mark.slow
def test_child_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LONG],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"fed\n"
        time.sleep(0.5)
        [child] = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert "serve" in Path(f"/proc/{child}/cmdline").read_text()
        parent.kill()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()
