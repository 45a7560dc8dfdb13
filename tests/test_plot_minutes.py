"""scripts/plot_minutes.py draws BLEU against minutes from the metrics of runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from translator.config.loading import load_config, save_config

ROOT = Path(__file__).parents[1]


def make_run(path: Path, max_minutes: int | None, *validations: tuple[float, float]) -> Path:
    """A run with these validations: minutes of training, and BLEU."""
    path.mkdir()
    overrides = [] if max_minutes is None else [f"training.max_minutes={max_minutes}"]
    save_config(load_config(ROOT / "configs/tiny.yaml", overrides), path / "config.yaml")
    rows = [
        {"kind": "validation", "seconds": 60 * minutes + 9, "validation_seconds": 9, "bleu": bleu}
        for minutes, bleu in validations
    ]
    text = "".join(json.dumps(row) + "\n" for row in [{"kind": "train"}, *rows])
    (path / "metrics.jsonl").write_text(text)
    return path


def plot(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "scripts/plot_minutes.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_budget_is_compared_with_the_run_cut_off_at_the_same_minute(tmp_path: Path) -> None:
    plain = make_run(tmp_path / "plain", None, (4, 10), (9, 30), (12, 25), (20, 33))
    ten = make_run(tmp_path / "ten", 10, (5, 12), (10, 32), (10, 31))
    five = make_run(tmp_path / "five", 5, (5, 20))
    done = plot(plain, ten, five, "--output", tmp_path / "plot.svg")
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "plot.csv").read_text().splitlines()
    assert rows == ["minutes,budget,cut_off", "5,20.00,10.00", "10,32.00,30.00"]
    picture = (tmp_path / "plot.svg").read_bytes()
    assert picture.startswith(b"<?xml")
    plot(plain, five, ten, "--output", tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_bytes() == picture


@pytest.mark.slow
def test_budget_run_without_max_minutes_is_refused(tmp_path: Path) -> None:
    plain = make_run(tmp_path / "plain", None, (4, 10))
    done = plot(plain, plain, "--output", tmp_path / "plot.svg")
    assert done.returncode == 2
    assert f"{plain} has no training.max_minutes" in done.stderr
