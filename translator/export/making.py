"""An export made of a run, and compared with it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from translator import __version__
from translator.config import Config
from translator.data.corpus import Pair, read_pairs
from translator.data.tokenizer import Tokenizer
from translator.decoding.search import length_penalty, power_penalty
from translator.decoding.translator import Translator, load_run_config
from translator.errors import DataError, RunError
from translator.evaluation.score import bleu
from translator.evaluation.tuning import LENGTH_PENALTIES, best, settings, winner
from translator.export import ctranslate2
from translator.export.golden import NUM_SENTENCES, compare, golden_sentences, save_golden
from translator.export.record import (
    CONFIG,
    EXAMPLE,
    GOLDEN,
    Options,
    Quantization,
    Record,
    Validation,
    digests,
)
from translator.models.weights import load_arrays
from translator.runs import RunDirectory, sha256

EXAMPLE_TEXT = '''\
"""Translates standard input, a sentence a line. Needs: pip install ctranslate2 sentencepiece"""
import json, sys
from pathlib import Path
import ctranslate2, sentencepiece
here = Path(__file__).parent
source, target = (sentencepiece.SentencePieceProcessor(str(here / name)) for name in {names})
record = json.loads((here / "export.json").read_text(encoding="utf-8"))
options, longest = record["options"], record["max_length"]
model = ctranslate2.Translator(str(here))
for line in sys.stdin:
    pieces = source.encode(line.strip(), out_type=str)[:longest]  # a tag goes in front: "<2de>"
    text = target.decode(model.translate_batch([pieces], **options)[0].hypotheses[0])
    print(text.replace("\\r", " ").replace("\\n", " "), flush=True)
'''


def make_export(folder: Path, run: RunDirectory, quantization: Quantization) -> Record:
    """Write a run's best model for CTranslate2 into an empty folder, with tokenizer, golden
    sentences and an example; all but the record, which is returned.

    Everything is compared with the run in float32, on its validation split. Raises UserError.
    """
    weights_sha256 = sha256(run.best) if run.best.exists() else ""
    exact = ["decoding.precision=float32"]
    translator, config = Translator.load(run.path, exact), load_run_config(run, exact)
    tokenizer, pairs = translator.tokenizer, list(read_pairs(config.data, "validation"))
    golden = golden_sentences(translator, _golden_sources(config, tokenizer, pairs))
    save_golden(folder / GOLDEN, golden)
    ctranslate2.save(folder, config, tokenizer, load_arrays(run.best)[0], quantization)
    shutil.copyfile(run.config, folder / CONFIG)
    paths = RunDirectory(folder).tokenizer(tokenizer.joint)
    tokenizer.save(paths)
    names = paths[0].name, paths[-1].name
    (folder / EXAMPLE).write_text(EXAMPLE_TEXT.format(names=names), encoding="utf-8")

    if sha256(run.best) != weights_sha256:
        raise RunError(f"{run.best} has changed meanwhile, as training goes on; export again.")

    # The engine has another length penalty: what it is best set to, the same beams tell.
    beam_size, references = config.decoding.beam_size, [pair.target for pair in pairs]

    def score(translations: Sequence[str]) -> float:
        return bleu(translations, references, config.evaluation, config.data.target_language).value

    beams = translator.beams([pair.source for pair in pairs], [beam_size])
    alpha = winner(settings(beams, LENGTH_PENALTIES, score, power_penalty)).length_penalty
    engine = ctranslate2.CTranslate2(
        folder,
        tokenizer,
        options := ctranslate2.options(config, tokenizer, alpha),
        config.data.max_length,
        config.decoding.tokens_per_batch,
    )
    longest = max(one.length for found in beams[beam_size] for one in found)
    penalties = length_penalty(tf.range(longest + 1), config.decoding.length_penalty).numpy()
    own = [best(found, penalties) for found in beams[beam_size]]
    theirs = engine.translate([pair.source for pair in pairs])
    signature = bleu(theirs, references, config.evaluation, config.data.target_language).signature
    return Record(
        format="ctranslate2",
        quantization=quantization,
        version=__version__,
        weights_sha256=weights_sha256,
        max_length=config.data.max_length,
        options=Options(**options),
        compute_type=engine.compute_type,
        golden=compare(golden, engine),
        validation=Validation(
            bleu=score(theirs),
            run_bleu=score(own),
            signature=signature,
            same=float(np.mean([one == other for one, other in zip(theirs, own, strict=True)])),
        ),
        files=digests(folder),
    )


def _golden_sources(config: Config, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> list[list[int]]:
    """Evenly spread over the validation split, in ids; where no text may be kept, by chance."""
    limit = config.data.max_length
    if config.training.keep_text:
        rows = [row[:limit] for row in tokenizer.source.encode([p.source for p in pairs]) if row]
        count = min(NUM_SENTENCES, len(rows))
        if not count:
            raise DataError("The validation split has no sentence to prove an export by.")
        return [rows[i * len(rows) // count] for i in range(count)]
    random = np.random.default_rng(config.training.seed)
    ordinary = [i for i in range(len(tokenizer.source)) if not tokenizer.source.is_control(i)]
    lengths = random.integers(1, min(limit, 30) + 1, NUM_SENTENCES)
    return [random.choice(ordinary, length).tolist() for length in lengths]
