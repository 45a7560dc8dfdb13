"""A run as one file: what translation needs, a model card and the golden sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from translator import __version__
from translator.alignment.run_files import load_reading
from translator.config import Config, save_config
from translator.config.schema import DecodingConfig, EvaluationConfig, ModelConfig
from translator.decoding.loaded_run import LoadedRun
from translator.decoding.translator import Translator
from translator.errors import RunError
from translator.export.golden import log_probs
from translator.models.weights import save_arrays
from translator.runs import RunDirectory, read_json

CARD = """\
# {source} → {target}

A translation model by translator {version}, whose commands take this file in place of a run.

| | |
|---|---|
| languages | {source} to {target} |
| model | {kind}, {layers}, width {width}, {parameters:,} parameters |
| vocabulary | {pieces} pieces, {tokenizer} |
| decoding | beam {beam}, length penalty {penalty} |
| trained for | {step:,} steps |

## Scores

{scores}

## Licence of the training text

{licence}

## Notes

{notes}
"""

NO_LICENCE = (
    "Not stated (`data.licence`). Before you publish or sell what this model produces, ask its "
    "authors what the licence of the training text allows."
)


class TranslatorScorer:
    """A `Translator` as a `golden.Scorer`, which takes and returns pieces."""

    def __init__(self, translator: Translator) -> None:
        self._translator = translator

    def forced(
        self, sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        source, target = self._translator.tokenizer
        source_ids = [[source.id(piece) for piece in row] for row in sources]
        target_ids = [[target.id(piece) for piece in row] for row in targets]
        rows = log_probs(self._translator.model, source_ids, target_ids)
        return [row.tolist() for row in rows]

    def greedy(self, sources: Sequence[Sequence[str]]) -> list[list[str]]:
        source, target = self._translator.tokenizer
        source_ids = [[source.id(piece) for piece in row] for row in sources]
        return [[target.piece(i) for i in ids] for ids, _ in self._translator.greedy(source_ids)]


def save(folder: Path, run: LoadedRun, translator: Translator, config: Config, notes: str) -> None:
    """Write weights, configuration, tokenizer and card; not the golden sentences or the manifest.

    translator: that of the run. config: without local paths.
    """
    bundle = RunDirectory(folder)
    save_arrays(bundle.best, run.weights, **run.facts)
    save_config(config, bundle.config)
    translator.tokenizer.save(bundle.vocabularies)
    lexicon, reading = run.directory.lexicon, load_reading(run.directory, run.digest)
    if config.training.keep_text and lexicon.exists() and reading:
        bundle.lexicon.write_bytes(lexicon.read_bytes())
        bundle.alignment.write_bytes(run.directory.alignment.read_bytes())
    (folder / "README.md").write_text(_card(run, translator, config, notes), encoding="utf-8")


def _card(run: LoadedRun, translator: Translator, config: Config, notes: str) -> str:
    facts = run.facts
    kinds = {"step": int, "bleu": float, "signature": str}
    if not all(isinstance(facts.get(key), kind) for key, kind in kinds.items()):
        raise RunError(f"{run.origin}: this file lacks the step or score of its validation.")
    model, decoding = config.model, config.decoding
    sizes = sorted({len(vocabulary) for vocabulary in translator.tokenizer})
    return CARD.format(
        source=config.data.source_language,
        target=config.data.target_language,
        version=__version__,
        kind=model.kind,
        layers=_layers(model),
        width=model.model_dim,
        parameters=translator.model.count_params(),
        pieces=" and ".join(f"{size:,}" for size in sizes),
        tokenizer=config.tokenizer.kind,
        beam=decoding.beam_size,
        penalty=f"{decoding.length_penalty:g} ({decoding.length_penalty_kind})",
        step=facts["step"],
        scores=_scores(run, config),
        licence=config.data.licence or NO_LICENCE,
        notes=notes or "None.",
    )


def _layers(model: ModelConfig) -> str:
    """Such as "6 encoder and 1 decoder (recurrence) layers"."""
    if model.kind == "decoder_only":
        return f"{model.num_layers} layers"
    numbers = model.num_layers, model.num_decoder_layers or model.num_layers
    encoder, decoder = (
        f"{number} {side}" + (f" ({mixer})" if mixer != "attention" else "")
        for number, side, mixer in zip(
            numbers, ("encoder", "decoder"), (model.encoder, model.decoder), strict=True
        )
    )
    return f"{encoder} and {decoder} layers"


def _scores(run: LoadedRun, config: Config) -> str:
    """A table with the validation score and the results of `translator eval`.

    It includes only results for exactly these weights and this decoding.
    """
    facts = run.facts
    rows = [("validation, when chosen", "BLEU", facts["bleu"], facts["signature"])]
    for split in ("validation", "test"):
        path = run.directory.result(split, "json")
        report = read_json(path) if path.exists() else {}
        # Reports of earlier versions lack newer keys. The choice of metrics does not matter.
        decoding = DecodingConfig().model_dump() | (report.get("decoding") or {})
        evaluation = EvaluationConfig().model_dump() | (report.get("evaluation") or {})
        evaluation["metrics"] = config.evaluation.metrics
        reported = report.get("weights"), decoding, evaluation
        expected = facts, config.decoding.model_dump(), config.evaluation.model_dump()
        # Reports of early versions have no digest.
        if reported == expected and report.get("weights_sha256", run.digest) == run.digest:
            scores = report["scores"]
            rows += [(split, one["name"], one["value"], one["signature"]) for one in scores]
    table = "".join(
        "| {} | {} | {:.2f} | `{}` |\n".format(*row, signature.replace("|", r"\|"))
        for *row, signature in rows
    )
    return "| text | score | | signature |\n|---|---|---|---|\n" + table.rstrip("\n")
