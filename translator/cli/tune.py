"""`translator tune`: how the validation split is translated best, without training again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from translator.data.corpus import read_pairs
from translator.environment import freeze_weights
from translator.errors import RunError
from translator.files import write_whole
from translator.runs import RunDirectory, step_of
from translator.workflows.progress import show_progress

if TYPE_CHECKING:
    from translator.config.schema import LengthPenaltyKind
    from translator.evaluation.tuning import Setting
    from translator.models.weights import Arrays


class Mean(NamedTuple):
    """Of validated weights."""

    steps: list[int]
    weights: Arrays


def tune(
    run_path: str | Path,
    beam_sizes: Sequence[int] = (),
    penalties: Sequence[float] = (),
    overrides: Sequence[str] = (),
) -> Setting:
    """Try every beam size with every length penalty on the validation split of a run, and with the
    best beam size the means of the validated weights that it keeps.

    Prints BLEU of all, and keeps the winner in the run, where `translate`, `eval` and `export` find
    it. Without sizes or penalties it tries some, and those that the run is configured with, which
    all are compared with. Raises UserError.
    """
    from translator.decoding.loaded_run import load_run
    from translator.evaluation.score import BleuCounts
    from translator.evaluation.tuning import (
        BEAM_SIZES,
        LENGTH_PENALTIES,
        Baseline,
        settings,
    )
    from translator.layers.dense import need_fresh_weights
    from translator.models.weights import set_model_weights

    freeze_weights(False)  # it tries means of them
    run = RunDirectory.existing(Path(run_path))
    run.need_text(overrides)
    opened = load_run(run, overrides, as_tuned=False)
    config, own_kind = opened.config, opened.recorded.decoding.length_penalty_kind
    kind = config.decoding.length_penalty_kind
    before = config.decoding.model_copy(update={"length_penalty_kind": own_kind})
    own_penalty = {before.length_penalty} if before.length_penalty_kind == kind else set()
    beam_sizes = beam_sizes or sorted({*BEAM_SIZES, before.beam_size})
    penalties = penalties or sorted({*LENGTH_PENALTIES, *own_penalty})
    translator = opened.engine(frozen=False)
    need_fresh_weights()
    with show_progress("Reading the validation text"):
        pairs = list(read_pairs(config.data, "validation"))
    sources, references = [pair.source for pair in pairs], [pair.target for pair in pairs]
    bleu = BleuCounts(references, config.evaluation, config.data.target_language)

    beams = translator.beams(sources, sorted({*beam_sizes, before.beam_size}))
    of_before = {before.beam_size: beams[before.beam_size]}
    (now,) = settings(of_before, [before.length_penalty], bleu, before.length_penalty_kind)
    baseline = Baseline(now, bleu)
    print("length penalty   ", *(f"{alpha:6g}" for alpha in penalties))
    found = settings({size: beams[size] for size in beam_sizes}, penalties, bleu, kind)
    for beam_size in beam_sizes:
        _print(f"beam size {beam_size}", (one for one in found if one.beam_size == beam_size))
    best, chosen = baseline.winner(found), None
    for mean in _means(run):
        set_model_weights(translator.model, mean.weights, str(run.path))
        beams = translator.beams(sources, [best.beam_size])
        found = settings(beams, penalties, bleu, kind)
        _print(f"mean of {len(mean.steps)}", found)
        better = baseline.winner([best, *found])
        if better is not best:
            best, chosen = better, mean
    print(
        f"As configured, beam size {now.beam_size} and length penalty {now.length_penalty:g} "
        f"({before.length_penalty_kind}), it is {now.bleu:.2f}. What gains most on that, or loses "
        f"least, less its standard error, is kept: {baseline.gain(best)}."
    )
    return _keep(run, best, kind, chosen, bleu.signature, dict(opened.facts))


def _means(run: RunDirectory) -> Iterator[Mean]:
    """Of the validated weights that are kept, the newest two, three …"""
    from translator.models.weights import load_arrays
    from translator.training.checkpoint import mean_weights

    newest = run.snapshots()[::-1]
    parts = [load_arrays(path)[0] for path in newest]
    for count in range(2, len(newest) + 1):
        steps = [step_of(path) for path in newest[:count]]
        yield Mean(steps, mean_weights(parts[:count]))


def _keep(
    run: RunDirectory,
    found: Setting,
    kind: LengthPenaltyKind,
    mean: Mean | None,
    signature: str,
    facts: dict[str, Any],
) -> Setting:
    """Write what was found into the run whose best weights had these facts, and say so. Raises
    RunError if they have others now."""
    from translator.models.weights import load_facts, save_arrays

    said = (
        f"decoding.beam_size={found.beam_size} decoding.length_penalty={found.length_penalty:g} "
        f"decoding.length_penalty_kind={kind}"
        + (f", the mean of {len(mean.steps)}" if mean else "")
        + f", validation BLEU {found.bleu:.2f}  {signature}"
    )
    if run.is_bundle:
        print(f"A bundle keeps nothing; to be given by --set: {said}")
        return found
    if load_facts(run.best) != facts:
        raise RunError(f"{run.best} has changed meanwhile, as training goes on; tune again.")
    if mean is None:
        run.averaged.unlink(missing_ok=True)
    else:
        scores = {"bleu": found.bleu, "signature": signature}
        save_arrays(run.averaged, mean.weights, step=mean.steps[0], averaged=mean.steps, **scores)
    report = {
        "beam_size": found.beam_size,
        "length_penalty": found.length_penalty,
        "length_penalty_kind": kind,
        "validation_bleu": found.bleu,
        "signature": signature,
        "weights": load_facts(run.shipped),
    }
    write_whole(run.tuned, json.dumps(report, indent=2) + "\n")
    print(f"{run.tuned} keeps it for `translate`, `eval` and `export`: {said}")
    return found


def _print(name: str, row: Iterable[Setting]) -> None:
    """BLEU with every length penalty."""
    print(f"{name:17}", *(f"{one.bleu:6.2f}" for one in row))
