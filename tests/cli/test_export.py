"""Exports: made, verified and used through the commands and the Python API."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from shutil import copy, copytree
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from translator.bundle_archive import pack, unpacked
from translator.data.batches import pad_rows
from translator.data.tokenizer import END_ID
from translator.decoding.loaded_run import load_run_config
from translator.decoding.translator import Translator
from translator.errors import ConfigError, RunError
from translator.export import build
from translator.export.load import load_export
from translator.export.manifest import (
    Format,
    Manifest,
    Quantization,
    digests,
    load_manifest,
    save_manifest,
)
from translator.export.savedmodel import SavedModel
from translator.models.transformer import Transformer
from translator.models.weights import load_arrays, load_facts, save_arrays
from translator.runs import RunDirectory
from translator.workflows.evaluate import evaluate
from translator.workflows.export import export_run
from translator.workflows.open_run import open_run
from translator.workflows.train import train
from translator.workflows.translate import translate
from translator.workflows.tune import tune
from translator.workflows.verify import verify

from .c_interface import Session
from .conftest import ROOT, Command, Type

pytestmark = pytest.mark.slow

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def exports(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Format], Path]:
    """An export of the trained run in each format, made when first asked for."""
    folder = tmp_path_factory.mktemp("exports")

    @cache
    def make(format: Format) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(trained)
            licence = ["data.licence=CC BY 4.0"] if format == "bundle" else []
            notes = "A small one." if format == "bundle" else ""
            output = folder / format
            return export_run("runs/c", format, output=output, overrides=licence, notes=notes).path

    return make


@pytest.fixture
def exported(run: Path, exports: Callable[[Format], Path]) -> Path:
    """The run's export for CTranslate2."""
    return copytree(exports("ctranslate2"), run / "exports/ctranslate2-float32")


@pytest.fixture
def savedmodel(run: Path, exports: Callable[[Format], Path]) -> Path:
    """The run's export for TensorFlow."""
    return copytree(exports("savedmodel"), run / "exports/savedmodel")


@pytest.fixture
def bundle(run: Path, exports: Callable[[Format], Path]) -> Path:
    """The run as one file."""
    return Path(copy(exports("bundle"), "mine.bundle"))


def test_export_to_ctranslate2_is_the_same_model(run: Path, type_: Type, capsys: Output) -> None:
    assert type_("export", str(run)) == 0
    exported = run / "exports/ctranslate2-float32"
    search, comparison, validation, location = capsys.readouterr().out.splitlines()
    alpha = load_manifest(exported).options.length_penalty
    assert search == f"Search: beam 3, log-probabilities divided by length^{alpha:g}."
    assert "computing in float32: log-probabilities differ by" in comparison
    assert "on 5 golden sentences" in comparison and comparison.endswith(" 0 are different.")
    assert "by the run itself" in validation and "version:" in validation
    assert location == f"Exported to {exported}. {exported}/example.py translates lines with it."
    assert verify(exported).is_exact
    assert type_("verify", str(exported)) == 0
    assert capsys.readouterr().out.startswith(f"{exported} is what was exported: log-probabilities")


def test_export_has_the_tuned_beam_size(run: Path) -> None:
    tune(run, [2], [1.4])
    options = json.loads((export_run(run).path / "export.json").read_text())["options"]
    assert options["beam_size"] == 2


def test_export_keeps_a_length_penalty_of_the_kind_power(run: Path) -> None:
    power = ["decoding.length_penalty_kind=power", "decoding.length_penalty=0.7"]
    manifest = json.loads((export_run(run, overrides=power).path / "export.json").read_text())
    assert (manifest["penalty"], manifest["options"]["length_penalty"]) == ("length^alpha", 0.7)
    for format in ("savedmodel", "bundle"):
        path = export_run(run, format, output=format, overrides=power).path
        folder = path if path.is_dir() else unpacked(path)
        manifest = json.loads((folder / "export.json").read_text())
        assert (manifest["penalty"], manifest["options"]["length_penalty"]) == ("length^alpha", 0.7)
        assert manifest["validation"]["same"] == 1
    translate(run, "validation.en", "o", 1, engine="ctranslate2")
    translate(run, "validation.en", "p", 1, ["decoding.length_penalty=0"], "ctranslate2")
    undivided, divided = (
        [float(line.split("\t")[1]) for line in Path(name).read_text().splitlines()]
        for name in ("p", "o")
    )
    differences = [a - b for a, b in zip(undivided, divided, strict=True)]
    assert max(differences) <= 0 and min(differences) < 0


def test_warns_if_the_run_was_tuned_after_its_export(
    exported: Path, run: Path, capsys: Output
) -> None:
    def warnings(kind: str, *overrides: str) -> list[str]:
        tuned = {"beam_size": 2, "length_penalty": 0.5, "length_penalty_kind": kind}
        facts = {"weights": load_facts(RunDirectory(run).shipped)}
        (run / "tuned.json").write_text(json.dumps(tuned | facts))
        translate(run, "validation.en", "o", None, overrides, engine="ctranslate2")
        lines = capsys.readouterr().err.splitlines()
        return [line for line in lines if line.startswith(f"Warning: {run}")]

    beam = f"Warning: {run} has decoding.beam_size 2, but {exported} has 3. Export the run again "
    assert [line.startswith(beam) for line in warnings("gnmt")] == [True]  # not of α: another kind
    assert warnings("gnmt", "decoding.beam_size=2") == []
    assert ["length_penalty 0.5, but" in line for line in warnings("power")] == [False, True]


def test_export_writes_one_line_per_line(exported: Path, run: Path, workplace: Path) -> None:
    lines = ["Good morning.", "", "The hotel is near.", "word " * 99, "no"]
    Path("new.en").write_text("\n".join(lines) + "\n")
    translate(run, "new.en", "one.de", engine="ctranslate2")
    translate(exported, "new.en", "other.de", overrides=["decoding.tokens_per_batch=50"])
    translations = Path("one.de").read_text()
    assert translations == Path("other.de").read_text()
    assert translations.count("\n") == 5 and translations.splitlines()[1] == ""

    translate(exported, "new.en", "best.tsv", n_best=3)
    rows = [line.split("\t") for line in Path("best.tsv").read_text().splitlines()]
    assert [row[0] for row in rows].count("1") == 3
    with pytest.raises(ConfigError, match="gives 1 to 2 translations of a sentence, not 3"):
        translate(exported, "new.en", "best.tsv", 3, overrides=["decoding.beam_size=2"])
    with pytest.raises(
        ConfigError, match=r"--set decoding.max_length_ratio: an export accepts only de"
    ):
        translate(exported, "new.en", "best.tsv", overrides=["decoding.max_length_ratio=2"])
    with pytest.raises(ConfigError, match=r"no key decoding.beam_sise; did you mean decoding.beam"):
        translate(exported, "new.en", "best.tsv", overrides=["decoding.beam_sise=2"])
    with pytest.raises(ConfigError, match=r"divides by length\^alpha, but this run was exported"):
        translate(exported, "new.en", "best.tsv", overrides=["decoding.length_penalty=2"])


def test_ctranslate2_translates_without_tensorflow(exported: Path, workplace: Path) -> None:
    without = "import sys, translator; sys.modules.update(tensorflow=None, keras=None); "
    command = f"{without}from translator.cli.app import main; main()"
    arguments = ["translate", str(exported), "-i", "validation.en", "-o", "out.de"]
    process = subprocess.run(
        [sys.executable, "-c", command, *arguments], env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert process.returncode == 0
    assert Path("out.de").read_text().count("\n") == 5


def test_example_of_ctranslate2_translates_as_we_do(exported: Path, workplace: Path) -> None:
    text = Path("validation.en").read_text() + "\n" + 4000 * "word " + "\nno\n"
    Path("in.en").write_text(text)
    translate(exported, "in.en", "ours.de")
    example = [sys.executable, "-W", "error", str(exported / "example.py")]
    process = subprocess.run(example, input=text, capture_output=True, text=True, check=True)
    assert process.stdout == Path("ours.de").read_text()


@pytest.mark.parametrize(
    ("bleu", "max_loss", "is_written"), [(29, 0.5, False), (29, 2, True), (31, 0, True)]
)
def test_a_quantized_export_may_lose_at_most_max_loss(
    bleu: float, max_loss: float, is_written: bool, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = export_run(run, quantization="int8").path
    verify(folder)
    before = (folder / "export.json").read_bytes()
    original = build.build_export

    def build_export(*arguments: Any) -> Manifest:
        manifest = original(*arguments)
        scores = {"bleu": float(bleu), "run_bleu": 30.0}
        validation = manifest.validation.model_copy(update=scores)
        return manifest.model_copy(update={"validation": validation})

    monkeypatch.setattr(build, "build_export", build_export)
    if is_written:
        export_run(run, quantization="int8", max_loss=max_loss)
    else:
        with pytest.raises(
            RunError,
            match=r"loses 1.00 BLEU, more than 0.5; nothing was written\. To go on, choose",
        ):
            export_run(run, quantization="int8", max_loss=max_loss)
    assert ((folder / "export.json").read_bytes() != before) == is_written
    assert [path.name for path in folder.parent.iterdir()] == ["ctranslate2-int8"]


def test_an_export_that_differs_from_the_run_is_not_written(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("translator.layers.normalization.EPSILON", 0.1)
    with pytest.raises(
        RunError, match="The export is not the same model as the run: log-probabilities differ"
    ):
        export_run(run)
    assert not (run / "exports/ctranslate2-float32").exists()


def test_export_deletes_no_foreign_files_and_verify_refuses_them(exported: Path, run: Path) -> None:
    (exported / "mine.txt").write_text("precious")
    with pytest.raises(ConfigError, match=r"mine.txt is not part of the export there. Move it"):
        export_run(run)
    assert (exported / "mine.txt").read_text() == "precious"
    with pytest.raises(RunError, match=r"mine.txt is not part of the export. Remove it"):
        verify(exported)
    (exported / "mine.txt").unlink()
    (exported / "2").mkdir()
    with pytest.raises(RunError, match=r"2 is not part of the export\. Remove it"):
        verify(exported)
    (exported / "2").rmdir()
    assert export_run(run).path == exported


def test_verify_refuses_changed_and_missing_files(exported: Path) -> None:
    with (exported / "config.json").open("a") as file:
        file.write(" ")
    with pytest.raises(RunError, match=r"config.json has changed since it was exported. Export"):
        verify(exported)
    (exported / "config.json").unlink()
    with pytest.raises(RunError, match=r"config.json is missing. Export"):
        verify(exported)
    manifest = exported / "export.json"
    manifest.write_text(manifest.read_text().replace('"beam_size": 3', '"beam_size": 4'))
    for text in (manifest.read_text(), "{}"):
        manifest.write_text(text)
        with pytest.raises(RunError, match="json is damaged, was changed, or is from another"):
            verify(exported)
    for other in (exported.parent, exported / "nowhere"):
        with pytest.raises(RunError, match=r"this is not an export. `translator export` makes one"):
            verify(other)


def test_unknown_options_in_a_manifest_are_refused(exported: Path, run: Path) -> None:
    manifest = json.loads((exported / "export.json").read_text())
    manifest["options"]["callback"] = 1
    (exported / "export.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="json is damaged, was changed, or is from another"):
        translate(exported, "validation.en", "out.de")


def test_an_inconsistent_export_gives_a_message(exported: Path, run: Path) -> None:
    manifest = load_manifest(exported)
    options = manifest.options.model_copy(update={"suppress_sequences": [["zzz"]]})
    save_manifest(exported, manifest.model_copy(update={"options": options}))
    with pytest.raises(RunError, match=r"CTranslate2 cannot translate with this export: "):
        translate(exported, "validation.en", "out.de")


def test_golden_sentences_of_a_run_without_text_are_random(run: Path) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("keep_text: true", "keep_text: false"))
    golden = json.loads((export_run(run).path / "golden.json").read_text())
    assert len(golden) == 64
    sentences = Path("validation.en").read_text()
    assert not any("".join(one["source"]).replace("▁", " ").strip() in sentences for one in golden)


def test_engine_ctranslate2_needs_exactly_one_export(run: Path, workplace: Path) -> None:
    with pytest.raises(RunError, match=r"has no export for CTranslate2\. `translator export"):
        translate(run, "validation.en", "out.de", engine="ctranslate2")
    for quantization in ("float32", "int8"):
        export_run(run, quantization=quantization)
    with pytest.raises(RunError, match=r"several exports. Name .*-float32 or .*-int8 instead"):
        translate(run, "validation.en", "out.de", engine="ctranslate2")


def test_an_export_of_other_weights_is_refused(exported: Path, run: Path) -> None:
    weights, facts = load_arrays(run / "best.safetensors")
    other = {name: array + 1 for name, array in weights.items()}
    save_arrays(run / "best.safetensors", other, **facts)
    with pytest.raises(RunError, match="was not made from the run's current best weights"):
        translate(run, "validation.en", "out.de", engine="ctranslate2")


def test_commands_export_and_verify(run: Path, command: Command) -> None:
    process = command("export", str(run), "--format", "ctranslate2", "--quantization", "int16")
    assert (process.returncode, process.stderr) == (0, "")
    process = command("verify", str(run / "exports/ctranslate2-int16"))
    assert (process.returncode, process.stderr) == (0, "")
    (run / "elsewhere").mkdir()
    (run / "elsewhere/export.json").write_text('{"a": 1}')
    process = command(
        "export", str(run), "--format", "ctranslate2", "--output", str(run / "elsewhere")
    )
    assert process.returncode == 2
    assert process.stderr == (
        f"Error: {run / 'elsewhere'} exists and is not an export. Name another place with "
        "--output.\n"
    )


def test_a_savedmodel_is_the_same_model(run: Path, workplace: Path, capsys: Output) -> None:
    exported, manifest = export_run(run, "savedmodel")
    assert exported == run / "exports/savedmodel"
    assert manifest.golden.different == []
    assert verify(exported, "savedmodel").is_exact
    (exported / "1/assets").rmdir()  # empty, so copies often lack it
    assert verify(exported, "savedmodel").is_exact
    text = Path("validation.en").read_text() + "\n" + 4000 * "word " + "\nno\n"
    Path("in.en").write_text(text)
    translate(run, "in.en", "ours.de", overrides=["decoding.precision=float32"])
    capsys.readouterr()
    translate(exported, "in.en", "theirs.de", engine="savedmodel")
    assert "Warning: Translations that end at the length limit: " in capsys.readouterr().err
    assert Path("theirs.de").read_text() == Path("ours.de").read_text()
    lines = text.splitlines()
    engines = (
        Translator.load(run, ["decoding.precision=float32"]),
        load_export(exported, engine="savedmodel").engine(),
    )
    ends = [[(best.length, best.at_limit) for best, *_ in e.hypotheses(lines)] for e in engines]
    assert ends[0] == ends[1]
    beam = ["decoding.beam_size=5"]
    translate(run, "in.en", "ours.tsv", 5, ["decoding.precision=float32", *beam])
    translate(exported, "in.en", "theirs.tsv", 5, beam, "savedmodel")
    ours, theirs = (
        [line.split("\t")[::2] for line in Path(f"{name}.tsv").read_text().splitlines()]
        for name in ("ours", "theirs")
    )
    assert ours == theirs
    example = [sys.executable, str(exported / "example.py")]
    process = subprocess.run(example, input=text, capture_output=True, text=True, check=True)
    assert process.stdout == Path("ours.de").read_text()


def test_a_savedmodel_runs_through_the_c_interface(savedmodel: Path, run: Path) -> None:
    """It needs only the folder, ids and the names of the signatures."""
    lines = Path("validation.en").read_text().splitlines()
    ours = Translator.load(run, ["decoding.precision=float32"])
    best = ours.hypotheses(lines, ours.search.beam_size)
    rows = pad_rows([*ours._read(lines)[0].values()])
    session = Session(savedmodel / "1")

    outputs = session.run("serving_default", source_ids=rows)
    text = ours.tokenizer.target.decode([row[row > 0].tolist() for row in outputs["ids"]])
    assert text == [hypotheses[0].text for hypotheses in best]
    scores = [hypotheses[0].score for hypotheses in best]
    np.testing.assert_allclose(outputs["scores"], scores, rtol=1e-4)

    outputs = session.run(
        "beams", source_ids=rows, beam_size=np.array(ours.search.beam_size, np.int32)
    )
    all_scores = [[one.score for one in hypotheses] for hypotheses in best]
    np.testing.assert_allclose(outputs["scores"], all_scores, rtol=1e-4)


@pytest.mark.parametrize("format", ["ctranslate2", "savedmodel", "bundle"])
def test_min_length_is_exported(run: Path, format: Format) -> None:
    path = RunDirectory(run).shipped
    weights, facts = load_arrays(path)
    weights["decoder_norm/offset"] += 20 * weights["target_embedding/table"][END_ID]
    save_arrays(path, weights, **facts)  # now it ends at once

    overrides = ["decoding.min_length=4"]
    lines = ["the red house " * 4, "a cup of tea " * 3]
    ours = Translator.load(run, overrides).hypotheses(lines)
    assert [best.length for best, *_ in ours] == [5, 5]
    path = export_run(run, format, overrides=overrides, max_loss=100).path
    engine = open_run(path, engine=None if format == "bundle" else format).engine()
    theirs = engine.hypotheses(lines)
    assert [(best.text, best.length) for best, *_ in theirs] == [
        (best.text, best.length) for best, *_ in ours
    ]


def test_warns_if_the_run_has_another_min_length_than_its_export(
    exported: Path, run: Path, capsys: Output
) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("  min_length: 0\n", "  min_length: 2\n"))
    open_run(run, engine="ctranslate2")
    assert f"{run} has decoding.min_length 2, but {exported} has 0." in capsys.readouterr().err


def test_a_format_that_the_model_lacks_is_refused(
    run: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = classmethod(lambda cls, config: {"savedmodel": "it has no such model"})
    monkeypatch.setattr(Transformer, "missing_exports", missing)
    message = (
        r"^This run has no export for savedmodel: it has no such model\. "
        r"Use --format ctranslate2 or --format bundle\.$"
    )
    with pytest.raises(ConfigError, match=message):
        export_run(run, "savedmodel")
    assert not (run / "exports/savedmodel").exists()


def test_a_savedmodel_refuses_other_options_and_damaged_files(savedmodel: Path, run: Path) -> None:
    with pytest.raises(ConfigError, match="--quantization int8: only CTranslate2 has it"):
        export_run(run, "savedmodel", "int8")
    with pytest.raises(ConfigError, match=r"savedmodel: a SavedModel is a program\. If you trust"):
        verify(savedmodel)
    with pytest.raises(ConfigError, match=r"--engine ctranslate2: .* is an export for savedmodel"):
        verify(savedmodel, "ctranslate2")
    with pytest.raises(
        ConfigError, match=r"decoding.length_penalty: the value in a SavedModel is fixed"
    ):
        translate(
            savedmodel, "validation.en", "o", None, ["decoding.length_penalty=2"], "savedmodel"
        )
    tokenizer, config = (
        load_export(savedmodel, engine="savedmodel").tokenizer,
        load_run_config(RunDirectory(run)),
    )

    def load_unchecked() -> SavedModel:
        return SavedModel(savedmodel, tokenizer, config, config.decoding.beam_size)

    [weights] = (savedmodel / "1/variables").glob("*.data-*")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:99])
    with pytest.raises(RunError, match=r"cannot load this export: .*\. Export the run again"):
        load_unchecked()
    weights.write_bytes(whole)
    model = savedmodel / "1/saved_model.pb"
    graph = model.read_bytes()
    for damaged in (graph[:99], b"Seshape".join(graph.rsplit(b"Reshape", 1))):
        model.write_bytes(damaged)
        with pytest.raises(RunError, match=r"1/saved_model.pb has changed since it was exported"):
            verify(savedmodel, "savedmodel")
        with pytest.raises(RunError, match=r"1/saved_model.pb has changed since it was exported"):
            translate(savedmodel, "validation.en", "o", engine="savedmodel")
        with pytest.raises(RunError, match="TensorFlow cannot load this export: "):
            load_unchecked()


@pytest.mark.parametrize(
    ("format", "quantization"),
    [("ctranslate2", "float32"), ("ctranslate2", "int8"), ("savedmodel", "float32")],
)
def test_translations_by_an_export_do_not_depend_on_the_batch(
    run: Path,
    exports: Callable[[Format], Path],
    format: Format,
    quantization: Quantization,
) -> None:
    folder = exports(format)
    if quantization != "float32":
        folder = export_run(run, format, quantization, max_loss=100).path
    sentences = [*Path("validation.en").read_text().splitlines(), "", "a", "a long one " * 9]
    one_by_one = load_export(folder, engine=format).engine()
    alone = [one_by_one.hypotheses([sentence], 2)[0] for sentence in sentences]
    for batch in (1, 40, 4096):
        engine = load_export(folder, [f"decoding.tokens_per_batch={batch}"], format).engine()
        backwards = engine.hypotheses(sentences[::-1], 2)[::-1]
        for beams in (engine.hypotheses(sentences, 2), backwards):
            assert [[one.text for one in beam] for beam in beams] == [
                [one.text for one in beam] for beam in alone
            ]
            for beam, beam_alone in zip(beams, alone, strict=True):
                for one, other in zip(beam, beam_alone, strict=True):
                    assert one.score == pytest.approx(other.score, abs=1e-4)


def test_baselines_of_a_bundle_need_its_training_text(bundle: Path, workplace: Path) -> None:
    files = Path("test.en"), Path("test.de")
    with pytest.raises(ConfigError, match="A bundle contains no text"):
        evaluate(bundle, None, *files, baseline=True)
    folder = [f"data.folder={workplace}"]
    assert len(evaluate(bundle, None, *files, overrides=folder, baseline=True)) == 9


def test_commands_take_a_bundle_instead_of_a_run(
    bundle: Path, run: Path, workplace: Path, type_: Type, capsys: Output
) -> None:
    assert verify(bundle).is_exact
    before = bundle.read_bytes()
    translate(run, "validation.en", "run.de")
    translate(bundle, "validation.en", "bundle.de")
    assert Path("bundle.de").read_text() == Path("run.de").read_text()
    of_run = evaluate(run, source="test.en", target="test.de")
    assert evaluate(bundle, source="test.en", target="test.de") == of_run
    section = "source_language: en, target_language: de, train: {tsv: train.tsv}"
    section += ", validation: {tsv: validation.tsv}, test: {tsv: test.tsv}, folder: ."
    assert evaluate(bundle, overrides=[f"data={{{section}}}"]) == evaluate(run)
    for command in (evaluate, tune):
        with pytest.raises(
            ConfigError, match=r"A bundle contains no text\. Name the folder of its"
        ):
            command(bundle, overrides=["data.max_length=9"])
    capsys.readouterr()
    assert type_("tune", str(bundle), "--beam=1", f"--set=data.folder={workplace}") == 0
    assert "A bundle keeps nothing; use it with: --set decod" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"is a single file\. Name a place for the export with"):
        export_run(bundle)
    folder = [f"data.folder={workplace}"]
    assert verify(export_run(bundle, output="again", overrides=folder).path).is_exact
    train("c.yaml", "from", ["training.max_steps=1"], bundle)
    assert bundle.read_bytes() == before


def test_export_uses_the_averaged_weights(run: Path) -> None:
    directory = RunDirectory(run)
    weights, facts = load_arrays(directory.best)
    mean = {name: array + np.float32(0.01) for name, array in weights.items()}
    save_arrays(directory.averaged, mean, **facts)
    exported = export_run(run, "bundle").path
    np.testing.assert_equal(load_arrays(RunDirectory.existing(exported).best)[0], mean)
    export_run(run)
    translate(run, "validation.en", "o", engine="ctranslate2")
    directory.averaged.unlink()
    with pytest.raises(RunError, match="was not made from the run's current best weights"):
        translate(run, "validation.en", "o", engine="ctranslate2")


def test_a_bundle_has_a_card_and_no_local_paths(bundle: Path, run: Path, workplace: Path) -> None:
    with ZipFile(bundle) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()}
    card = texts["README.md"].decode()
    assert "# en → de" in card and "CC BY 4.0" in card and "A small one." in card
    assert "| validation, when chosen | BLEU |" in card
    assert r"`nrefs:1\|case:mixed\|" in card  # a bare bar would end the table cell
    assert not any(str(workplace).encode() in text for text in texts.values())
    evaluate(run)
    with ZipFile(export_run(run, "bundle").path) as archive:
        card = archive.read("README.md").decode()
    assert "| test | chrF2 |" in card and "Not stated (`data.licence`)" in card


def test_local_paths_in_a_bundle_are_ignored(bundle: Path, workplace: Path) -> None:
    config = unpacked(bundle) / "config.yaml"
    text = config.read_text().replace("folder: .", f"folder: {workplace}")
    text = text.replace("dataset_folder: null", f"dataset_folder: {workplace}/evil")
    config.write_text(text)
    pack(config.parent, bundle)
    with pytest.raises(ConfigError, match="A bundle contains no text"):
        evaluate(bundle)
    data = load_run_config(RunDirectory.existing(bundle)).data
    assert (data.folder, data.dataset_folder) == (".", None)


def test_a_bundle_with_a_configuration_of_a_larger_model_is_refused(
    bundle: Path, workplace: Path
) -> None:
    config = unpacked(bundle) / "config.yaml"
    config.write_text(config.read_text().replace("feed_forward_dim: 32", "feed_forward_dim: 65536"))
    pack(config.parent, bundle)
    with pytest.raises(RunError, match=r"fit this model: config.yaml describes a larger"):
        translate(bundle, "validation.en", "out.de")


@pytest.mark.parametrize(
    ("facts", "dtype", "message"),
    [
        (
            {"step": 1, "bleu": "y", "signature": "s"},
            "float32",
            "lacks the step or score of its validation",
        ),
        ({"step": 1, "bleu": 1.0, "signature": "s"}, "int8", "is int8, but must be float32"),
    ],
)
def test_a_bundle_with_wrong_facts_or_dtype_is_refused(
    facts: dict[str, Any], dtype: str, message: str, bundle: Path
) -> None:
    weights = unpacked(bundle) / "best.safetensors"
    arrays = {name: array.astype(dtype) for name, array in load_arrays(weights)[0].items()}
    save_arrays(weights, arrays, **facts)
    pack(weights.parent, bundle)
    with pytest.raises(RunError, match=message):
        export_run(bundle, "bundle", output="again", overrides=["data.folder=."])


def test_a_bundle_with_a_long_golden_sentence_is_refused(bundle: Path) -> None:
    path = unpacked(bundle) / "golden.json"
    golden = json.loads(path.read_text())
    golden[0]["greedy"] += ["a"] * 2000
    golden[0]["log_probs"] += [0.0] * 2000
    path.write_text(json.dumps(golden))
    manifest = load_manifest(path.parent)
    save_manifest(path.parent, manifest.model_copy(update={"files": digests(path.parent)}))
    pack(path.parent, bundle)
    with pytest.raises(RunError, match="the golden sentences are missing or damaged"):
        verify(bundle)


def test_an_export_copied_into_a_run_is_refused(savedmodel: Path, run: Path) -> None:
    with pytest.raises(ConfigError, match=r"a SavedModel is a program\. If you trust its authors"):
        translate(savedmodel, "validation.en", "o")
    with pytest.raises(ConfigError, match="--engine savedmodel: name the folder of the export"):
        translate(run, "validation.en", "o", engine="savedmodel")
    copytree(savedmodel, run, dirs_exist_ok=True)
    with pytest.raises(RunError, match=r"config.yaml of a run and training.yaml of an export"):
        translate(run, "validation.en", "o")


def test_files_missing_from_the_cache_of_bundles_are_unpacked_again(bundle: Path) -> None:
    weights = unpacked(bundle) / "best.safetensors"
    weights.unlink()
    assert verify(bundle).is_exact and weights.exists()
    (weights.parent / "results").mkdir()
    assert verify(bundle).is_exact and not (weights.parent / "results").exists()


def test_files_damaged_in_the_cache_of_bundles_are_unpacked_again(bundle: Path) -> None:
    weights = unpacked(bundle) / "best.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert verify(bundle).is_exact and weights.read_bytes() == whole


def test_wrong_engines_and_outputs_are_refused(bundle: Path, savedmodel: Path, run: Path) -> None:
    with pytest.raises(
        RunError, match=r"A bundle contains no export for CTranslate2\. Export it to a"
    ):
        translate(bundle, "validation.en", "out.de", engine="ctranslate2")
    with pytest.raises(
        RunError, match=r"savedmodel: this is an export, for `translate` and `verify`\. Name"
    ):
        evaluate(savedmodel)
    with pytest.raises(ConfigError, match=r"--engine ctranslate2: .*savedmodel is an export for"):
        translate(savedmodel, "validation.en", "out.de", engine="ctranslate2")
    with pytest.raises(ConfigError, match=r"mine.bundle is a file. Name another place"):
        export_run(run, "savedmodel", output=bundle)
    with pytest.raises(ConfigError, match=r"savedmodel is a folder\. Name another place"):
        export_run(run, "bundle", output=savedmodel)


def test_a_changed_bundle_is_refused(bundle: Path, run: Path) -> None:
    config = unpacked(bundle) / "config.yaml"
    config.write_text(config.read_text().replace("beam_size: 3", "beam_size: 4"))
    pack(config.parent, bundle)
    with pytest.raises(RunError, match=r"config.yaml has changed since it was exported"):
        verify(bundle)
    export_run(run, "bundle", output=bundle)
    with bundle.open("ab") as file:
        file.write(b"and more")
    with pytest.raises(RunError, match=r"mine.bundle: .*, or it is damaged: its size"):
        verify(bundle)
    bundle.write_text("hello")
    with pytest.raises(
        RunError, match=r"mine.bundle: this is neither a run nor a bundle, or it is damaged"
    ):
        translate(bundle, "validation.en", "out.de")
    with pytest.raises(ConfigError, match=r"mine.bundle exists and is not an export. Name another"):
        export_run(run, "bundle", output=bundle)


def test_export_without_the_package_ctranslate2_is_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(ConfigError, match=r"CTranslate2 is not installed; install the extra"):
        export_run(run)
