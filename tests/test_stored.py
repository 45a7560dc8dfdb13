"""A run of an older version still loads, translates, resumes and exports; so do its exports.

The archive beside this file was made by commit 6ab5e60, with `tests/stored/make 6ab5e60`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
COMMITS = ("6ab5e60",)

pytestmark = pytest.mark.slow

Translator = Callable[..., str]


@pytest.fixture(params=COMMITS)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with what the commit made: config.yaml, its text, run/ and model.bundle."""
    with tarfile.open(ROOT / f"tests/stored/{request.param}.tar.xz") as archive:
        # An argument of extractall does the same, but Python 3.11.2 does not know it.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path)
    return tmp_path


@pytest.fixture
def translator(stored: Path) -> Translator:
    """The command line, run in that folder; gives what it wrote to both outputs."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "HOME": str(stored / "home"),
        "XDG_CACHE_HOME": str(stored / "cache"),
    }

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "translator", *arguments],
            cwd=stored,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


def check_n_best(found: Path, expected: Path) -> None:
    """The same texts; other processors may round scores otherwise."""
    rows, stored_rows = (
        [line.split("\t") for line in path.read_text("utf-8").splitlines()]
        for path in (found, expected)
    )
    assert [(row[0], row[2]) for row in rows] == [(row[0], row[2]) for row in stored_rows]
    scores, stored_scores = ([float(row[1]) for row in each] for each in (rows, stored_rows))
    np.testing.assert_allclose(scores, stored_scores, atol=1e-4)


def rows_after(metrics: Path, step: int) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in metrics.read_text("utf-8").splitlines()]
    return [row for row in rows if row["step"] > step]


def test_translates_as_it_did(stored: Path, translator: Translator) -> None:
    """With the decoding that was tuned for its weights."""
    translator("translate", "run", "-i", "lines.txt", "-o", "found.txt", "--n-best", "3")
    check_n_best(stored / "found.txt", stored / "n-best.txt")
    greedy = "--set", "decoding.beam_size=1"
    translator("translate", "run", "-i", "lines.txt", "-o", "found.txt", *greedy)
    assert (stored / "found.txt").read_text("utf-8") == (stored / "greedy.txt").read_text("utf-8")


def test_resumes_from_its_checkpoint(stored: Path, translator: Translator) -> None:
    more = "--set", "training.max_steps=650"
    said = translator("train", "config.yaml", "--run", "run", *more)
    assert "after step 600" in said
    found = rows_after(stored / "run/metrics.jsonl", 600)
    expected = rows_after(stored / "continued.jsonl", 600)
    assert [row["step"] for row in found] == [row["step"] for row in expected] == [650, 650]
    for row, stored_row in zip(found, expected, strict=True):
        for key in {"loss", "learning_rate"} & stored_row.keys():
            assert row[key] == pytest.approx(stored_row[key], rel=5e-3), key


def test_bundle_verifies_and_translates(stored: Path, translator: Translator) -> None:
    translator("verify", "model.bundle")
    translator("translate", "model.bundle", "-i", "lines.txt", "-o", "found.txt", "--n-best", "3")
    check_n_best(stored / "found.txt", stored / "n-best.txt")


@pytest.mark.parametrize("engine", ["ctranslate2", "savedmodel"])
def test_export_verifies_and_translates(stored: Path, translator: Translator, engine: str) -> None:
    folder = {
        "ctranslate2": "run/exports/ctranslate2-float32",
        "savedmodel": "run/exports/savedmodel",
    }
    named = folder[engine], "--engine", engine
    translator("verify", *named)
    translator("translate", *named, "-i", "lines.txt", "-o", "found.txt", "--n-best", "1")
    check_n_best(stored / "found.txt", stored / f"{engine}.txt")


def test_run_takes_its_export_for_ctranslate2(stored: Path, translator: Translator) -> None:
    """It was made of the same weights."""
    translator("translate", "run", "-i", "lines.txt", "-o", "found.txt", "--engine", "ctranslate2")
    lines = (stored / "ctranslate2.txt").read_text("utf-8").splitlines()
    best = [line.split("\t")[2] for line in lines]
    assert (stored / "found.txt").read_text("utf-8").splitlines() == best


def test_is_scored_and_packed_again(stored: Path, translator: Translator) -> None:
    """With a card that names the validation of the stored weights."""
    before = json.loads((stored / "run/results/validation.json").read_text("utf-8"))
    translator("eval", "run", "--split", "validation", "--set", "data.folder=.")
    after = json.loads((stored / "run/results/validation.json").read_text("utf-8"))
    for old, new in zip(before["scores"], after["scores"], strict=True):
        assert new["name"] == old["name"]
        assert new["value"] == pytest.approx(old["value"], abs=1e-6)
    again = "--format", "bundle", "--output", "again.bundle", "--set", "data.folder=."
    translator("export", "run", *again)
    translator("verify", "again.bundle")
