"""An export as a user makes, proves and uses it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from translator.cli.export import export, verify
from translator.cli.translate import translate
from translator.cli.tune import tune
from translator.errors import ConfigError, RunError
from translator.export import making
from translator.export.record import Record

from .conftest import Command

pytestmark = pytest.mark.slow

Said = pytest.CaptureFixture[str]


@pytest.fixture
def exported(run: Path) -> Path:
    return export(run)


def test_it_is_the_same_model(run: Path, capsys: Said) -> None:
    exported = export(run)
    assert exported == run / "exports/ctranslate2-float32"
    said = capsys.readouterr().out
    assert "computing in float32: log-probabilities differ by" in said
    assert "on 5 golden sentences" in said and " 0 are different.\n" in said
    assert verify(exported).is_exact
    assert "is what was exported" in capsys.readouterr().out


def test_it_searches_as_was_tuned(run: Path) -> None:
    tune(run, [2], [1.4])
    options = json.loads((export(run) / "export.json").read_text())["options"]
    assert options["beam_size"] == 2


def test_it_translates_a_line_a_line(exported: Path, run: Path, workplace: Path) -> None:
    lines = ["Good morning.", "", "The hotel is near.", "word " * 99, "no"]
    Path("new.en").write_text("\n".join(lines) + "\n")
    translate(run, "new.en", "one.de", engine="ctranslate2")
    translate(exported, "new.en", "other.de", overrides=["decoding.tokens_per_batch=50"])
    found = Path("one.de").read_text()
    assert found == Path("other.de").read_text()
    assert found.count("\n") == 5 and found.splitlines()[1] == ""

    translate(exported, "new.en", "best.tsv", n_best=3)
    rows = [line.split("\t") for line in Path("best.tsv").read_text().splitlines()]
    assert [row[0] for row in rows].count("1") == 3
    with pytest.raises(ConfigError, match="gives 1 to 2 translations of a sentence, not 3"):
        translate(exported, "new.en", "best.tsv", 3, overrides=["decoding.beam_size=2"])
    with pytest.raises(ConfigError, match=r"--set decoding.length_penalty: an export takes deco"):
        translate(exported, "new.en", "best.tsv", overrides=["decoding.length_penalty=2"])


def test_its_example_runs_as_written(exported: Path, workplace: Path) -> None:
    text = Path("validation.en").read_text() + "\n" + 4000 * "word " + "\nno\n"
    Path("in.en").write_text(text)
    translate(exported, "in.en", "ours.de")
    example = [sys.executable, "-W", "error", str(exported / "example.py")]
    done = subprocess.run(example, input=text, capture_output=True, text=True, check=True)
    assert done.stdout == Path("ours.de").read_text()


@pytest.mark.parametrize(
    ("bleu", "max_loss", "is_taken"), [(29, 0.5, False), (29, 2, True), (31, 0, True)]
)
def test_quantized_it_may_lose_so_much_and_no_more(
    bleu: float, max_loss: float, is_taken: bool, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = export(run, "int8")
    verify(folder)
    before = (folder / "export.json").read_bytes()
    made = making.make_export

    def make_export(*arguments: Any) -> Record:
        record = made(*arguments)
        scores = {"bleu": float(bleu), "run_bleu": 30.0}
        return record.model_copy(update={"validation": record.validation.model_copy(update=scores)})

    monkeypatch.setattr(making, "make_export", make_export)
    if is_taken:
        export(run, "int8", max_loss=max_loss)
    else:
        with pytest.raises(RunError, match=r"loses 1.00 BLEU, more than 0.5; nothing was written."):
            export(run, "int8", max_loss=max_loss)
    assert ((folder / "export.json").read_bytes() != before) == is_taken
    assert [path.name for path in folder.parent.iterdir()] == ["ctranslate2-int8"]


def test_another_model_is_no_export(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("translator.export.ctranslate2.EPSILON", 0.1)
    with pytest.raises(RunError, match="The export is not the same model as the run; nothing was"):
        export(run)
    assert not (run / "exports/ctranslate2-float32").exists()


def test_what_is_not_its_own_stays(exported: Path, run: Path) -> None:
    (exported / "mine.txt").write_text("precious")
    with pytest.raises(ConfigError, match=r"mine.txt is not part of the export there; take it"):
        export(run)
    assert (exported / "mine.txt").read_text() == "precious"
    with pytest.raises(RunError, match=r"mine.txt was not exported; take it away"):
        verify(exported)
    (exported / "mine.txt").unlink()
    assert export(run) == exported


def test_what_was_changed_is_found(exported: Path) -> None:
    with (exported / "config.json").open("a") as file:
        file.write(" ")
    with pytest.raises(RunError, match=r"config.json is not the one that was exported; export"):
        verify(exported)
    (exported / "config.json").unlink()
    with pytest.raises(RunError, match=r"config.json is missing; export"):
        verify(exported)
    (exported / "export.json").write_text("{}")
    with pytest.raises(RunError, match=r"this is no export, or its export.json is damaged"):
        verify(exported)


def test_options_that_the_engine_does_not_know_are_refused(exported: Path, run: Path) -> None:
    record = json.loads((exported / "export.json").read_text())
    record["options"]["callback"] = 1
    (exported / "export.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=r"this is no export, or its export.json is damaged"):
        translate(exported, "validation.en", "out.de")


def test_an_export_that_does_not_fit_itself_is_a_sentence(exported: Path, run: Path) -> None:
    record = json.loads((exported / "export.json").read_text())
    record["options"]["suppress_sequences"] = [["zzz"]]
    (exported / "export.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=r"CTranslate2 cannot translate with it: "):
        translate(exported, "validation.en", "out.de")


def test_a_run_without_text_proves_its_export_without_text(run: Path) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("keep_text: true", "keep_text: false"))
    golden = json.loads((export(run) / "golden.json").read_text())
    assert len(golden) == 64
    sentences = Path("validation.en").read_text()
    assert not any("".join(one["source"]).replace("▁", " ").strip() in sentences for one in golden)


def test_which_one_is_a_question_and_so_is_none(run: Path, workplace: Path) -> None:
    with pytest.raises(RunError, match="has no export for CTranslate2; `translator export"):
        translate(run, "validation.en", "out.de", engine="ctranslate2")
    for quantization in ("float32", "int8"):
        export(run, quantization)
    with pytest.raises(RunError, match=r"several exports; name .*-float32 or .*-int8 in place"):
        translate(run, "validation.en", "out.de", engine="ctranslate2")


def test_an_export_of_other_weights_is_refused(exported: Path, run: Path) -> None:
    with (run / "best.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(RunError, match="was made of other weights than the run's best"):
        translate(run, "validation.en", "out.de", engine="ctranslate2")


def test_as_a_command(run: Path, command: Command) -> None:
    done = command("export", str(run), "--format", "ctranslate2", "--quantization", "int16")
    assert (done.returncode, done.stderr) == (0, "")
    done = command("verify", str(run / "exports/ctranslate2-int16"))
    assert (done.returncode, done.stderr) == (0, "")
    (run / "elsewhere").mkdir()
    (run / "elsewhere/export.json").write_text('{"a": 1}')
    done = command(
        "export", str(run), "--format", "ctranslate2", "--output", str(run / "elsewhere")
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"Error: {run / 'elsewhere'} is there and is no export; name another place by --output.\n"
    )


def test_without_the_package_is_a_sentence(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(ConfigError, match=r"CTranslate2 is not installed; install the extra"):
        export(run)
