"""scripts/sweep.py: it trains variations of a configuration and keeps their table."""

import csv
import signal
import subprocess
import sys
import time
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
evaluation: {metrics: [rouge, bleu]}
"""

LIST = """\
config: small.yaml
seeds: [1, 2]
runs:
  base: []
  post-norm: [model.normalization=post]
"""


HEADER = (ROOT / "configs/sweeps/multi30k.csv").read_text().partition("\n")[0]
REST = "," * (HEADER.count(",") - 3)


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
def test_each_run_becomes_one_row(folder: Path) -> None:
    start, post_norm = LIST.split("  post-norm")
    (folder / "list.yaml").write_text(start)
    done = sweep(folder)
    assert done.returncode == 0, done.stderr
    first = table(folder)
    assert [(row["run"], row["seed"]) for row in first] == [("base", "1"), ("base", "2")]
    assert all(row["steps"] == "2" and float(row["validation_loss"]) > 0 for row in first)

    more = start.replace("[1, 2]", "[1]") + f"  post-norm{post_norm}"
    (folder / "list.yaml").write_text(more)
    (folder / "runs/base-seed1").rename(folder / "away")  # its row exists, so it is not needed
    assert sweep(folder, "--test", "post-norm").returncode == 0
    rows = {(row["run"], row["seed"]): row for row in table(folder)}
    assert [rows["base", "1"], rows["base", "2"]] == first
    assert len(rows) == 3
    assert rows["post-norm", "1"]["difference"] == "model.normalization=post"
    assert [key for key, row in rows.items() if row["test_bleu"]] == [("post-norm", "1")]
    assert len({row["validation_loss"] for row in rows.values()}) == 3


@pytest.mark.slow
def test_failing_run_does_not_stop_the_others(folder: Path) -> None:
    (folder / "other.tsv").write_text("\t\n")
    failing = "  failing: ['data.train={tsv: other.tsv}']\n"
    (folder / "list.yaml").write_text(
        LIST.replace("[1, 2]", "[1]").replace("  base", failing + "  base").split("  post-norm")[0]
    )
    done = sweep(folder)
    assert done.returncode == 1
    assert "Error: failing, seed 1: training failed; see runs/failing-seed1.log.\n" in done.stderr
    assert done.stderr.endswith("Error: 1 of 2 failed: failing, seed 1.\n")
    assert [row["run"] for row in table(folder)] == ["base"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_sweep_is_continued_by_the_same_command(
    number: signal.Signals, folder: Path
) -> None:
    text = (folder / "small.yaml").read_text()
    (folder / "small.yaml").write_text(text.replace("max_steps: 2,", "max_steps: 3000,"))
    (folder / "list.yaml").write_text(LIST.replace("[1, 2]", "[1]"))
    command = [sys.executable, str(ROOT / "scripts/sweep.py"), "list.yaml", "--runs", "runs"]
    running = subprocess.Popen(
        [*command, "--jobs", "2"], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    logs = [folder / f"runs/{name}-seed1.log" for name in ("base", "post-norm")]
    metrics = [log.with_suffix("") / "metrics.jsonl" for log in logs]
    while not all(path.exists() and '"step": 4,' in path.read_text() for path in metrics):
        assert running.poll() is None
        time.sleep(0.1)
    running.send_signal(number)
    stderr = running.communicate()[1]
    if number == signal.SIGTERM:
        assert stderr.endswith("Stopped. The same command continues.\n")
        assert running.returncode == 128 + number
    deadline = time.monotonic() + 60
    while not all("The same command continues" in log.read_text() for log in logs):
        assert time.monotonic() < deadline
        time.sleep(0.1)  # Runs end with the sweep, even if it was killed and could not stop them.
    assert table(folder) == []
    if number == signal.SIGTERM:
        return  # the runs that a kill has left are the harder ones to continue
    (folder / "small.yaml").write_text(text.replace("max_steps: 2,", "max_steps: 5,"))
    assert sweep(folder).returncode == 0
    assert all("Continuing runs/" in log.read_text() for log in logs)
    assert all(int(row["steps"]) >= 5 for row in table(folder))
    assert len(table(folder)) == 2


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
            "post-norm, seed 1: --set model.normalisation: there is no key model.norm",
        ),
        (
            "model.normalization",
            "modle.normalization",
            "--set modle.normalization: there is no key",
        ),
        (
            "[model.normalization=post]",
            "[training.seed=5]",
            "post-norm: training.seed cannot be set; use the key seeds.",
        ),
        ("[1, 2]", "[-1]", "base, seed -1: --set training.seed: training.seed should be"),
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


def test_unknown_run_to_score_is_refused(folder: Path) -> None:
    done = sweep(folder, "--test", "bsae")
    assert done.returncode == 1
    assert done.stderr == "Error: --test bsae: list.yaml has no such run.\n"


def test_impossible_options_are_refused_before_the_first_run(folder: Path) -> None:
    assert "--jobs must be at least 1" in sweep(folder, "--jobs", "0").stderr
    assert "--minutes must be greater than 0" in sweep(folder, "--minutes", "0").stderr
    done = sweep(folder, "--table", "nowhere/table.csv")
    assert done.returncode == 1
    assert done.stderr.endswith("No such file or directory.\n") and "Traceback" not in done.stderr
    assert not list((folder / "runs").glob("*"))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            f"{HEADER}\nbase,1,model.num_layers=9,x{REST}",
            "was trained with 'model.num_layers=9' and now has ''",
        ),
        (
            f"{HEADER}\nbase,1,,x{REST}",
            "base, seed 1, was trained with another small.yaml; give it another",
        ),
        (
            "run,seed\nbase,1",
            "list.csv: this is not a table of a sweep; one has columns run, seed,",
        ),
    ],
)
def test_row_of_another_configuration_is_refused(table: str, sentence: str, folder: Path) -> None:
    (folder / "list.csv").write_text(f"{table}\n")
    done = sweep(folder)
    assert done.returncode == 1
    assert sentence in done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "configs/sweeps").glob("*.yaml")), ids=str)
def test_shipped_lists_are_valid(path: Path, tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import sweep as script
    finally:
        sys.path.pop(0)
    listed = script.read_sweep(path)
    found = script.trials(listed, path.parent / listed.config, tmp_path, [])
    assert len({trial.difference for trial in found}) == len(listed.runs)
