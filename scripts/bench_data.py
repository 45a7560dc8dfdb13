"""Measure how text is prepared and read, whatever its size: speed, memory, a start in the middle.

    python scripts/bench_data.py [--pairs 5000000] [--folder FOLDER]

A synthetic corpus (the same every time, about 12 words a side, their frequencies as Zipf has them)
is written into a folder, a temporary one unless given, and prepared by what `translator train` does
before the first step. Memory is what all processes of that hold together, looked at ten times a
second. Then new processes take the run up at step 1 and at step 1,000,000. Five million pairs take
3 GB of disk and some minutes. On a busy machine, trust the seconds of CPU more than the others.
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
from turns import tell

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
    parser.add_argument("--folder", type=Path, help="for corpus and prepared text, which stay")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        bench(folder.resolve(), arguments.pairs)


def bench(folder: Path, num_pairs: int) -> None:
    show("pairs", f"{num_pairs:,}")
    show_load()
    tell("writing the corpus")
    write_corpus(folder, "train", num_pairs, seed=1)
    write_corpus(folder, "validation", NUM_VALIDATION, seed=2)
    (folder / "config.yaml").write_text(CONFIG)

    tell("preparing it, as a run does")
    found = in_a_process("prepare", folder)
    show("preparing, in all", f"{found['seconds']:,.1f} s")
    show("  most memory", f"{found['memory'] / 2**20:,.0f} MiB")
    for stage, (seconds, cpu_seconds) in found["stages"].items():
        show(f"  {stage}", f"{seconds:,.1f} s, {cpu_seconds:,.1f} s of CPU")
    seconds, cpu_seconds = found["stages"]["open_store"]
    show("  pairs encoded a second", f"{num_pairs / seconds:,.0f}")
    show("  pairs encoded in two seconds of CPU", f"{2 * num_pairs / cpu_seconds:,.0f}")
    for step in (1, 1_000_000):
        tell(f"taking the run up at step {step:,}")
        found = in_a_process("take_up", folder, step)
        show(f"from command to the batch of step {step:,}", f"{found['first_batch']:.2f} s")
        show("  most memory until then", f"{found['first_memory'] / 2**20:,.0f} MiB")
        show("  target tokens a second from there", f"{found['tokens_per_second']:,.0f}")
    show_load()


def prepare(folder: Path) -> dict[str, Any]:
    """Begin a run; seconds, and seconds of CPU, of the longest call of each stage."""
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


def take_up(folder: Path, step: int) -> dict[str, Any]:
    """Resume the run at a step (from 1): when its batch was there, and how fast others follow."""
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
    """What a function of this file returns in a process of its own, with its time and memory."""
    code = (
        "import json, sys; import bench_data; from pathlib import Path; "
        f"print(json.dumps(bench_data.{stage}(Path(sys.argv[1]), *map(int, sys.argv[2:]))))"
    )
    places = {"XDG_CACHE_HOME": str(folder / "cache")}
    started = time.time()
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder), *map(str, arguments)],
        cwd=Path(__file__).parent,
        env=os.environ | places,
        stdout=subprocess.PIPE,
    ) as process:
        memory = 0
        while process.poll() is None:
            memory = max(memory, sum(map(resident_bytes, family(process.pid))))
            time.sleep(0.1)
        assert process.stdout is not None
        said = process.stdout.read()
    if process.returncode != 0:
        sys.exit(process.returncode)
    found: dict[str, Any] = json.loads(said)
    found |= {"seconds": time.time() - started, "memory": memory}
    if "first_batch" in found:
        found["first_batch"] -= started
    return found


def family(process: int) -> Iterator[int]:
    """A process and all below it."""
    yield process
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from family(int(child))


def resident_bytes(process: int) -> int:
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except OSError:  # it has just ended
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds() -> float:
    """Of this process and those it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def write_corpus(folder: Path, name: str, num_pairs: int, seed: int) -> None:
    """Write NAME.en and NAME.de: a target says word by word, from the end, what its source says."""
    languages = [lexicon(seed=i) for i in range(2)]
    random = np.random.default_rng(seed)
    with (folder / f"{name}.en").open("w") as source, (folder / f"{name}.de").open("w") as target:
        for start in range(0, num_pairs, BLOCK):
            lengths = random.integers(4, 21, min(BLOCK, num_pairs - start))
            ends = np.cumsum(lengths)
            # Rank r with a probability of about 1/r.
            ranks = (NUM_WORDS ** random.random(ends[-1])).astype(np.int64) - 1
            for file, words, direction in zip((source, target), languages, (1, -1), strict=True):
                text = words[ranks].tolist()
                for length, end in zip(lengths.tolist(), ends.tolist(), strict=True):
                    file.write(" ".join(text[end - length : end][::direction]) + "\n")


def lexicon(seed: int) -> np.ndarray:
    """The words of a language: one to four syllables, the frequent ones short."""
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
    print(f"{what:45}{figure}", flush=True)


def show_load() -> None:
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    show("load of the last 1, 5, 15 minutes", f"{load} on {len(os.sched_getaffinity(0))} CPUs")


if __name__ == "__main__":
    main()
