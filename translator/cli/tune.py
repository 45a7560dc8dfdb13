"""`translator tune`: the beam and the length penalty that translate the validation split best."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from translator.data.corpus import read_pairs
from translator.runs import RunDirectory

if TYPE_CHECKING:
    from translator.evaluation.tuning import Setting


def tune(
    run_path: str | Path,
    beam_sizes: Sequence[int] = (),
    penalties: Sequence[float] = (),
    overrides: Sequence[str] = (),
) -> Setting:
    """Try every beam size with every length penalty on the validation split of a run.

    Prints BLEU of all, and keeps the winner in the run, where `translate` and `eval` find it.
    Without sizes or penalties it tries some. Raises UserError.
    """
    from translator.decoding.translator import Translator, load_run_config
    from translator.evaluation.score import bleu
    from translator.evaluation.tuning import BEAM_SIZES, LENGTH_PENALTIES, settings, winner
    from translator.models.weights import load_facts

    run = RunDirectory.existing(Path(run_path))
    config = load_run_config(run, overrides)
    run.need_text(overrides)
    beam_sizes, penalties = beam_sizes or BEAM_SIZES, penalties or LENGTH_PENALTIES
    translator = Translator.load(run.path, overrides)
    facts = load_facts(run.best)
    pairs = list(read_pairs(config.data, "validation"))
    references = [pair.target for pair in pairs]

    def score(translations: Sequence[str]) -> float:
        return bleu(translations, references, config.evaluation, config.data.target_language).value

    beams = translator.beams([pair.source for pair in pairs], beam_sizes)
    tried = settings(beams, penalties, score)
    found = winner(tried)
    _print(tried, penalties)
    signature = bleu(references, references, config.evaluation, config.data.target_language)
    best = (
        f"decoding.beam_size={found.beam_size} decoding.length_penalty={found.length_penalty:g}, "
        f"validation BLEU {found.bleu:.2f}  {signature.signature}"
    )
    if run.is_bundle:
        print(f"A bundle keeps nothing; the best, to be given by --set: {best}")
        return found
    report = {
        "beam_size": found.beam_size,
        "length_penalty": found.length_penalty,
        "validation_bleu": found.bleu,
        "signature": signature.signature,
        "weights": facts,
    }
    run.tuned.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"{run.tuned} keeps the best for `translate` and `eval`: {best}")
    return found


def _print(tried: Sequence[Setting], penalties: Sequence[float]) -> None:
    """A line for each beam size, a column for each length penalty."""
    print("length penalty", *(f"{alpha:6g}" for alpha in penalties))
    for i in range(0, len(tried), len(penalties)):
        row = tried[i : i + len(penalties)]
        print(f"beam size {row[0].beam_size:4}", *(f"{one.bleu:6.2f}" for one in row))
