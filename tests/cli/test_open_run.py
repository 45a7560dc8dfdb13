"""`open_run` reads a run once; its translations and reports use what was read."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree

import pytest

from translator import open_run
from translator.decoding.loaded_run import LoadedRun
from translator.decoding.translator import Translator
from translator.errors import ConfigError, RunError
from translator.models.weights import arrays_digest, load_arrays, save_arrays
from translator.workflows.evaluate import evaluate
from translator.workflows.export import export_run
from translator.workflows.tune import tune

from .conftest import Command

pytestmark = pytest.mark.slow

SENTENCES = ["The boy sees the dog.", "", "Yes."]

WITHOUT_TENSORFLOW = """
import sys
from translator import open_run
opened = open_run(sys.argv[1], engine=sys.argv[2] if len(sys.argv) > 2 else None)
opened.config.decoding, opened.tokenizer, opened.digest, opened.decided_by()
if len(sys.argv) > 2:
    opened.engine().translate(["Yes."])
print("tensorflow" in sys.modules)
"""


def test_reads_configuration_tokenizer_weights_and_facts(run: Path) -> None:
    opened = open_run(run, ["decoding.beam_size=2"])
    assert isinstance(opened, LoadedRun)
    weights, facts = load_arrays(run / "best.safetensors")
    assert opened.config.decoding.beam_size == 2
    assert opened.recorded.decoding.beam_size == 3
    assert opened.facts == facts
    assert opened.digest == arrays_digest(weights) == arrays_digest(opened.weights)
    assert opened.engine().translate(SENTENCES) == Translator.load(
        run, ["decoding.beam_size=2"]
    ).translate(SENTENCES)


def test_a_bundle_has_the_weights_of_its_run(run: Path) -> None:
    bundle = open_run(export_run(run, "bundle").path)
    assert bundle.digest == open_run(run).digest
    assert bundle.engine().translate(SENTENCES) == open_run(run).engine().translate(SENTENCES)


def test_overrides_win_over_tuned_decoding(run: Path) -> None:
    tune(run, [2], [0.5])
    assert open_run(run).config.decoding.length_penalty == 0.5
    assert open_run(run, ["decoding.length_penalty=2"]).config.decoding.length_penalty == 2


def test_refuses_missing_runs_and_keys_of_training(run: Path) -> None:
    with pytest.raises(RunError, match="there is no such run"):
        open_run("nowhere")
    with pytest.raises(ConfigError, match=r"--set model.num_layers: a trained run accepts only"):
        open_run(run, ["model.num_layers=3"])
    with pytest.raises(ConfigError, match="--engine savedmodel: name the folder of the export"):
        open_run(run, engine="savedmodel")


def test_imports_no_tensorflow(run: Path, command: Command) -> None:
    process = command(str(run), code=WITHOUT_TENSORFLOW)
    assert (process.stdout, process.stderr) == ("False\n", "")


def test_ctranslate2_needs_no_tensorflow(run: Path, command: Command) -> None:
    export_run(run, "ctranslate2", max_loss=100)
    process = command(str(run), "ctranslate2", code=WITHOUT_TENSORFLOW)
    assert (process.stdout, process.stderr) == ("False\n", "")


def test_several_threads_share_engines_of_several_runs(run: Path) -> None:
    other = Path(copytree(run, "runs/other"))
    weights, facts = load_arrays(other / "best.safetensors")
    save_arrays(other / "best.safetensors", {n: -w for n, w in weights.items()}, **facts)
    alone = [open_run(path).engine().translate(SENTENCES) for path in (run, other)]
    engines = [open_run(path).engine() for path in (run, other)]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda i: engines[i % 2].translate(SENTENCES), range(8)))
    assert results == alone * 4


def test_eval_reports_the_weights_that_it_read_even_if_they_change_meanwhile(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_run(run)
    hypotheses = Translator.hypotheses

    def change_weights_first(self: Translator, *arguments: object) -> object:
        """As a validation does if training continues meanwhile."""
        weights, facts = load_arrays(run / "best.safetensors")
        other = {name: array + 1 for name, array in weights.items()}
        save_arrays(run / "best.safetensors", other, **facts | {"step": 99})
        return hypotheses(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Translator, "hypotheses", change_weights_first)
    evaluate(run)
    report = json.loads((run / "results/test.json").read_text())
    assert isinstance(before, LoadedRun)
    assert (report["weights"], report["weights_sha256"]) == (before.facts, before.digest)


def test_export_writes_the_weights_that_it_read_even_if_they_change_meanwhile(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = open_run(run).digest
    greedy = Translator.greedy

    def change_weights_first(self: Translator, *arguments: object) -> object:
        weights, facts = load_arrays(run / "best.safetensors")
        save_arrays(run / "best.safetensors", {n: w + 1 for n, w in weights.items()}, **facts)
        return greedy(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Translator, "greedy", change_weights_first)
    bundle = export_run(run, "bundle").path
    assert open_run(bundle).digest == digest != open_run(run).digest


class TestResults:
    """`eval` keeps the results of every text, and never replaces those of another."""

    def test_of_two_files_with_the_same_name_are_both_kept(self, run: Path) -> None:
        for folder, lines in (("d1", "Ja.\nNein.\n"), ("d2", "Ja.\nVielleicht.\n")):
            Path(folder).mkdir()
            Path(folder, "x.en").write_text("Yes.\nNo.\n")
            Path(folder, "x.de").write_text(lines)
            evaluate(run, source=f"{folder}/x.en", target=f"{folder}/x.de")
            evaluate(run, source=f"{folder}/x.en", target=f"{folder}/x.de")  # replaces its own
        kept = sorted(run.glob("results/file-x*.json"))
        assert [json.loads(path.read_text())["text"]["target"] for path in kept] == [
            *("d2/x.de", "d1/x.de")
        ]

    def test_of_two_sources_with_one_target_are_both_kept(self, run: Path) -> None:
        Path("x.de").write_text("Ja.\n")
        for name, text in (("a.en", "Yes.\n"), ("b.en", "Yes, yes.\n")):
            Path(name).write_text(text)
            evaluate(run, source=name, target="x.de")
        assert len(list(run.glob("results/file-x*.json"))) == 2

    def test_of_two_files_of_translations_with_the_same_name_are_both_kept(self, run: Path) -> None:
        for folder, line in (("d1", "Ja.\n"), ("d2", "Nein.\n")):
            Path(folder).mkdir()
            Path(folder, "h.de").write_text(line * 5)
            evaluate(run, hypotheses=f"{folder}/h.de")
        assert len(list(run.glob("results/test-by-h*.json"))) == 2

    def test_of_an_overridden_test_split_get_another_name(self, run: Path) -> None:
        evaluate(run, overrides=["data.test={tsv: validation.tsv}"])
        assert not (run / "results/test.json").exists()
        evaluate(run)
        evaluate(run, overrides=["data.test={tsv: validation.tsv}"])
        assert len(list(run.glob("results/test*.json"))) == 2
        origin = json.loads((run / "results/test.json").read_text())["text"]["data"]
        assert json.loads(origin)["test"]["tsv"] == "test.tsv"

    def test_that_cannot_be_written_are_still_returned(
        self, run: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (run / "results").write_text("a file in the way of the folder")
        scores = evaluate(run)
        assert [score.name for score in scores] == ["BLEU", "chrF2", "TER"]
        assert capsys.readouterr().err.splitlines()[-1] == (
            f"Warning: The results are not kept: {run}/results: File exists."
        )

    def test_of_files_whose_names_are_not_utf_8_are_kept(self, run: Path) -> None:
        source, target = (Path(f"caf\udce9.{side}") for side in ("en", "de"))
        source.write_text("Yes.\n")
        target.write_text("Ja.\n")
        evaluate(run, source=source, target=target)
        [kept] = run.glob("results/*.json")
        assert json.loads(kept.read_text())["text"]["target"] == str(target)
