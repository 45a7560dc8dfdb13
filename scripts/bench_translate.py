"""Measure how fast a run translates, beside CTranslate2 with the same weights.

    .venv/bin/python scripts/bench_translate.py RUN --source test.en --target test.de

The engines are:

- translator in float32 and in bfloat16;
- CTranslate2 (from the extra `ctranslate2`) in float32 and int8, each with one worker that has all
  threads, and with one worker per thread;
- with --peer, Hugging Face's `generate` in PyTorch (from the extra `bench`).

Each engine runs in its own process, and all take turns at the whole text. translator uses the batch
size of the run. For every other engine and beam size, the fastest batch size is found first. The
output has medians over the rounds:

- sentences and output pieces (ends included) per second;
- ms/step: time divided by the search steps of all batches (translator only);
- roofline: the time that the matrix products of the real pieces alone would take, for every alive
  hypothesis of every step, at the rates that `tf.matmul` reaches here on many rows, divided by the
  time taken (translator only);
- memory: the peak resident memory of the engine's process, with libraries, over all batch sizes;
- load: from the first line of the process until the model is ready;
- prompt: a single sentence; median of twenty;
- BLEU, and the number of translations that differ from those of translator in float32.

The other engines divide a translation's log-probability by its length, and limit all translations
of a batch to the same length. So their beams may find other translations. Hugging Face's process
loads the run with our code first, so no memory or load time is shown for it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from machine import PRECISIONS, Machine, Products
from turns import Process, announce, answer_lines

from translator.cli.log_filter import filter_native_logs
from translator.corpora.lines import read_lines
from translator.errors import UserError

if TYPE_CHECKING:
    from translator.config import Config

STARTED = time.perf_counter()
BATCH_SIZES = (16384, 8192, 4096, 2048, 1024, 512)
"""Batch sizes to try, counted like decoding.tokens_per_batch."""
REFERENCE = "translator float32"
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


Sizes = dict[tuple[str, int], tuple[int, ...]]
"""By engine and beam size, the batch size to ask for; () for translator, which uses the run's."""

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


def needed_products(run: Path, sentences: list[str], beam_size: int) -> Products:
    """Operations of a search through all sentences. A multiplication counts as two."""
    import tensorflow as tf

    from translator.decoding import beam
    from translator.decoding.loaded_run import load_run_config
    from translator.decoding.translator import Translator
    from translator.runs import RunDirectory

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
    model = load_run_config(RunDirectory.existing(run)).model
    read, _ = translator._read(sentences)
    source = [len(row) + 1 for row in read.values()]
    width, feed_forward = model.model_dim, 2 * model.model_dim * model.feed_forward_dim
    encoder, decoder = model.num_layers, model.num_decoder_layers or model.num_layers
    of_source = encoder * (4 * width**2 + feed_forward) + decoder * 2 * width**2
    dense = sum(source) * of_source + rows * decoder * (6 * width**2 + feed_forward)
    squares = sum(length**2 for length in source)
    attention = 2 * width * (encoder * squares + decoder * (looks_back + looks_over))
    logits = rows * width * len(translator.tokenizer.target)
    return Products(layers=2 * (dense + attention), weights=0.0, logits=2 * logits)


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
    parser.add_argument("run", type=Path, help="directory of the run")
    parser.add_argument("--source", type=Path, required=True, help="text to translate")
    parser.add_argument("--target", type=Path, required=True, help="references")
    parser.add_argument("--beam", type=int, nargs="+", default=[1, 5], help="beam sizes (1 5)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each engine (5)")
    parser.add_argument("--peer", action="store_true", help="measure Hugging Face, too")
    options = parser.parse_args()
    filter_native_logs()
    with tempfile.TemporaryDirectory() as folder:
        bench(options, Path(folder))


def bench(options: argparse.Namespace, folder: Path) -> None:
    from translator.decoding.loaded_run import load_run_config
    from translator.runs import RunDirectory

    config = load_run_config(RunDirectory(options.run))
    sizes = config.model.model_dim, config.model.feed_forward_dim
    machine = Machine(1024, *sizes, int(config.tokenizer.vocabulary_size))
    sentences = list(read_lines(options.source))
    products = {}
    for i, beam in enumerate(options.beam, start=1):
        announce(f"counting the products of a search with beam {beam}", i, len(options.beam))
        products[beam] = needed_products(options.run, sentences, beam)
    running = start_engines(options, folder)
    try:
        facts, size, rounds = measure(options, running, machine)
    finally:
        for process in running.values():
            process.close()
    for precision in PRECISIONS:
        print(machine.describe(precision))
    report(options, config, machine, products, facts, size, rounds)


def start_engines(options: argparse.Namespace, folder: Path) -> dict[str, Process]:
    """The process of each engine; runs are exported into `folder`."""
    from translator.environment import num_threads

    running = {
        f"translator {precision}": Process(
            __file__, "translator", options.source, options.run, precision
        )
        for precision in ("float32", "bfloat16")
    }
    for quantization in ("float32", "int8"):
        announce(f"exporting to CTranslate2 in {quantization}")
        export(options.run, folder / quantization, quantization)
        for workers in sorted({1, num_threads()}):
            name = f"ctranslate2 {quantization}, {workers} × {num_threads() // workers}"
            running[name] = Process(
                __file__, "ctranslate2", options.source, folder / quantization, workers
            )
    if options.peer:
        running[PEER] = Process(__file__, "hugging-face", options.source, options.run)
    return running


def report(
    options: argparse.Namespace,
    config: Config,
    machine: Machine,
    products: dict[int, Products],
    facts: dict[str, Facts],
    size: Sizes,
    rounds: dict[tuple[str, int], list[Round]],
) -> None:
    """Print a row for each engine and beam size."""
    from translator.evaluation.score import bleu

    references = list(read_lines(options.target))
    language = config.data.target_language
    print(
        "engine                     beam  batch  sent/s  pieces/s  ms/step  roofline  MiB  load s"
        "  prompt ms   BLEU  different"
    )
    for (name, beam_size), done in rounds.items():
        seconds, last = median(one.seconds for one in done), done[-1]
        expected = rounds[REFERENCE, beam_size][-1].translations
        num_different = sum(a != b for a, b in zip(last.translations, expected, strict=True))
        score = bleu(last.translations, references, config.evaluation, language)
        (batch,) = size[name, beam_size] or (config.decoding.tokens_per_batch,)
        memory, load = f"{last.peak_mib:4,.0f}", f"{facts[name].load_seconds:7.1f}"
        if name == PEER:
            memory, load = "   –", "      –"
        step, roofline = "      –", "       –"
        if last.num_steps:
            needed = machine.seconds(products[beam_size], name.split()[1])
            step = f"{1000 * seconds / last.num_steps:7.1f}"
            roofline = f"{needed / seconds:8.0%}"
        print(
            f"{name:26} {beam_size:4}  {batch:5} {len(references) / seconds:7.1f} "
            f"{last.num_pieces / seconds:9,.0f}  {step}  {roofline} {memory} {load} "
            f"{facts[name].prompt_ms:10.1f} "
            f"{score.value:6.2f} {num_different:10}"
        )
    print(f"BLEU: {score.signature}")


def measure(
    options: argparse.Namespace, running: dict[str, Process], machine: Machine
) -> tuple[dict[str, Facts], Sizes, dict[tuple[str, int], list[Round]]]:
    """The facts by engine; and by engine and beam size, the batch size and the rounds."""
    facts = {}
    for i, (name, process) in enumerate(running.items(), start=1):
        announce(f"loading {name}, and one sentence at a time", i, len(running))
        facts[name] = Facts(*process.ask("facts"))
    size: Sizes = {}
    each = [(beam, *engine) for beam in options.beam for engine in running.items()]
    for i, (beam_size, name, process) in enumerate(each, start=1):
        announce(f"warming up {name}, beam {beam_size}", i, len(each))
        process.ask(beam_size)
        is_ours = name.startswith("translator")
        size[name, beam_size] = () if is_ours else (fastest(name, process, beam_size),)
    rounds: dict[tuple[str, int], list[Round]] = {}
    for i in range(1, options.rounds + 1):
        machine.measure()
        for j, (beam_size, name, process) in enumerate(each, start=1):
            announce(f"round {i} of {options.rounds}: {name}, beam {beam_size}", j, len(each))
            found = Round(*process.ask(beam_size, *size[name, beam_size]))
            rounds.setdefault((name, beam_size), []).append(found)
    return facts, size, rounds


def fastest(name: str, process: Process, beam_size: int) -> int:
    """The batch size with which an engine takes the least time.

    Sizes are tried in descending order until one takes more than twice as long as the fastest.
    """
    seconds: dict[int, float] = {}
    for i, size in enumerate(BATCH_SIZES, start=1):
        announce(f"  {name}, beam {beam_size}, batch size {size}", i, len(BATCH_SIZES))
        seconds[size] = Round(*process.ask(beam_size, size)).seconds
        if seconds[size] > 2 * min(seconds.values()):
            break
    return min(seconds, key=lambda size: seconds[size])


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
