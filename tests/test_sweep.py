"""A sweep: variations of a configuration trained one after the other, and their table."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CONFIG = """\
data:
  source_language: en
  target_language: de
  train: {tsv: train.tsv}
  validation: {tsv: train.tsv}
  test: {tsv: train.tsv}
tokenizer: {vocabulary_size: 300}
model: {num_layers: 1, model_dim: 8, num_heads: 2, feed_forward_dim: 16}
training: {max_steps: 2, tokens_per_step: 64, precision: float32}
decoding: {beam_size: 1, max_length_ratio: 1.0, max_length_extra: 0}
"""

LIST = """\
config: small.yaml
seeds: [1, 2]
runs:
  base: []
  post-norm: [model.normalization=post]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "train.tsv").write_text("one two\teins zwei\nthree\tdrei\n")
    (tmp_path / "small.yaml").write_text(CONFIG)
    (tmp_path / "list.yaml").write_text(LIST)
    return tmp_path


def sweep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts/sweep.py"), "list.yaml", "--runs", "runs"]
    return subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "list.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_every_run_becomes_a_row_once(folder: Path) -> None:
    (folder / "list.yaml").write_text(LIST.replace("[1, 2]", "[1]"))
    done = sweep(folder)
    assert done.returncode == 0, done.stderr
    first = table(folder)
    assert [(row["run"], row["difference"]) for row in first] == [
        ("base", ""),
        ("post-norm", "model.normalization=post"),
    ]
    assert all(row["steps"] == "2" and float(row["validation_loss"]) > 0 for row in first)

    (folder / "list.yaml").write_text(LIST.replace("  post-norm", "  twin: []\n  post-norm"))
    (folder / "runs/base-seed1").rename(folder / "away")  # a row that is there needs no run
    assert sweep(folder, "--test", "twin").returncode == 0
    rows = {(row["run"], row["seed"]): row for row in table(folder)}
    assert len(rows) == 6
    assert [rows[key] for key in (("base", "1"), ("post-norm", "1"))] == first
    scored = [key for key, row in rows.items() if row["test_bleu"]]
    assert scored == [("twin", "1"), ("twin", "2")]
    same = [
        (row["validation_bleu"], row["validation_loss"])
        for row in (rows["base", "2"], rows["twin", "2"])
    ]
    assert (
        same[0]
        == same[1]
        != (rows["base", "1"]["validation_bleu"], rows["base", "1"]["validation_loss"])
    )


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "config: small.yaml",
            "config: other.yaml",
            "other.yaml: cannot read the configuration: No",
        ),
        (
            "normalization=post",
            "normalisation=post",
            "there is no key model.normalisation; did you",
        ),
        ("seeds", "seed", "list.yaml: seed: extra inputs are not permitted."),
        ("  base: []", "  post+norm: []", "would share runs/post-norm-seed1."),
        ("base: []", "base: 3", "list.yaml: runs.base: input should be a valid list."),
    ],
)
def test_a_list_is_checked_before_the_first_run(
    old: str, new: str, sentence: str, folder: Path
) -> None:
    (folder / "list.yaml").write_text(LIST.replace(old, new))
    done = sweep(folder)
    assert done.returncode == 1
    assert sentence in done.stderr and "Traceback" not in done.stderr
    assert not list((folder / "runs").glob("*"))


def test_a_run_to_score_must_be_in_the_list(folder: Path) -> None:
    done = sweep(folder, "--test", "bsae")
    assert done.returncode == 1
    assert done.stderr == "Error: --test bsae: list.yaml has no such run.\n"


def test_a_row_of_another_configuration_is_not_taken_for_this_one(folder: Path) -> None:
    (folder / "list.csv").write_text("run,seed,difference\nbase,1,model.num_layers=9\n")
    done = sweep(folder)
    assert done.returncode == 1
    assert "base, seed 1, was with 'model.num_layers=9', and is '' now; give it" in done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "configs/sweeps").glob("*.yaml")), ids=str)
def test_the_lists_in_the_project_are_true(path: Path, tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import sweep as script
    finally:
        sys.path.pop(0)
    listed = script.read_sweep(path)
    found = script.trials(listed, path.parent / listed.config, tmp_path, [])
    assert len({trial.difference for trial in found}) == len(listed.runs)
