"""Build an export from a run and compare the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from translator import __version__
from translator.alignment.run_files import load_reading
from translator.config import Config, replaced, save_config
from translator.config.schema import LengthPenaltyKind
from translator.data.corpus import Pair, read_pairs
from translator.data.tokenizer import Tokenizer
from translator.decoding.engine import Engine
from translator.decoding.loaded_run import LoadedRun
from translator.decoding.translator import Translator
from translator.errors import DataError
from translator.evaluation.score import BleuCounts, bleu
from translator.evaluation.tuning import LENGTH_PENALTIES, Baseline, settings
from translator.export import bundle
from translator.export.formats import check_format
from translator.export.golden import (
    LONGEST,
    NUM_SENTENCES,
    Scorer,
    compare,
    golden_sentences,
    save_golden,
)
from translator.export.manifest import (
    EXAMPLE,
    FORMULAS,
    GOLDEN,
    Format,
    Manifest,
    Options,
    Quantization,
    Search,
    Validation,
    digests,
)
from translator.runs import EXPORT_CONFIG, RunDirectory
from translator.training.results import Score


class BuiltExport(NamedTuple):
    """An exported model, to be compared with its run."""

    engine: Engine
    """Translates text."""
    scorer: Scorer
    """The same model, for the golden sentences."""
    penalty: LengthPenaltyKind
    options: Options | Search
    compute_type: str


def build_export(
    folder: Path,
    run: LoadedRun,
    format: Format,
    quantization: Quantization = "float32",
    notes: str = "",
) -> Manifest:
    """Write a run's best model into an empty folder, with tokenizer and golden sentences.

    Compares the export with the run in float32 on the validation split. Returns the manifest and
    does not write it. Raises UserError.
    """
    config = replaced(run.config, {"decoding.precision": "float32"})
    check_format(config, format)
    translator = replace(run, config=config).engine()
    tokenizer, pairs = translator.tokenizer, list(read_pairs(config.data, "validation"))
    sources, references = [pair.source for pair in pairs], [pair.target for pair in pairs]
    shared = run.config.model_copy(update={"data": config.data.without_local_paths()})

    def score(translations: Sequence[str]) -> Score:
        return bleu(translations, references, config.evaluation, config.data.target_language)

    golden = golden_sentences(translator, _golden_sources(config, tokenizer, pairs))
    save_golden(folder / GOLDEN, golden)
    if format == "bundle":
        built = _bundle(folder, run, translator, shared, notes)
    else:
        save_config(shared, folder / EXPORT_CONFIG)
        tokenizer.save(RunDirectory(folder).vocabularies)
        if format == "savedmodel":
            built = _savedmodel(folder, translator, shared)
        else:
            alpha = _power_penalty(translator, config, sources, references)
            built = _ctranslate2(folder, run, config, quantization, alpha)
    of_run, of_export = translator.translate(sources), built.engine.translate(sources)
    return Manifest(
        format=format,
        quantization=quantization,
        version=__version__,
        weights_sha256=run.digest,
        max_length=config.data.max_length,
        penalty=FORMULAS[built.penalty],
        options=built.options,
        compute_type=built.compute_type,
        golden=compare(golden, built.scorer),
        validation=Validation(
            bleu=score(of_export).value,
            run_bleu=score(of_run).value,
            signature=score(of_run).signature,
            same=float(np.mean([a == b for a, b in zip(of_run, of_export, strict=True)])),
        ),
        files=digests(folder),
    )


def _power_penalty(
    translator: Translator, config: Config, sources: Sequence[str], references: Sequence[str]
) -> float:
    """The exponent for CTranslate2, whose length penalty is always of the kind "power".

    For a run with another kind, the exponent is chosen on the validation split, from the beams of
    the run's own search.
    """
    decoding = config.decoding
    if decoding.length_penalty_kind == "power":
        return decoding.length_penalty
    beams = translator.beams(sources, [decoding.beam_size])
    counts = BleuCounts(references, config.evaluation, config.data.target_language)
    (configured,) = settings(beams, [decoding.length_penalty], counts, decoding.length_penalty_kind)
    tried = settings(beams, LENGTH_PENALTIES, counts, "power")
    return Baseline(configured, counts).winner(tried).length_penalty


def _ctranslate2(
    folder: Path, run: LoadedRun, config: Config, quantization: Quantization, alpha: float
) -> BuiltExport:
    from translator.export import ctranslate2

    tokenizer = run.tokenizer
    reading = load_reading(run.directory, run.digest)
    if reading and reading.at == "input":
        reading = None  # CTranslate2 returns the attention at the output
    ctranslate2.save(folder, config, tokenizer, run.weights, quantization, reading)
    _write_example(folder, ctranslate2.EXAMPLE)
    options = ctranslate2.options(config, tokenizer, alpha)
    size = config.decoding.tokens_per_batch
    engine = ctranslate2.CTranslate2(folder, tokenizer, options, config.data.max_length, size)
    return BuiltExport(engine, engine, "power", Options(**options), engine.compute_type)


def _savedmodel(folder: Path, translator: Translator, config: Config) -> BuiltExport:
    from translator.export import savedmodel

    savedmodel.save(folder, translator.model, config)
    _write_example(folder, savedmodel.EXAMPLE)
    search = _search(config)
    engine = savedmodel.SavedModel(folder, translator.tokenizer, config, search.beam_size)
    return BuiltExport(engine, engine, config.decoding.length_penalty_kind, search, "float32")


def _bundle(
    folder: Path, run: LoadedRun, translator: Translator, config: Config, notes: str
) -> BuiltExport:
    bundle.save(folder, run, translator, config, notes)
    engine = Translator.load(folder)
    kind = config.decoding.length_penalty_kind
    return BuiltExport(engine, bundle.TranslatorScorer(engine), kind, _search(config), "float32")


def _search(config: Config) -> Search:
    decoding = config.decoding
    return Search(
        beam_size=decoding.beam_size,
        length_penalty=decoding.length_penalty,
        no_repeat_ngram=decoding.no_repeat_ngram,
        min_length=decoding.min_length,
    )


def _write_example(folder: Path, text: str) -> None:
    names = tuple(path.name for path in RunDirectory(folder).vocabularies)
    (folder / EXAMPLE).write_text(text.format(names=names), encoding="utf-8")


def _golden_sources(config: Config, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> list[list[int]]:
    """Ids of sentences evenly spread over the validation split; random ids without keep_text."""
    limit = min(config.data.max_length, LONGEST)
    if config.training.keep_text:
        rows = [row[:limit] for row in tokenizer.source.encode([p.source for p in pairs]) if row]
        count = min(NUM_SENTENCES, len(rows))
        if not count:
            raise DataError("The validation split has no sentence to check an export with.")
        return [rows[i * len(rows) // count] for i in range(count)]
    rng = np.random.default_rng(config.training.seed)
    ordinary = [i for i in range(len(tokenizer.source)) if not tokenizer.source.is_control(i)]
    lengths = rng.integers(1, min(limit, 30) + 1, NUM_SENTENCES)
    return [rng.choice(ordinary, length).tolist() for length in lengths]
