"""Trains a list of variations of one configuration, and keeps a table of how good each became.

    python scripts/sweep.py configs/sweeps/multi30k.yaml --runs runs/sweep --set data.folder=…
    python scripts/sweep.py configs/sweeps/multi30k.yaml --runs runs/sweep --minutes 10

The list is YAML: a configuration (its path relative to the list), what is set in all runs, the
seeds, and the runs, each a name with what is set in it:

    config: ../multi30k_en_de.yaml
    set: [training.max_steps=2000]
    seeds: [1, 2, 3]
    runs:
      base: []
      more dropout: [model.dropout_rate=0.4]

They are trained by `translator train`, one after the other; stopped, the same command goes on where
it was. Every run that is finished becomes a row of a CSV file beside the list (or --table): what
was set, seed, steps, minutes, and BLEU and loss of its best validation. A
row that is there is not computed again. `--test NAME …` scores the test split, of those runs only.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from translator.config import load_config
from translator.config.loading import parse_yaml
from translator.errors import UserError
from translator.runs import RunDirectory

COLUMNS = (
    "run",
    "seed",
    "difference",
    "precision",
    "steps",
    "minutes",
    "best_step",
    "validation_bleu",
    "validation_loss",
    "validation_signature",
    "test_bleu",
    "test_chrf",
    "test_ter",
    "test_signature",
)
PLACES = ("data.folder=", "data.dataset_folder=", "data.wheel=")
"""Settings that make no difference, as they only say where the text is."""

Row = dict[str, str]


class Sweep(BaseModel):
    """What a list says."""

    model_config = ConfigDict(extra="forbid", strict=True)

    config: str
    set: list[str] = []
    seeds: list[int] = [1]
    runs: dict[str, list[str]]


class Trial(NamedTuple):
    """One run of a sweep."""

    name: str
    seed: int
    overrides: list[str]
    difference: str
    """What it sets: key=value; key=value."""
    run: RunDirectory


def read_sweep(path: Path) -> Sweep:
    """Raises UserError."""
    try:
        values, _ = parse_yaml(path.read_text(encoding="utf-8"), str(path))
        return Sweep.model_validate(values)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {key}: {first['msg'].lower()}.") from None


def trials(sweep: Sweep, config: Path, runs: Path, everywhere: list[str]) -> list[Trial]:
    """The runs of a list, seed by seed, all of them checked. Raises UserError."""
    found: dict[Path, Trial] = {}
    for seed in sweep.seeds:
        for name, own in sweep.runs.items():
            overrides = [*sweep.set, *own, *everywhere]
            load_config(config, overrides)
            difference = "; ".join(one for one in overrides if not one.startswith(PLACES))
            run = RunDirectory(runs / (re.sub(r"\W+", "-", name).strip("-") + f"-seed{seed}"))
            if run.path in found:
                raise UserError(f"{name} and {found[run.path].name} would share {run.path}.")
            overrides.append(f"training.seed={seed}")
            found[run.path] = Trial(name, seed, overrides, difference, run)
    return list(found.values())


def command(*arguments: str, log: IO[str] | None = None) -> int:
    """Run `translator`, passing our signals on to it; its exit code."""
    child = subprocess.Popen(
        [sys.executable, "-m", "translator", *arguments], stdout=subprocess.DEVNULL, stderr=log
    )
    numbers = signal.SIGINT, signal.SIGTERM
    before = [signal.signal(number, lambda n, _: child.send_signal(n)) for number in numbers]
    try:
        return child.wait()
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def train(config: Path, trial: Trial) -> None:
    """Raises UserError when it fails, SystemExit when it was stopped."""
    log = trial.run.path.with_name(trial.run.path.name + ".log")
    overrides = [f"--set={one}" for one in trial.overrides]
    with log.open("a") as output:
        code = command("train", str(config), "--run", str(trial.run.path), *overrides, log=output)
    if code > 128:
        sys.exit("Stopped. The same command goes on.")
    if code:
        raise UserError(f"{trial.name}, seed {trial.seed}: it failed; {log} tells why.")


def result(trial: Trial) -> Row:
    """The row of a finished run. Raises UserError."""
    rows = [json.loads(line) for line in trial.run.metrics.read_text().splitlines()]
    bests = [row for row in rows if row["kind"] == "validation" and row["best"]]
    if not bests:
        raise UserError(f"{trial.run.path}: no validation gave a score.")
    best = bests[-1]
    return {
        "run": trial.name,
        "seed": str(trial.seed),
        "difference": trial.difference,
        "precision": load_config(trial.run.config).training.precision,
        "steps": str(rows[-1]["step"]),
        "minutes": f"{rows[-1]['seconds'] / 60:.1f}",
        "best_step": str(best["step"]),
        "validation_bleu": f"{best['bleu']:.2f}",
        "validation_loss": f"{best['loss']:.4f}",
        "validation_signature": best["signature"],
    }


def test_scores(trial: Trial) -> Row:
    """Of the test split. Raises UserError."""
    if command("eval", str(trial.run.path)):
        raise UserError(f"{trial.run.path}: the test split could not be scored.")
    found = json.loads(trial.run.result("test", "json").read_text(encoding="utf-8"))["scores"]
    values = {
        f"test_{name}": f"{score['value']:.2f}"
        for name, score in zip(("bleu", "chrf", "ter"), found, strict=True)
    }
    return values | {"test_signature": found[0]["signature"]}


def read_table(path: Path) -> dict[tuple[str, str], Row]:
    """The rows by run and seed."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {(row["run"], row["seed"]): row for row in csv.DictReader(file)}


def write_table(path: Path, rows: dict[tuple[str, str], Row]) -> None:
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())
    unfinished.replace(path)


def sweep(arguments: argparse.Namespace) -> None:
    """Raises UserError."""
    listed = read_sweep(arguments.sweep)
    if unknown := [name for name in arguments.test if name not in listed.runs]:
        raise UserError(f"--test {unknown[0]}: {arguments.sweep} has no such run.")
    config = arguments.sweep.parent / listed.config
    everywhere = [f"training.max_minutes={arguments.minutes}"] if arguments.minutes else []
    everywhere += arguments.set
    table = arguments.table or arguments.sweep.with_suffix(".csv")
    rows = read_table(table)
    arguments.runs.mkdir(parents=True, exist_ok=True)
    for trial in trials(listed, config, arguments.runs, everywhere):
        key = trial.name, str(trial.seed)
        row = rows.get(key, {})
        if row and row["difference"] != trial.difference:
            raise UserError(
                f"{table}: {trial.name}, seed {trial.seed}, was with {row['difference']!r}, and is "
                f"{trial.difference!r} now; give it another name, or delete the row."
            )
        if not row:
            say(f"{trial.name}, seed {trial.seed} …")
            train(config, trial)
            rows[key] = row = result(trial)
            write_table(table, rows)
        if trial.name in arguments.test and not row.get("test_bleu"):
            row |= test_scores(trial)
            write_table(table, rows)
        say(f"{trial.name}, seed {trial.seed}: validation BLEU {row['validation_bleu']}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", type=Path, help="the list")
    parser.add_argument("--runs", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--table", type=Path, help="CSV file (the list's name with .csv)")
    parser.add_argument("--minutes", type=float, help="time for each run: training.max_minutes")
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE, in all runs")
    parser.add_argument("--test", nargs="+", default=[], metavar="NAME", help="runs to score")
    try:
        sweep(parser.parse_args())
    except UserError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
