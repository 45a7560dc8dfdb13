"""Measure the preparation and reading of a large text: speed, memory, and a start at any step.

    python scripts/bench_data.py [--pairs 5000000] [--folder FOLDER]

The script writes a synthetic corpus into FOLDER, or into a temporary folder. The corpus is the same
every time. A sentence has about 12 words, whose frequencies follow Zipf's law. The script prepares
the corpus as `translator train` does before the first step. Memory is the sum over all processes,
sampled ten times a second. Then new processes resume the run at step 1 and at step 1,000,000. Five
million pairs take 3 GB of disk and a few minutes. On a busy machine, trust CPU seconds more than
wall-clock time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from turns import announce

NUM_WORDS = 100_000
NUM_VALIDATION = 1_000
BLOCK = 50_000
MEASURED_SECONDS = 5.0
CONFIG = """\
data:
  source_language: en
  target_language: de
  train: {source: train.en, target: train.de}
  validation: {source: validation.en, target: validation.de}
training: {precision: float32, max_epochs: 1}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=5_000_000, help="default: %(default)s")
    parser.add_argument("--folder", type=Path, help="keep corpus and prepared text here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        bench(folder.resolve(), arguments.pairs)


def bench(folder: Path, num_pairs: int) -> None:
    show("pairs", f"{num_pairs:,}")
    show_load()
    announce("writing the corpus")
    write_corpus(folder, "train", num_pairs, seed=1)
    write_corpus(folder, "validation", NUM_VALIDATION, seed=2)
    (folder / "config.yaml").write_text(CONFIG)

    announce("preparing the corpus")
    found = in_a_process("prepare", folder)
    show("preparation", f"{found['seconds']:,.1f} s")
    show("  peak memory", f"{found['memory'] / 2**20:,.0f} MiB")
    for stage, (seconds, cpu_seconds) in found["stages"].items():
        show(f"  {stage}", f"{seconds:,.1f} s, {cpu_seconds:,.1f} CPU s")
    seconds, cpu_seconds = found["stages"]["open_store"]
    show("  pairs encoded per second", f"{num_pairs / seconds:,.0f}")
    show("  pairs encoded in two CPU seconds", f"{2 * num_pairs / cpu_seconds:,.0f}")
    for step in (1, 1_000_000):
        announce(f"resuming at step {step:,}")
        found = in_a_process("resume", folder, step)
        show(f"from the command to the batch of step {step:,}", f"{found['first_batch']:.2f} s")
        show("  peak memory until then", f"{found['first_memory'] / 2**20:,.0f} MiB")
        show("  target tokens per second from there", f"{found['tokens_per_second']:,.0f}")
    show_load()


def prepare(folder: Path) -> dict[str, Any]:
    """Start a run; return seconds and CPU seconds of the longest call of each stage."""
    from translator.config import load_config
    from translator.runs import RunDirectory
    from translator.workflows import new_run, prepared

    stages: dict[str, tuple[float, float]] = {}

    def time_stage(module: ModuleType, name: str) -> None:
        stage: Callable[..., Any] = getattr(module, name)

        def timed(*arguments: Any, **keys: Any) -> Any:
            started = time.monotonic(), cpu_seconds()
            result = stage(*arguments, **keys)
            taken = time.monotonic() - started[0], cpu_seconds() - started[1]
            stages[name] = max(taken, stages.get(name, taken))
            return result

        setattr(module, name, timed)

    time_stage(new_run, "sample_corpus")
    time_stage(new_run, "train_tokenizer")
    time_stage(prepared, "open_store")
    run = RunDirectory(folder / "run")
    run.create()
    new_run.prepare_new_run(load_config(folder / "config.yaml"), run, None)
    return {"stages": stages}


def resume(folder: Path, step: int) -> dict[str, Any]:
    """Resume the run at a step (from 1).

    Returns the time and peak memory when its batch was ready, and the speed of the next batches.
    """
    from translator.config import load_recorded
    from translator.data.batch_schedule import BatchSchedule
    from translator.data.batches import batch
    from translator.environment import peak_memory
    from translator.runs import RunDirectory
    from translator.workflows.resumed_run import prepare_resumed_run

    run = RunDirectory(folder / "run")
    config, tokenizer, store, *_ = prepare_resumed_run(load_recorded(run.config), run)
    schedule = BatchSchedule(store.lengths, config.training.tokens_per_step, config.training.seed)
    batch(store, tokenizer, schedule, step - 1)
    first_batch = time.time()
    first_memory = peak_memory()
    num_tokens, started = 0, time.monotonic()
    while time.monotonic() - started < MEASURED_SECONDS:
        [whole] = batch(store, tokenizer, schedule, step)
        num_tokens += whole.num_target_tokens
        step += 1
    tokens_per_second = num_tokens / (time.monotonic() - started)
    return {
        "first_batch": first_batch,
        "first_memory": first_memory,
        "tokens_per_second": tokens_per_second,
    }


def in_a_process(stage: str, folder: Path, *arguments: object) -> dict[str, Any]:
    """Call a function of this file in a new process; return its result with time and memory."""
    code = (
        "import json, sys; import bench_data; from pathlib import Path; "
        f"print(json.dumps(bench_data.{stage}(Path(sys.argv[1]), *map(int, sys.argv[2:]))))"
    )
    variables = {"XDG_CACHE_HOME": str(folder / "cache")}
    started = time.time()
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder), *map(str, arguments)],
        cwd=Path(__file__).parent,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
    ) as process:
        memory = 0
        while process.poll() is None:
            memory = max(memory, sum(map(resident_bytes, family(process.pid))))
            time.sleep(0.1)
        assert process.stdout is not None
        output = process.stdout.read()
    if process.returncode != 0:
        sys.exit(process.returncode)
    found: dict[str, Any] = json.loads(output)
    found |= {"seconds": time.time() - started, "memory": memory}
    if "first_batch" in found:
        found["first_batch"] -= started
    return found


def family(process: int) -> Iterator[int]:
    """Yield a process id, and those of all its descendants."""
    yield process
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from family(int(child))


def resident_bytes(process: int) -> int:
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except OSError:  # the process has just ended
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds() -> float:
    """CPU seconds of this process and of the children that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def write_corpus(folder: Path, name: str, num_pairs: int, seed: int) -> None:
    """Write NAME.en and NAME.de. A target translates its source word by word, in reverse order."""
    languages = [lexicon(seed=i) for i in range(2)]
    random = np.random.default_rng(seed)
    with (folder / f"{name}.en").open("w") as source, (folder / f"{name}.de").open("w") as target:
        for start in range(0, num_pairs, BLOCK):
            lengths = random.integers(4, 21, min(BLOCK, num_pairs - start))
            ends = np.cumsum(lengths)
            # Rank r has a probability proportional to about 1/r.
            ranks = (NUM_WORDS ** random.random(ends[-1])).astype(np.int64) - 1
            for file, words, direction in zip((source, target), languages, (1, -1), strict=True):
                text = words[ranks].tolist()
                for length, end in zip(lengths.tolist(), ends.tolist(), strict=True):
                    file.write(" ".join(text[end - length : end][::direction]) + "\n")


def lexicon(seed: int) -> np.ndarray:
    """Invented words by rank, of one to four syllables; frequent words are short."""
    random = np.random.default_rng(seed)
    onsets = [*"bcdfghjklmnprstvwz", "st", "tr", "pl", "br", "sch", "ch", "th"]
    vowels = [*"aeiou", "ai", "ou", "ea", "ie"]
    codas = ["", "", *"nrstl", "ng"]
    syllables = [a + b + c for a in onsets for b in vowels for c in codas]
    words: dict[str, None] = {}
    while len(words) < NUM_WORDS:
        longest = 2 + (len(words) > 300) + (len(words) > 20_000)
        chosen = random.integers(0, len(syllables), random.integers(1, longest + 1))
        words["".join(syllables[i] for i in chosen)] = None
    return np.array(list(words), object)


def show(what: str, figure: str) -> None:
    print(f"{what:50}{figure}", flush=True)


def show_load() -> None:
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    show("load average of 1, 5 and 15 minutes", f"{load} on {len(os.sched_getaffinity(0))} CPUs")


if __name__ == "__main__":
    main()
