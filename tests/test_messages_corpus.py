"""The corpus in data/messages is what its generator writes, and cannot be learnt by heart."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data/messages"


def read_pairs(split: str) -> list[tuple[str, str]]:
    lines = (DATA / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
    return [(text, subject) for text, subject in (line.split("\t") for line in lines)]


def test_the_generator_writes_these_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "scripts/make_messages_corpus.py"
    spec = importlib.util.spec_from_file_location("make_messages_corpus", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", ["make", "--output", str(tmp_path)])
    module.main()
    names = {file.name for file in DATA.iterdir()}
    assert {file.name for file in tmp_path.iterdir()} == names == {
        "train.tsv", "validation.tsv", "test.tsv"
    }  # fmt: skip
    for name in names:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes()


def test_no_subject_and_no_message_belongs_to_two_splits() -> None:
    splits = [read_pairs(split) for split in ("train", "validation", "test")]
    for side in (0, 1):
        texts = [{pair[side] for pair in pairs} for pairs in splits]
        assert sum(map(len, texts)) == len(set.union(*texts))


def test_each_word_of_the_subjects_is_known_from_training() -> None:
    known = {word for _, subject in read_pairs("train") for word in subject.split()}
    for split in ("validation", "test"):
        assert {word for _, subject in read_pairs(split) for word in subject.split()} <= known
