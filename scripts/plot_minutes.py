"""Draw BLEU against minutes: runs with a budget of minutes beside a run without one.

    python scripts/plot_minutes.py PLAIN BUDGET … --output FILE.svg

PLAIN and each BUDGET are runs of one configuration; every BUDGET has training.max_minutes. The
sweep `configs/sweeps/multi30k_minutes.yaml` trains such runs. For PLAIN, the curve shows the best
validation so far, which is the result of cutting it off at that minute. Each BUDGET is one point:
its best validation. The figures are also written to a CSV file beside FILE.svg. Needs matplotlib
(`pip install -e '.[bench]'`).
"""

from __future__ import annotations

import argparse
import csv
import json
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import matplotlib

from translator.config import load_recorded
from translator.runs import RunDirectory

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "translator"


class Point(NamedTuple):
    """The best validation BLEU of a run within its first `minutes`."""

    minutes: float
    bleu: float


def validations(run: RunDirectory) -> list[Point]:
    """A point for each validation: the minutes trained before it, and the best BLEU so far."""
    rows = [json.loads(line) for line in run.metrics.read_text(encoding="utf-8").splitlines()]
    found = [row for row in rows if row["kind"] == "validation"]
    minutes = [(row["seconds"] - row["validation_seconds"]) / 60 for row in found]
    best = accumulate((row["bleu"] for row in found), max)
    return [Point(*point) for point in zip(minutes, best, strict=True)]


def best_until(points: list[Point], minutes: float) -> float:
    """The best BLEU validated within the first `minutes`; 0 if there was no validation."""
    return max((point.bleu for point in points if point.minutes <= minutes), default=0.0)


def draw(plain: list[Point], budgets: list[Point], output: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*plain, strict=True), "--", drawstyle="steps-post", label="plain, cut off")
    axes.plot(*zip(*budgets, strict=True), "o-", label="budget of minutes")
    axes.set(xlabel="minutes of training", ylabel="validation BLEU", xlim=(0, None))
    axes.set_ylim(bottom=0.8 * best_until(plain, min(budget.minutes for budget in budgets)))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(output, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plain", type=Path, help="a run without a budget")
    parser.add_argument("budgets", type=Path, nargs="+", help="runs with max_minutes")
    parser.add_argument("--output", type=Path, required=True, help="SVG file to write")
    arguments = parser.parse_args()
    plain = validations(RunDirectory.existing(arguments.plain))
    budgets = []
    for path in arguments.budgets:
        run = RunDirectory.existing(path)
        minutes = load_recorded(run.config).training.max_minutes
        if minutes is None:
            parser.error(f"{path} has no training.max_minutes")
        budgets.append(Point(minutes, validations(run)[-1].bleu))
    budgets.sort()
    draw(plain, budgets, arguments.output)
    with arguments.output.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["minutes", "budget", "cut_off"])
        for minutes, bleu in budgets:
            writer.writerow([f"{minutes:g}", f"{bleu:.2f}", f"{best_until(plain, minutes):.2f}"])


if __name__ == "__main__":
    main()
