"""Measure how fast runs translate, beside CTranslate2 with the same weights.

    .venv/bin/python scripts/bench_translate.py RUN --source test.en --target test.de
    .venv/bin/python scripts/bench_translate.py TEACHER STUDENT STUDENT --source test.en \\
        --target test.de --precision bfloat16 int8 --rounds 3

The engines of each run are:

- translator in float32 and in bfloat16;
- CTranslate2 (from the extra `ctranslate2`) in float32 and int8, each with one worker that has all
  threads, and with one worker per thread;
- with --peer, Hugging Face's `generate` in PyTorch (from the extra `bench`).

A run whose model CTranslate2 does not have gets only the engines of translator. Each engine runs in
its own process, and all engines of all runs take turns at the whole text. translator uses the batch
size of the run. For every other engine and beam size, the fastest batch size is found first. The
output has a table for each beam size, with medians over the rounds:

- sentences and output pieces (ends included) per second;
- ×: speed over that of the first run's int8 in CTranslate2 with its better number of workers (or
  over the first engine, if that is not measured), as the median of the ratios round by round;
- ms/step: time divided by the search steps of all batches (translator only);
- roofline: the time that the matrix products of the real pieces alone would take, for every alive
  hypothesis of every step, at the rates that `tf.matmul` reaches here on many rows, divided by the
  time taken (translator only). The taps of convolutions are not matrix products;
- memory: the peak resident memory of the engine's process, with libraries, over all batch sizes;
- load: from the first line of the process until the model is ready;
- prompt: a single sentence with beam 5; median of twenty;
- BLEU, its difference to the first engine of the first run, and the p-value of this difference by
  sacreBLEU's paired bootstrap; the signature below names samples and seed;
- different: the number of translations that differ from those of the run's first engine.

The other engines divide a translation's log-probability by its length, and limit all translations
of a batch to the same length. So their beams may find other translations. Hugging Face's process
loads the run with our code first, so no memory or load time is shown for it.
"""

from __future__ import annotations

import argparse
import operator
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from machine import PRECISIONS, Machine, Positions, Products, multiplications
from turns import Process, announce, answer_lines, median_ratio

from translator.cli.log_filter import filter_native_logs
from translator.corpora.lines import read_lines
from translator.errors import UserError

if TYPE_CHECKING:
    from translator.config import Config

STARTED = time.perf_counter()
BATCH_SIZES = (16384, 8192, 4096, 2048, 1024, 512)
"""Batch sizes to try, counted like decoding.tokens_per_batch."""
PEER = "hugging face float32"


class Round(NamedTuple):
    """What an engine reports after translating the whole text."""

    seconds: float
    translations: list[str]
    num_pieces: int
    num_steps: int
    """Steps of the search; 0 if unknown."""
    peak_mib: float


class Facts(NamedTuple):
    """What an engine reports once."""

    load_seconds: float
    prompt_ms: float


class Contender(NamedTuple):
    """An engine of a run."""

    run: str
    engine: str

    def __str__(self) -> str:
        return f"{self.run}, {self.engine}"

    @property
    def is_ours(self) -> bool:
        return self.engine.startswith("translator")


Sizes = dict[tuple[Contender, int], tuple[int, ...]]
"""By engine and beam size, the batch size to ask for; () for translator, which uses the run's."""

Rounds = dict[tuple[Contender, int], list[Round]]
"""By engine and beam size."""

Hypotheses = Callable[..., list[Any]]
"""(sentences, beam size[, batch size]) → translations of each sentence. Only translator takes no
batch size."""


def translator_engine(run: str, precision: str) -> tuple[Hypotheses, Callable[[], int]]:
    from translator.decoding.translator import Translator
    from translator.environment import freeze_weights, num_threads
    from translator.processors import share_processors

    freeze_weights(True)
    share_processors(num_threads())
    translators, steps = {}, [0]

    def make(beam_size: int) -> Translator:
        settings = {"precision": precision, "beam_size": beam_size}
        translator = Translator.load(run, [f"decoding.{k}={v}" for k, v in settings.items()])
        beam_search = translator.search._beam_search

        def counted(*arguments: Any) -> Any:
            found = beam_search(*arguments)
            steps[0] += found.ids.shape[2]
            return found

        translator.search.__dict__["_beam_search"] = counted
        return translator

    def hypotheses(sentences: list[str], beam_size: int) -> list[Any]:
        if beam_size not in translators:
            translators[beam_size] = make(beam_size)
        return translators[beam_size].hypotheses(sentences)

    return hypotheses, lambda: steps[0]


def needed_products(run: str, sentences: list[str], beam_size: int) -> Products:
    """Operations of a search through all sentences. A multiplication counts as two."""
    import tensorflow as tf

    from translator.decoding import beam
    from translator.decoding.loaded_run import load_run_config
    from translator.decoding.translator import Translator
    from translator.runs import RunDirectory

    tf.get_logger().setLevel("ERROR")  # Every run and beam size is traced, as it should be.
    beam.ROW_MULTIPLE = 1  # no padding rows
    translator = Translator.load(run, [f"decoding.beam_size={beam_size}"])
    counts = tf.Variable(tf.zeros([3], tf.int64))
    step = translator.model._step

    def counted(*arguments: Any) -> Any:
        _, ids, positions, fixed, _ = arguments
        _, not_padding = fixed.memory
        sentences = fixed.rows.hypotheses // tf.shape(fixed.rows.row_of)[1]
        lengths = tf.gather(tf.math.count_nonzero(not_padding, axis=1), sentences)
        earlier = tf.reduce_sum(positions + 1)
        one = tf.size(ids), earlier, tf.cast(tf.reduce_sum(lengths), tf.int32)
        counts.assign_add(tf.cast(tf.stack(one), tf.int64))
        return step(*arguments)

    translator.model.__dict__["_step"] = counted
    translator.translate(sentences)
    rows, looks_back, looks_over = counts.numpy().tolist()
    model = load_run_config(RunDirectory.existing(Path(run))).model
    read, _ = translator._read(sentences)
    source = [len(row) + 1 for row in read.values()]
    squares = sum(length**2 for length in source)
    positions = Positions(sum(source), rows, squares, looks_back, looks_over)
    logits = rows * model.model_dim * len(translator.tokenizer.target)
    return Products(2 * sum(multiplications(model, positions)), weights=0, logits=2 * logits)


def ctranslate2_engine(folder: str, workers: str) -> tuple[Hypotheses, Callable[[], int]]:
    from translator.config import load_recorded
    from translator.data.tokenizer import Tokenizer
    from translator.export.ctranslate2 import CTranslate2, options
    from translator.runs import EXPORT_CONFIG, RunDirectory

    path = Path(folder)
    config = load_recorded(path / EXPORT_CONFIG)
    tokenizer = Tokenizer.load(RunDirectory(path).tokenizer())
    search_options = options(config, tokenizer, alpha=1.0)
    max_length, batch_size = config.data.max_length, config.decoding.tokens_per_batch
    engine = CTranslate2(path, tokenizer, search_options, max_length, batch_size, int(workers))
    search = engine.search

    def hypotheses(sentences: list[str], beam_size: int, size: int = batch_size) -> list[Any]:
        search.beam_size = search._options["beam_size"] = beam_size
        search.tokens_per_batch = size
        return engine.hypotheses(sentences)

    return hypotheses, lambda: 0


def hugging_face_engine(run: str) -> tuple[Hypotheses, Callable[[], int]]:
    """The weights of the run in the network of M2M100, which is a pre-norm Transformer."""
    import torch
    from hugging_face import HuggingFace, load

    from translator.environment import num_threads

    torch.set_num_threads(num_threads())
    engine = load(run)
    search = engine.search
    assert isinstance(search, HuggingFace)

    def hypotheses(
        sentences: list[str], beam_size: int, size: int = search.tokens_per_batch
    ) -> list[Any]:
        search.beam_size, search.tokens_per_batch = beam_size, size
        return engine.hypotheses(sentences)

    return hypotheses, lambda: 0


ENGINES: dict[str, Callable[..., tuple[Hypotheses, Callable[[], int]]]] = {
    "translator": translator_engine,
    "ctranslate2": ctranslate2_engine,
    "hugging-face": hugging_face_engine,
}


def serve(engine: str, source: str, *arguments: str) -> None:
    """Run the child. A line is `facts`, or a beam size and possibly a batch size."""

    def make() -> Callable[[str], Any]:
        from translator.environment import peak_memory

        sentences = list(read_lines(Path(source)))
        hypotheses, num_steps = ENGINES[engine](*arguments)
        hypotheses(sentences[:1], 1)
        loaded = time.perf_counter() - STARTED

        def prompt() -> float:
            hypotheses(sentences[:1], 5)
            seconds = []
            for sentence in sentences[:20]:
                started = time.perf_counter()
                hypotheses([sentence], 5)
                seconds.append(time.perf_counter() - started)
            return 1000 * median(seconds)

        def answer(line: str) -> Any:
            if line.strip() == "facts":
                return Facts(loaded, prompt())
            before, started = num_steps(), time.perf_counter()
            found = hypotheses(sentences, *map(int, line.split()))
            seconds = time.perf_counter() - started
            best = [one[0] for one in found]
            num_pieces = sum(one.length for one in best)
            steps, peak = num_steps() - before, peak_memory() / 2**20
            return Round(seconds, [one.text for one in best], num_pieces, steps, peak)

        return answer

    answer_lines(make)


def main() -> None:
    title, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=title, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", metavar="run", nargs="+", help="directory of a run")
    parser.add_argument("--source", type=Path, required=True, help="text to translate")
    parser.add_argument("--target", type=Path, required=True, help="references")
    parser.add_argument("--beam", type=int, nargs="+", default=[1, 5], help="beam sizes (1 5)")
    parser.add_argument(
        "--precision",
        choices=[*PRECISIONS, "int8"],
        nargs="+",
        default=[*PRECISIONS, "int8"],
        help="measure only the engines of these precisions; saves time and memory",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each engine (5)")
    parser.add_argument("--peer", action="store_true", help="measure Hugging Face, too")
    options = parser.parse_args()
    filter_native_logs()
    with tempfile.TemporaryDirectory() as folder:
        bench(options, Path(folder))


def bench(options: argparse.Namespace, folder: Path) -> None:
    from translator.decoding.loaded_run import load_run_config
    from translator.runs import RunDirectory

    configs = {run: load_run_config(RunDirectory.existing(Path(run))) for run in options.runs}
    contenders = prepare_engines(options, configs, folder)
    sizes = {
        run: (1024, model.model_dim, model.feed_forward_dim, int(config.tokenizer.vocabulary_size))
        for run, config in configs.items()
        for model in [config.model]
    }
    machines = {size: Machine(*size) for size in dict.fromkeys(sizes.values())}
    sentences = list(read_lines(options.source))
    each = [(run, beam) for run in configs for beam in options.beam]
    products = {}
    for i, (run, beam) in enumerate(each, start=1):
        announce(f"counting the products of {run}, beam {beam}", i, len(each))
        products[run, beam] = needed_products(run, sentences, beam)
    with loaded(contenders) as (running, facts):
        batch_sizes, rounds = measure(options, running, list(machines.values()))
    for (_, width, inner, _), machine in machines.items():
        for precision in PRECISIONS:
            print(f"width {width}, inner width {inner}: {machine.describe(precision)}")
    for beam in options.beam:
        needed = {
            one: machines[sizes[one.run]].seconds(products[one.run, beam], one.engine.split()[1])
            for one in contenders
            if one.is_ours
        }
        print(f"\nbeam {beam}")
        report(
            options,
            configs,
            facts,
            {one: batch_sizes[one, beam] for one in contenders},
            {one: rounds[one, beam] for one in contenders},
            needed,
        )


Contenders = dict[Contender, tuple[object, ...]]
"""The arguments of each engine's process."""


def prepare_engines(
    options: argparse.Namespace, configs: dict[str, Config], folder: Path
) -> Contenders:
    """All engines of all runs. Runs are exported into `folder`."""
    from translator.environment import num_threads
    from translator.models.build import MODELS

    found: Contenders = {}
    for number, (run, config) in enumerate(configs.items()):
        for precision in PRECISIONS:
            if precision in options.precision:
                name = Contender(run, f"translator {precision}")
                found[name] = "translator", options.source, run, precision
        reason = MODELS[config.model.kind].missing_exports(config).get("ctranslate2")
        if reason:
            print(f"{run}: only the engines of translator, because {reason}")
            continue
        for quantization in ("float32", "int8"):
            if quantization not in options.precision:
                continue
            announce(f"exporting {run} to CTranslate2 in {quantization}")
            exported = folder / f"{number}-{quantization}"
            export(Path(run), exported, quantization)
            for workers in sorted({1, num_threads()}):
                threads = f"{workers} × {num_threads() // workers}"
                name = Contender(run, f"ctranslate2 {quantization}, {threads}")
                found[name] = "ctranslate2", options.source, exported, workers
        if options.peer:
            found[Contender(run, PEER)] = "hugging-face", options.source, run
    for run in configs:
        if all(one.run != run for one in found):
            raise UserError(f"{run}: no engine computes in int8; add another --precision.")
    return found


@contextmanager
def loaded(
    contenders: Contenders,
) -> Iterator[tuple[dict[Contender, Process], dict[Contender, Facts]]]:
    """The process of each engine, loaded one after the other, and the facts about it."""
    running: dict[Contender, Process] = {}
    facts = {}
    try:
        for i, (one, arguments) in enumerate(contenders.items(), start=1):
            announce(f"loading {one}, and one sentence at a time", i, len(contenders))
            running[one] = Process(__file__, *arguments)
            facts[one] = Facts(*running[one].ask("facts"))
        yield running, facts
    finally:
        for process in running.values():
            process.close()


def measure(
    options: argparse.Namespace, running: dict[Contender, Process], machines: list[Machine]
) -> tuple[Sizes, Rounds]:
    each = {(one, beam): process for beam in options.beam for one, process in running.items()}
    seconds = {}
    for i, ((one, beam), process) in enumerate(each.items(), start=1):
        announce(f"warming up {one}, beam {beam}", i, len(each))
        seconds[one, beam] = Round(*process.ask(beam)).seconds
    sizes: Sizes = dict.fromkeys(each, ())
    to_try = [key for key in each if not key[0].is_ours]
    for i, key in enumerate(to_try):
        left = len(BATCH_SIZES) * sum(seconds[other] for other in to_try[i:])
        left += options.rounds * sum(seconds.values())
        size, seconds[key] = fastest(*key, each[key], time.monotonic() + left)
        sizes[key] = (size,)
    rounds: Rounds = {key: [] for key in each}
    expected = sum(seconds.values())
    for i in range(options.rounds):
        began = time.monotonic()
        end = began + (options.rounds - i) * expected
        for machine in machines:
            machine.measure()
        for j, ((one, beam), process) in enumerate(each.items(), start=1):
            announce(f"round {i + 1} of {options.rounds}: {one}, beam {beam}", j, len(each), end)
            rounds[one, beam].append(Round(*process.ask(beam, *sizes[one, beam])))
        expected = time.monotonic() - began
    return sizes, rounds


def fastest(one: Contender, beam_size: int, process: Process, end: float) -> tuple[int, float]:
    """The batch size with which an engine takes the least time, and this time.

    Sizes are tried in descending order until one takes more than twice as long as the fastest.
    """
    seconds: dict[int, float] = {}
    for i, size in enumerate(BATCH_SIZES, start=1):
        announce(f"{one}, beam {beam_size}, batch size {size}", i, len(BATCH_SIZES), end)
        seconds[size] = Round(*process.ask(beam_size, size)).seconds
        if seconds[size] > 2 * min(seconds.values()):
            break
    best = min(seconds, key=lambda size: seconds[size])
    return best, seconds[best]


def report(
    options: argparse.Namespace,
    configs: dict[str, Config],
    facts: dict[Contender, Facts],
    sizes: dict[Contender, tuple[int, ...]],
    rounds: dict[Contender, list[Round]],
    needed: dict[Contender, float],
) -> None:
    """Print a row for each engine; all have the same beam size. needed: seconds of the products."""
    references = list(read_lines(options.target))
    translations = {one: done[-1].translations for one, done in rounds.items()}
    tests, signature = paired_bootstrap(translations, references, configs[options.runs[0]])
    first, reference = next(iter(rounds)), speed_reference(rounds, options.runs[0])
    width = max(len(run) for run in configs)
    print(
        f"{'run':{width}}  engine                     batch  sent/s      ×  pieces/s  ms/step  "
        "roofline   MiB  load s  prompt ms   BLEU  differ       p  different"
    )
    for one, done in rounds.items():
        seconds, last = median(r.seconds for r in done), done[-1]
        own_first = next(other for other in rounds if other.run == one.run)
        num_different = sum(map(operator.ne, translations[one], translations[own_first]))
        ratio = median_ratio([r.seconds for r in rounds[reference]], [r.seconds for r in done])
        (batch,) = sizes[one] or (configs[one.run].decoding.tokens_per_batch,)
        step = f"{1000 * seconds / last.num_steps:.1f}" if last.num_steps else "–"
        roofline = f"{needed[one] / seconds:.0%}" if one in needed else "–"
        is_peer = one.engine == PEER
        memory = "–" if is_peer else f"{last.peak_mib:,.0f}"
        load = "–" if is_peer else f"{facts[one].load_seconds:.1f}"
        test = tests[one]
        difference = test.score - tests[first].score
        p_value = f"{test.p_value:.3f}" if difference else "–"
        print(
            f"{one.run:{width}}  {one.engine:26} {batch:5} {len(references) / seconds:7.1f} "
            f"{ratio:6.2f} {last.num_pieces / seconds:9,.0f} {step:>8} {roofline:>9} {memory:>5} "
            f"{load:>7} {facts[one].prompt_ms:10.1f} {test.score:6.2f} {difference:+7.2f} "
            f"{p_value:>7} {num_different:10}"
        )
    print(f"×: the reference is {reference}\nBLEU: {signature}")


def speed_reference(rounds: dict[Contender, list[Round]], first_run: str) -> Contender:
    """The first run's int8 in CTranslate2, with its faster number of workers; otherwise, the first
    engine."""
    int8 = [
        one for one in rounds if one.run == first_run and one.engine.startswith("ctranslate2 int8")
    ]
    return min(int8 or list(rounds)[:1], key=lambda one: median(r.seconds for r in rounds[one]))


def paired_bootstrap(
    translations: dict[Contender, list[str]], references: list[str], config: Config
) -> tuple[dict[Contender, Any], str]:
    """BLEU of each engine, with the p-value of its difference to the first; and the signature."""
    from sacrebleu.significance import PairedTest

    from translator.evaluation.score import bleu_metric

    metric = bleu_metric(config.evaluation, config.data.target_language)
    systems = [(str(one), texts) for one, texts in translations.items()]
    test = PairedTest(systems, {"BLEU": metric}, [references], "bs", n_samples=1000)
    signatures, results = test()
    return dict(zip(translations, results["BLEU"], strict=True)), str(signatures["BLEU"])


def export(run: Path, folder: Path, quantization: str) -> None:
    """Write a run as a folder for CTranslate2."""
    import shutil

    from translator.data.tokenizer import Tokenizer
    from translator.decoding.loaded_run import load_run_config
    from translator.export.ctranslate2 import save
    from translator.models.weights import load_arrays
    from translator.runs import EXPORT_CONFIG, RunDirectory

    there, here = RunDirectory.existing(run), RunDirectory(folder)
    config = load_run_config(there)
    tokenizer = Tokenizer.load(there.tokenizer())
    folder.mkdir()
    save(folder, config, tokenizer, load_arrays(there.shipped)[0], quantization)
    tokenizer.save(here.vocabularies)
    shutil.copyfile(there.config, folder / EXPORT_CONFIG)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
    else:
        try:
            main()
        except UserError as error:
            sys.exit(f"Error: {error}")
