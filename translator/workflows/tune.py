"""`tune`: find the decoding and the mean of weights that translate the validation split best."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from translator.data.corpus import read_pairs
from translator.environment import freeze_weights
from translator.errors import RunError
from translator.files import write_whole
from translator.runs import RunDirectory, step_of
from translator.workflows.logs import ensure_handler
from translator.workflows.progress import LOG_LINES, Progress, counting

if TYPE_CHECKING:
    from translator.config.schema import DecodingConfig, LengthPenaltyKind
    from translator.data.corpus import Pair
    from translator.decoding.engine import Translation
    from translator.decoding.loaded_run import LoadedRun
    from translator.evaluation.tuning import Baseline, Gain, Setting
    from translator.models.weights import Arrays

    Beams = dict[int, list[list[Translation]]]
    """By beam size and sentence, all translations in the beam."""

log = logging.getLogger(__name__)


class MeanWeights(NamedTuple):
    """The mean of the weights that were validated at some steps."""

    steps: list[int]
    weights: Arrays


class Row(NamedTuple):
    """Settings that share beam size and weights, one for each length penalty."""

    settings: list[Setting]
    mean_steps: list[int] | None = None
    """The steps whose mean weights were used; None for the best weights of the run."""

    def __str__(self) -> str:
        name = f"beam size {self.settings[0].beam_size}"
        if self.mean_steps:
            name = f"mean of {len(self.mean_steps)}"
        return " ".join([f"{name:17}", *(f"{one.bleu:6.2f}" for one in self.settings)])


class Tuning(NamedTuple):
    """What was tried, and which setting was chosen."""

    rows: list[Row]
    configured: Setting
    """The configured decoding, with which all others are compared."""
    configured_kind: LengthPenaltyKind
    chosen: Setting
    chosen_kind: LengthPenaltyKind
    gain: Gain
    """BLEU gained over the configured decoding, with its standard error."""
    mean_steps: list[int] | None
    """The steps whose mean weights were chosen; None for the best weights of the run."""
    signature: str
    """sacreBLEU's signature of the scores."""
    path: Path | None
    """The file with the choice; None for a bundle, which cannot be changed."""

    @property
    def overrides(self) -> list[str]:
        """The chosen decoding, as keys to set."""
        return [
            f"decoding.beam_size={self.chosen.beam_size}",
            f"decoding.length_penalty={self.chosen.length_penalty:g}",
            f"decoding.length_penalty_kind={self.chosen_kind}",
        ]


def tune(
    run: str | Path,
    beam_sizes: Sequence[int] = (),
    penalties: Sequence[float] = (),
    overrides: Sequence[str] = (),
    progress: Progress = LOG_LINES,
    show: Callable[[str], None] = log.info,
) -> Tuning:
    """Try beam sizes, length penalties and means of weights on the validation split of a run.

    Every beam size is tried with every penalty; then, with the best beam size, the means of the
    validated weights that the run keeps. The setting with the highest gain in BLEU minus its
    standard error is kept in the run, where `translate`, `evaluate` and `export_run` find it.

    beam_sizes, penalties: by default several, and those that the run is configured with.
    overrides: keys that win over what the run keeps.
    show: called with each line of the table as soon as it is known.

    Raises UserError.
    """
    from translator.decoding.loaded_run import load_run
    from translator.evaluation.tuning import Baseline

    ensure_handler()
    freeze_weights(False)  # the means of weights are set in one model
    directory = RunDirectory.existing(Path(run))
    directory.need_text(overrides)
    loaded = load_run(directory, overrides, as_tuned=False)
    with counting(progress, "Reading the validation text"):
        pairs = list(read_pairs(loaded.config.data, "validation"))
    grid = _Grid.of(loaded, beam_sizes, penalties)
    validation = _Validation(loaded, pairs)
    beams = validation.beams(sorted({*grid.beam_sizes, grid.configured.beam_size}))
    configured = validation.configured(grid.configured, beams)
    baseline = Baseline(configured, validation.bleu)
    show(" ".join(["length penalty   ", *(f"{alpha:6g}" for alpha in grid.penalties)]))
    rows: list[Row] = []
    chosen, chosen_mean = None, None
    for row, mean in _search(validation, grid, beams, baseline, _means(directory)):
        show(str(row))
        rows.append(row)
        best = baseline.winner([*([chosen] if chosen else []), *row.settings])
        if best is not chosen:
            chosen, chosen_mean = best, mean
    assert chosen is not None
    tuning = Tuning(
        rows,
        configured,
        grid.configured.length_penalty_kind,
        chosen,
        grid.kind,
        baseline.gain(chosen),
        chosen_mean.steps if chosen_mean else None,
        validation.bleu.signature,
        None if directory.is_bundle else directory.tuned,
    )
    if not directory.is_bundle:
        _keep(directory, loaded, tuning, chosen_mean)
    return tuning


class _Grid(NamedTuple):
    """The settings to try."""

    beam_sizes: Sequence[int]
    penalties: Sequence[float]
    kind: LengthPenaltyKind
    configured: DecodingConfig
    """The decoding with which they are compared."""

    @classmethod
    def of(cls, run: LoadedRun, beam_sizes: Sequence[int], penalties: Sequence[float]) -> _Grid:
        """The given sizes and penalties; by default, the usual ones and those configured."""
        from translator.evaluation.tuning import BEAM_SIZES, LENGTH_PENALTIES

        kind = run.config.decoding.length_penalty_kind
        own_kind = run.recorded.decoding.length_penalty_kind
        configured = run.config.decoding.model_copy(update={"length_penalty_kind": own_kind})
        own_penalty = {configured.length_penalty} if own_kind == kind else set()
        return cls(
            beam_sizes or sorted({*BEAM_SIZES, configured.beam_size}),
            penalties or sorted({*LENGTH_PENALTIES, *own_penalty}),
            kind,
            configured,
        )


class _Validation:
    """Translates the validation split with a run, and scores it."""

    def __init__(self, run: LoadedRun, pairs: Sequence[Pair]) -> None:
        from translator.evaluation.score import BleuCounts
        from translator.layers.dense import need_fresh_weights

        self._translator = run.engine(frozen=False)
        need_fresh_weights()
        self._run_path = str(run.directory.path)
        self._sources = [pair.source for pair in pairs]
        references = [pair.target for pair in pairs]
        self.bleu = BleuCounts(references, run.config.evaluation, run.config.data.target_language)

    def beams(self, sizes: Sequence[int]) -> Beams:
        """All translations in beams of these sizes."""
        return self._translator.beams(self._sources, sizes)

    def use(self, mean: MeanWeights) -> None:
        """Translate with these weights from now on."""
        from translator.models.weights import set_model_weights

        set_model_weights(self._translator.model, mean.weights, self._run_path)

    def configured(self, decoding: DecodingConfig, beams: Beams) -> Setting:
        """The score of the configured decoding."""
        from translator.evaluation.tuning import settings

        own = {decoding.beam_size: beams[decoding.beam_size]}
        kind = decoding.length_penalty_kind
        (setting,) = settings(own, [decoding.length_penalty], self.bleu, kind)
        return setting


def _search(
    validation: _Validation,
    grid: _Grid,
    beams: Beams,
    baseline: Baseline,
    means: Iterable[MeanWeights],
) -> Iterator[tuple[Row, MeanWeights | None]]:
    """Score every beam size with the best weights, then every mean with the best beam size.

    Yields each row with its mean, if any.
    """
    from translator.evaluation.tuning import settings

    tried: list[Setting] = []
    for size in grid.beam_sizes:
        row = Row(settings({size: beams[size]}, grid.penalties, validation.bleu, grid.kind))
        tried += row.settings
        yield row, None
    size = baseline.winner(tried).beam_size
    for mean in means:
        validation.use(mean)
        found = settings(validation.beams([size]), grid.penalties, validation.bleu, grid.kind)
        yield Row(found, mean.steps), mean


def _means(run: RunDirectory) -> Iterator[MeanWeights]:
    """Means of the newest two, three, … of the validated weights that the run keeps."""
    from translator.models.weights import load_arrays
    from translator.training.checkpoint import mean_weights

    newest = run.snapshots()[::-1]
    parts = [load_arrays(path)[0] for path in newest]
    for num_parts in range(2, len(newest) + 1):
        steps = [step_of(path) for path in newest[:num_parts]]
        yield MeanWeights(steps, mean_weights(parts[:num_parts]))


def _keep(run: RunDirectory, loaded: LoadedRun, tuning: Tuning, mean: MeanWeights | None) -> None:
    """Write the choice into the run. Raises RunError if its best weights have changed."""
    from translator.models.weights import load_facts, save_arrays

    if load_facts(run.best) != dict(loaded.facts):
        raise RunError(f"{run.best} has changed meanwhile, because training goes on. Tune again.")
    if mean is None:
        run.averaged.unlink(missing_ok=True)
    else:
        scores = {"bleu": tuning.chosen.bleu, "signature": tuning.signature}
        save_arrays(run.averaged, mean.weights, step=mean.steps[0], averaged=mean.steps, **scores)
    report = {
        "beam_size": tuning.chosen.beam_size,
        "length_penalty": tuning.chosen.length_penalty,
        "length_penalty_kind": tuning.chosen_kind,
        "validation_bleu": tuning.chosen.bleu,
        "signature": tuning.signature,
        "weights": load_facts(run.shipped),
    }
    write_whole(run.tuned, json.dumps(report, indent=2) + "\n")
