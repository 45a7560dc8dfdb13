"""Train variations of one configuration, and keep a table of their scores.

    python scripts/sweep.py configs/sweeps/multi30k.yaml --runs runs/sweep --set data.folder=…
    python scripts/sweep.py configs/sweeps/multi30k.yaml --runs runs/sweep --minutes 10

The list is a YAML file. It names a configuration (relative to the list), the settings of all runs,
the seeds, and the runs, each with its own settings:

    config: ../multi30k_en_de.yaml
    set: [training.max_steps=2000]
    seeds: [1, 2, 3]
    runs:
      base: []
      more dropout: [model.dropout_rate=0.4]

`translator train` trains them one after the other. With --jobs N, it trains N at a time, each on
its share of the processors: several small models train faster with one processor each. If the sweep
is stopped, the same command continues it. If a run fails, the error is reported and the others
continue.

Each finished run becomes a row of a CSV file beside the list (or --table): settings, seed, steps,
minutes, and BLEU and loss of its best validation. Existing rows are not computed again. A row of
another configuration is refused. All rows of a table should be of the same text. `--test NAME …`
also scores the test split, for these runs only.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import IO, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from translator.config import load_config, load_recorded
from translator.config.schema import DataConfig
from translator.config.yaml_text import parse_yaml
from translator.errors import ConfigError, Stopped, UserError
from translator.evaluation.metrics import METRICS
from translator.files import write_whole
from translator.runs import RunDirectory

COLUMNS = (
    "run",
    "seed",
    "difference",
    "configuration",
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
PLACES = set(DataConfig.path_keys())
"""Keys of data that name a place. They do not count as a difference between runs."""

Row = dict[str, str]


class Sweep(BaseModel):
    """The content of a list."""

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
    """Its settings, as key=value; key=value."""
    configuration: str
    """Digest of the configuration with these settings."""
    run: RunDirectory


def read_sweep(path: Path) -> Sweep:
    """Read a list. Raises UserError."""
    try:
        values, _ = parse_yaml(path.read_text(encoding="utf-8"), str(path))
        return Sweep.model_validate(values)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the list"
        raise UserError(f"{path}: {key}: {first['msg'].lower()}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: this is not a list, because it is not UTF-8 text.") from None


def trials(sweep: Sweep, config: Path, runs: Path, everywhere: list[str]) -> list[Trial]:
    """The runs of a list, seed by seed. Raises UserError if one is not valid."""
    places = tuple(f"data.{key}=" for key in PLACES)
    found: dict[Path, Trial] = {}
    for seed in sweep.seeds:
        for name, own in sweep.runs.items():
            settings = [*sweep.set, *own, *everywhere]
            if any(one.startswith("training.seed=") for one in settings):
                raise UserError(f"{name}: training.seed cannot be set; use the key seeds.")
            overrides = [*settings, f"training.seed={seed}"]
            try:
                values = load_config(config, overrides).model_dump(mode="json", exclude_unset=True)
            except ConfigError as error:
                raise UserError(f"{name}, seed {seed}: {error}") from None
            values["data"] = {
                key: value
                for key, value in values["data"].items()
                if key not in (*PLACES, "licence")
            }
            digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
            difference = "; ".join(one for one in settings if not one.startswith(places))
            run = RunDirectory(runs / (re.sub(r"\W+", "-", name).strip("-") + f"-seed{seed}"))
            if run.path in found:
                raise UserError(f"{name} and {found[run.path].name} would share {run.path}.")
            found[run.path] = Trial(name, seed, overrides, difference, digest[:12], run)
    return list(found.values())


BOUND = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv.pop(1)):
    sys.exit("The sweep has ended.")
sys.argv[0] = "translator"
from translator.cli.app import main
main()
"""
"""Runs `translator` in a process that is stopped when the thread that started it ends."""


class Children:
    """The `translator` processes of a sweep. They receive its signals."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._signal: int | None = None

    def call(self, *arguments: str, log: IO[str] | None = None) -> int:
        """Run `translator` on the processors of this thread; return its exit code.

        Raises Stopped.
        """
        code = 0
        if self._signal is None:
            child = subprocess.Popen(
                [sys.executable, "-c", BOUND, str(os.getpid()), *arguments],
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # so that Ctrl-C reaches it only once, from `_stop`
            )
            self._running.add(child)
            if self._signal is not None:  # a signal has arrived since the check above
                child.send_signal(self._signal)
            code = child.wait()
            self._running.remove(child)
        if self._signal is not None:
            raise Stopped(self._signal)
        return code

    def check(self) -> None:
        """Raise Stopped if there was a signal."""
        if self._signal is not None:
            raise Stopped(self._signal)

    def _stop(self, number: int, _: object) -> None:
        self._signal = number
        for child in self._running.copy():
            child.send_signal(number)

    @contextmanager
    def signalled(self) -> Iterator[None]:
        """Pass on SIGINT, SIGTERM and SIGHUP. Raises Stopped at the end if there was one."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
            numbers.append(signal.SIGHUP)
        before = [signal.signal(number, self._stop) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)
        if self._signal is not None:
            raise Stopped(self._signal)


def log_of(trial: Trial) -> Path:
    return trial.run.path.with_name(trial.run.path.name + ".log")


def train(config: Path, trial: Trial, children: Children) -> None:
    """Train a run. Raises UserError if that fails, or Stopped."""
    log = log_of(trial)
    overrides = [f"--set={one}" for one in trial.overrides]
    arguments = "train", str(config), "--run", str(trial.run.path), *overrides
    with log.open("a") as output:
        if children.call(*arguments, log=output):
            raise UserError(f"{trial.name}, seed {trial.seed}: training failed; see {log}.")


def result(trial: Trial) -> Row:
    """The row of a finished run. Raises UserError."""
    rows = [json.loads(line) for line in trial.run.metrics.read_text().splitlines()]
    bests = [row for row in rows if row["kind"] == "validation" and row["best"]]
    if not bests:
        raise UserError(f"{trial.run.path}: the run has no validation.")
    best = bests[-1]
    return {
        "run": trial.name,
        "seed": str(trial.seed),
        "difference": trial.difference,
        "configuration": trial.configuration,
        "precision": load_recorded(trial.run.config).training.precision,
        "steps": str(rows[-1]["step"]),
        "minutes": f"{rows[-1]['seconds'] / 60:.1f}",
        "best_step": str(best["step"]),
        "validation_bleu": f"{best['bleu']:.2f}",
        "validation_loss": f"{best['loss']:.4f}",
        "validation_signature": best["signature"],
    }


def test_scores(trial: Trial, children: Children) -> Row:
    """The columns of the test split. Raises UserError or Stopped."""
    if children.call("eval", str(trial.run.path)):
        raise UserError(f"{trial.run.path}: the test split could not be scored.")
    results = json.loads(trial.run.result("test", "json").read_text(encoding="utf-8"))
    metrics, found = results["evaluation"]["metrics"], results["scores"]
    keys = [key for name in metrics for key in METRICS[name].keys]
    values = {
        f"test_{key}": f"{score['value']:.2f}"
        for key, score in zip(keys, found, strict=True)
        if f"test_{key}" in COLUMNS
    }
    return values | {"test_signature": found[0]["signature"]}


def read_table(path: Path) -> dict[tuple[str, str], Row]:
    """The rows by run and seed. Raises UserError."""
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) == COLUMNS:
                return {(row["run"], row["seed"]): row for row in reader}
    except UnicodeDecodeError:
        pass
    raise UserError(
        f"{path}: this is not a table of a sweep; one has columns {', '.join(COLUMNS)}."
    )


def write_table(path: Path, rows: dict[tuple[str, str], Row]) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for row in rows.values() if row)
    write_whole(path, table.getvalue())


def row_of(trial: Trial, config: Path, row: Row, score: bool, children: Children) -> Row:
    """Complete the row of a trial: train and score it if needed. Raises UserError or Stopped."""
    if not row:
        children.check()
        report(f"{trial.name}, seed {trial.seed} … (log: {log_of(trial)})")
        train(config, trial, children)
        row = result(trial)
    if score and not row.get("test_bleu"):
        children.check()
        report(f"{trial.name}, seed {trial.seed}: scoring the test split …")
        row = row | test_scores(trial, children)
    return row


def sweep(arguments: argparse.Namespace) -> None:
    """Train all runs that are missing in the table. Raises UserError or Stopped."""
    listed = read_sweep(arguments.sweep)
    if unknown := [name for name in arguments.test if name not in listed.runs]:
        raise UserError(f"--test {unknown[0]}: {arguments.sweep} has no such run.")
    config = arguments.sweep.parent / listed.config
    everywhere = [f"training.max_minutes={arguments.minutes}"] if arguments.minutes else []
    everywhere += arguments.set
    table = arguments.table or arguments.sweep.with_suffix(".csv")
    found = {
        (trial.name, str(trial.seed)): trial
        for trial in trials(listed, config, arguments.runs, everywhere)
    }
    rows = dict.fromkeys(found, Row()) | read_table(table)
    for key, trial in found.items():
        if rows[key] and rows[key]["difference"] != trial.difference:
            raise UserError(
                f"{table}: {trial.name}, seed {trial.seed}, was trained with "
                f"{rows[key]['difference']!r} and now has {trial.difference!r}; give it another "
                "name, or delete the row."
            )
        if rows[key] and rows[key]["configuration"] != trial.configuration:
            raise UserError(
                f"{table}: {trial.name}, seed {trial.seed}, was trained with another "
                f"{config.name}; give it another name, or delete the row."
            )
    arguments.runs.mkdir(parents=True, exist_ok=True)
    write_table(table, rows)  # fails now rather than after hours, if it cannot be written
    failures = []
    children, jobs = Children(), arguments.jobs
    with (
        children.signalled(),
        ThreadPoolExecutor(jobs, initializer=divide_processors(jobs)) as pool,
    ):
        futures = {
            pool.submit(
                row_of, trial, config, rows[key], trial.name in arguments.test, children
            ): key
            for key, trial in found.items()
        }
        for future in as_completed(futures):
            name, seed = key = futures[future]
            try:
                rows[key] = future.result()
            except UserError as error:
                report(f"Error: {error}")
                failures.append(f"{name}, seed {seed}")
                continue
            except Stopped:
                continue
            write_table(table, rows)
            num_done = sum(bool(rows[each]) for each in found)
            bleu = rows[key]["validation_bleu"]
            report(f"{name}, seed {seed}: validation BLEU {bleu} ({num_done} of {len(found)} done)")
    if failures:
        raise UserError(f"{len(failures)} of {len(found)} failed: {'; '.join(failures)}.")


def divide_processors(jobs: int) -> Callable[[], None]:
    """A function that limits the thread that calls it, and its children, to its processors."""
    processors = sorted(os.sched_getaffinity(0))
    shares: SimpleQueue[list[int]] = SimpleQueue()
    for i in range(jobs):
        shares.put(processors[i::jobs] or processors)
    return lambda: os.sched_setaffinity(0, shares.get())


def report(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", type=Path, help="the list of runs, a YAML file")
    parser.add_argument("--runs", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--table", type=Path, help="CSV file (the list's name with .csv)")
    parser.add_argument("--jobs", type=int, default=1, help="number of runs at a time (1)")
    parser.add_argument("--minutes", type=float, help="time for each run: training.max_minutes")
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE for all runs")
    parser.add_argument(
        "--test", nargs="+", default=[], metavar="NAME", help="runs to score on test"
    )
    arguments = parser.parse_args()
    if arguments.jobs < 1:
        parser.error("--jobs must be at least 1")
    if arguments.minutes is not None and not arguments.minutes > 0:
        parser.error("--minutes must be greater than 0")
    try:
        sweep(arguments)
    except UserError as error:
        sys.exit(f"Error: {error}")
    except Stopped as stopped:
        report("Stopped. The same command continues.")
        sys.exit(128 + stopped.signal_number)
    except OSError as error:
        sys.exit(f"Error: {error.filename}: {error.strerror}.")


if __name__ == "__main__":
    main()
