"""Errors that a user can cause are one sentence and exit code 2, never a traceback."""

import os
import pickle
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from translator.config.schema import TokenizerConfig
from translator.data.corpus import Pair
from translator.data.tokenizer import train_tokenizer
from translator.errors import UserError
from translator.models.weights import load_arrays, save_arrays
from translator.runs import RunDirectory
from translator.workflows import new_run
from translator.workflows.evaluate import evaluate
from translator.workflows.export import export_run
from translator.workflows.train import train
from translator.workflows.translate import translate

from .conftest import CONFIG, Type

Refusal = Callable[..., tuple[int, str]]


@pytest.fixture
def refused(type_: Type, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Runs `translator` with some arguments; gives the exit code and the last line on stderr."""

    def type_in(*words: str) -> tuple[int, str]:
        code = type_(*words)
        *progress, last = capsys.readouterr().err.splitlines()
        assert not any("Error" in line or "Traceback" in line for line in progress)
        return code, last

    return type_in


def write(name: str, content: str | bytes) -> None:
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)


def config(**changes: str) -> None:
    """Writes c.yaml with some of its lines replaced."""
    text = CONFIG
    for key, line in changes.items():
        [old] = [each for each in text.splitlines() if each.lstrip().startswith(f"{key}:")]
        text = text.replace(old, line)
    write("c.yaml", text)


def two_files(source: str, target: str) -> None:
    write("a.en", source)
    write("a.de", target)
    config(train="  train: {source: a.en, target: a.de}")


def folder_for(name: str) -> None:
    Path(name).unlink()
    Path(name).mkdir()


TRAIN: list[tuple[str, Callable[[], object], str]] = [
    (
        "unknown key",
        lambda: config(max_length="  max_lenght: 60"),
        "c.yaml, line 7: there is no key data.max_lenght; did you mean data.max_length?",
    ),
    (
        "wrong type",
        lambda: config(max_steps="  max_steps: many"),
        "c.yaml, line 11: training.max_steps should be a valid integer, not 'many'.",
    ),
    (
        "no configuration",
        lambda: Path("c.yaml").unlink(),
        "c.yaml: cannot read the configuration: No such file or directory.",
    ),
    (
        "folder as configuration",
        lambda: folder_for("c.yaml"),
        "c.yaml: cannot read the configuration: Is a directory.",
    ),
    (
        "missing file",
        lambda: Path("train.tsv").unlink(),
        "HERE/train.tsv does not exist; check its name and folder.",
    ),
    (
        "missing validation file",
        lambda: Path("validation.tsv").unlink(),
        "HERE/validation.tsv does not exist; check its name and folder.",
    ),
    (
        "missing test file",
        lambda: Path("test.tsv").unlink(),
        "HERE/test.tsv does not exist; check its name and folder.",
    ),
    (
        "unequal line counts",
        lambda: two_files("One.\nTwo.\n", "Eins.\n"),
        "HERE/a.en and HERE/a.de must have equally many lines, but have 2 and 1: line i of one "
        "translates line i of the other.",
    ),
    (
        "carriage returns alone",
        lambda: write("train.tsv", "One.\tEins.\rTwo.\tZwei.\r"),
        "HERE/train.tsv has no line feed in its 22 bytes, but 1 carriage returns; lines must end "
        r"with line feeds: convert it, for example with: tr '\r' '\n'.",
    ),
    (
        "carriage returns alone in the validation text",
        lambda: write("validation.tsv", "One.\tEins.\rTwo.\tZwei.\r"),
        "HERE/validation.tsv has no line feed in its 22 bytes, but 1 carriage returns; lines must "
        r"end with line feeds: convert it, for example with: tr '\r' '\n'.",
    ),
    ("empty corpus", lambda: two_files("", ""), "HERE/a.en has no lines; name a file with text."),
    (
        "empty side",
        lambda: two_files("One.\nTwo.\n", "\n \n"),
        "data.train has an empty side: every line of its target is empty; check which files or "
        "columns it names.",
    ),
    (
        "no tab",
        lambda: write("train.tsv", "One.\tEins.\nTwo.\n"),
        "HERE/train.tsv, line 2: no tab, so one column; data.train needs two: the source, a tab, "
        "and the target.",
    ),
    (
        "three columns",
        lambda: write("train.tsv", "One.\tEins.\tCC-BY\n"),
        "HERE/train.tsv, line 1: 3 columns; name those of source and target, such as "
        "data.train.columns: [1, 2].",
    ),
    (
        "invalid UTF-8",
        lambda: write("train.tsv", "One.\tEins.\nTwo.\tFünf.\n".encode("latin-1")),
        "HERE/train.tsv, line 2: not UTF-8 (byte 0xfc); convert the text from its encoding, "
        "Western European text for example with: iconv -f LATIN1 -t UTF-8; or download it again "
        "if only this place is damaged.",
    ),
    (
        "folder instead of file",
        lambda: config(train="  train: {tsv: .}"),
        "HERE is a folder; name the files in it.",
    ),
    (
        "vocabulary too small",
        lambda: config(tokenizer="tokenizer: {vocabulary_size: 40}"),
        "tokenizer.vocabulary_size 40 is too small: the corpus's characters and the bytes alone "
        "take 318 pieces. Raise it, or lower tokenizer.character_coverage.",
    ),
    (
        "every pair too long",
        lambda: config(max_length="  max_length: 2"),
        "No pair is left to train on. Pairs with an empty side: 0; with a side of more than "
        "data.max_length 2 pieces: 60.",
    ),
    (
        "cache on a file",
        lambda: write("cache", ""),
        "HERE/cache/translator: cannot keep files here: Not a directory. Free some space, "
        "or set XDG_CACHE_HOME to another folder.",
    ),
    (
        "run on a file",
        lambda: write("runs", ""),
        "runs/c: cannot make a run here: Not a directory.",
    ),
]


@pytest.mark.parametrize(
    ("spoil", "sentence"), [row[1:] for row in TRAIN], ids=[r[0] for r in TRAIN]
)
def test_train_refuses(
    refused: Refusal, workplace: Path, spoil: Callable[[], object], sentence: str
) -> None:
    spoil()
    assert refused("train", "c.yaml") == (2, f"Error: {sentence}".replace("HERE", str(workplace)))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            "training.max_step=4",
            "--set training.max_step: there is no key training.max_step; did you mean "
            "training.max_steps?",
        ),
        ("training.max_steps", "--set training.max_steps: write it as section.key=value."),
    ],
)
def test_train_refuses_a_wrong_setting(refused: Refusal, setting: str, sentence: str) -> None:
    assert refused("train", "c.yaml", "--set", setting) == (2, f"Error: {sentence}")


def test_without_network_a_named_set_says_how_to_get_it(
    refused: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow_datasets as tfds

    def unreachable(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(tfds.builder_cls("ted_hrlr_translate"), "download_and_prepare", unreachable)
    config(
        target_language="  target_language: pt\n  dataset_folder: sets",
        train="  dataset: ted_hrlr_translate/pt_to_en\n  train: train",
        validation="  validation: validation",
        test="  test: test",
    )
    code, message = refused("train", "c.yaml")
    assert code == 2
    assert message.startswith(
        "Error: data.dataset: ted_hrlr_translate/pt_to_en/1.0.0 could not be "
    )
    assert "prepare it on a machine with network and copy it to " in message


def test_carriage_returns_before_line_feeds_are_accepted(workplace: Path) -> None:
    text = Path("train.tsv").read_bytes()
    _, plain = prepared()
    write("train.tsv", b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    assert prepared()[1] == plain


def test_a_vocabulary_size_that_is_too_large_is_reduced(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config(tokenizer="tokenizer: {vocabulary_size: 50000}")
    size, _ = prepared()
    assert 340 < size < 5_000
    messages = capsys.readouterr().err
    assert f"has only {size:,} pieces" in messages


def prepared() -> tuple[int, str]:
    """Size of the vocabulary, and digest of the training text, after preparing c.yaml."""
    from translator.config import load_config

    run = RunDirectory(Path("prepared"))
    run.create()
    result = new_run.prepare_new_run(load_config(Path("c.yaml")), run, None)
    return len(result.tokenizer.source), result.training.facts.digest


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_while_preparing_it_says_how_to_continue(
    refused: Refusal, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    monkeypatch.setattr(new_run, "train_tokenizer", lambda *_: os.kill(os.getpid(), number))
    assert refused("train", "c.yaml") == (
        code,
        "Stopped. The same command continues runs/c.",
    )


def damage(name: str) -> None:
    path = Path("runs/c", name)
    raw = path.read_bytes()
    path.write_bytes(raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:])


def newest() -> str:
    return str(RunDirectory(Path("runs/c")).checkpoints()[-1].relative_to("runs/c"))


def misfit() -> None:
    path = Path("runs/c/best.safetensors")
    arrays, facts = load_arrays(path)
    name = min(arrays)
    save_arrays(path, arrays | {name: np.zeros([3, 5], np.float32)}, **facts)


def misfit_checkpoint() -> None:
    path = Path("runs/c", newest())
    arrays, facts = load_arrays(path)
    name = min(arrays)
    save_arrays(path, {key: arrays[key] for key in arrays if key != name}, **facts)


def put_another_target_model() -> None:
    pairs = [Pair("one", "two"), Pair("three", "four")]
    config = TokenizerConfig(vocabulary_size=270)
    other = train_tokenizer(config, lambda: pairs, 1, lambda _: None)
    Path("runs/c/target.model").write_bytes(other.target.model)


DAMAGED = (
    "this file is damaged (its checksum does not match its contents). Copy it again, or delete "
    "it: training writes lost best weights again, and a bundle is unpacked again."
)
NO_RUN = "{}: there is no such run; `translator train` makes one."

WITH_A_RUN: list[tuple[str, Callable[[], object], str, str]] = [
    ("no run", lambda: None, "translate nowhere", NO_RUN.format("nowhere")),
    ("no run to eval", lambda: None, "eval nowhere", NO_RUN.format("nowhere")),
    (
        "a folder that is no run",
        lambda: Path("plain").mkdir(),
        "translate plain",
        "plain: this is not a run: it has no config.yaml.",
    ),
    (
        "a key of training",
        lambda: None,
        "eval runs/c --set model.dropout_rate=0.5",
        "--set model.dropout_rate: a trained run accepts only keys of data, decoding and "
        "evaluation.",
    ),
    (
        "a file that is no run",
        lambda: None,
        "translate c.yaml",
        "c.yaml: this is neither a run nor a bundle, or it is damaged: File is not a zip file.",
    ),
    (
        "damaged weights",
        lambda: damage("best.safetensors"),
        "translate runs/c",
        f"runs/c/best.safetensors: {DAMAGED}",
    ),
    (
        "weights of pickle",
        lambda: write("runs/c/best.safetensors", pickle.dumps({"w": 1})),
        "translate runs/c",
        f"runs/c/best.safetensors: {DAMAGED}",
    ),
    (
        "weights that do not fit",
        misfit,
        "translate runs/c",
        "runs/c/best.safetensors: it does not fit this model: "
        "decoder_0/attention/key_value/kernel is 3×5 there and 16×32 here.",
    ),
    (
        "no weights yet",
        lambda: Path("runs/c/best.safetensors").unlink(),
        "translate runs/c",
        "runs/c: no weights have been validated yet. Train until the first validation.",
    ),
    (
        "damaged tokenizer",
        lambda: write("runs/c/target.model", b"\x80\x04."),
        "translate runs/c",
        "runs/c/target.model: this is not a SentencePiece model, or it is damaged.",
    ),
    (
        "models of two vocabularies",
        put_another_target_model,
        "translate runs/c",
        "runs/c/best.safetensors: source and target share their embeddings "
        "(model.share_embeddings: all), but source.model and target.model hold different pieces. "
        "Bring back the two files that belong together.",
    ),
    (
        "no tokenizer",
        lambda: Path("runs/c/target.model").unlink(),
        "translate runs/c",
        "runs/c/target.model: cannot read the tokenizer: No such file or directory.",
    ),
    (
        "no input",
        lambda: None,
        "translate runs/c --input gone",
        "gone does not exist; check its name and folder.",
    ),
    (
        "input not UTF-8",
        lambda: write("latin", "Fünf".encode("latin-1")),
        "translate runs/c --input latin",
        "latin, line 1: not UTF-8 (byte 0xfc); convert the text from its encoding, "
        "Western European text for example with: iconv -f LATIN1 -t UTF-8; or download it again "
        "if only this place is damaged.",
    ),
    (
        "a folder as output",
        lambda: None,
        "translate runs/c --input test.en --output runs",
        "runs: Is a directory.",
    ),
    (
        "an output under a file",
        lambda: None,
        "translate runs/c --input test.en --output test.de/x",
        "test.de/x: Not a directory.",
    ),
    (
        "wrong setting",
        lambda: None,
        "translate runs/c --set decoding.beam_size=none",
        "--set: decoding.beam_size should be a valid integer, not 'none'.",
    ),
    (
        "unknown split",
        lambda: None,
        "eval runs/c --split tset",
        "--split tset: choose train, validation or test.",
    ),
    (
        "split and files",
        lambda: None,
        "eval runs/c --split test --source test.en --target test.de",
        "Give either --split, or --source and --target.",
    ),
    (
        "source alone",
        lambda: None,
        "eval runs/c --source test.en",
        "Give --source and --target together. With --hypotheses, --target alone is enough.",
    ),
    (
        "target alone",
        lambda: None,
        "eval runs/c --target test.de",
        "Give --source and --target together. With --hypotheses, --target alone is enough.",
    ),
    (
        "files of unequal length",
        lambda: write("test.de", "Eins.\n"),
        "eval runs/c --source test.en --target test.de",
        "test.en has 5 lines, but test.de has 1. Line i of one must translate line i of the other.",
    ),
    (
        "too few hypotheses",
        lambda: write("few", "Eins.\n"),
        "eval runs/c --hypotheses few",
        "few has 1 line, but the test text has 5. Line i of one must translate line i of the "
        "other.",
    ),
    (
        "damaged checkpoint",
        lambda: damage(newest()),
        "train c.yaml",
        "runs/c/checkpoints/step-00000020.safetensors: this file is damaged (its checksum does not "
        "match its contents). Copy it again, or delete it: training continues from step 15.",
    ),
    (
        "checkpoint that does not fit",
        misfit_checkpoint,
        "train c.yaml",
        "runs/c/checkpoints/step-00000020.safetensors: it does not fit this model: "
        "averages/decoder_0/attention/key_value/kernel is absent there and 16×32 here.",
    ),
    (
        "damaged record of the machine",
        lambda: write("runs/c/environment.json", "{"),
        "train c.yaml",
        "runs/c/environment.json: this file of the run is missing or damaged.",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "words", "sentence"), [row[1:] for row in WITH_A_RUN], ids=[r[0] for r in WITH_A_RUN]
)
def test_commands_with_a_run_refuse(
    refused: Refusal, run: Path, spoil: Callable[[], object], words: str, sentence: str
) -> None:
    spoil()
    assert refused(*words.split()) == (2, f"Error: {sentence}")


def fill_disk(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let writing fail for files whose names end with `name`."""
    fsync = os.fsync

    def full(file: int) -> None:
        if os.readlink(f"/proc/self/fd/{file}").endswith(f"{name}.unfinished"):
            raise OSError(28, os.strerror(28))
        fsync(file)

    monkeypatch.setattr(os, "fsync", full)


@pytest.mark.slow
def test_a_full_disk_does_not_destroy_a_run_that_continues(
    refused: Refusal, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (run / "config.yaml").read_text()
    with monkeypatch.context() as patch:
        fill_disk(patch, "config.yaml")
        code, message = refused("train", "c.yaml")
    assert code == 2
    assert message == f"Error: {run / 'config.yaml'}: No space left on device."
    assert (run / "config.yaml").read_text() == before


@pytest.mark.parametrize(
    "name",
    ["source.model", "target.model", "environment.json", "text.json", "state.json", "config.yaml"],
)
def test_a_full_disk_at_the_start_of_a_run_is_reported_with_the_file(
    refused: Refusal, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fill_disk(monkeypatch, f"runs/c/{name}")
    code, message = refused("train", "c.yaml")
    assert code == 2
    assert message == f"Error: runs/c/{name}: No space left on device."


@pytest.mark.slow
def test_a_full_disk_at_a_checkpoint_keeps_the_one_before(
    refused: Refusal, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch, ".safetensors")
    code, message = refused("train", "c.yaml", "--set", "training.max_steps=21")
    assert code == 2
    assert "cannot be written: No space left on device." in message
    assert newest() == "checkpoints/step-00000020.safetensors"


def outside(workplace: Path) -> set[Path]:
    """Files that are neither in the run nor prepared text."""
    inside = {workplace / "runs", workplace / "cache"}
    return {p for p in workplace.rglob("*") if not inside & {p, *p.parents}}


EVIL: list[tuple[str, Callable[[str], str]]] = [
    ("a tag", lambda text: text + "evil: !!python/object/apply:os.mkdir [outside]\n"),
    (
        "a tag on a value",
        lambda text: text.replace("seed: 1", "seed: !!python/object/apply:os.mkdir [outside]"),
    ),
    (
        "a tag on a section",
        lambda text: text.replace("model:", "model: !!python/object/new:os.mkdir"),
    ),
    ("an alias", lambda text: text.replace("seed: 1", "seed: &a [*a]")),
    (
        "a set with a path for a name",
        lambda text: text.replace("dataset: null", "dataset: ../../x"),
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("spoil"), [row[1] for row in EVIL], ids=[row[0] for row in EVIL])
@pytest.mark.parametrize("words", ["translate runs/c -i test.en", "eval runs/c", "train c.yaml"])
def test_a_hostile_configuration_in_a_run_executes_nothing(
    refused: Refusal, run: Path, workplace: Path, spoil: Callable[[str], str], words: str
) -> None:
    path = run / "config.yaml"
    path.write_text(spoil(path.read_text()))
    before = outside(workplace)
    code, message = refused(*words.split())
    assert code == 2
    assert message.startswith("Error: ")
    assert outside(workplace) == before


@pytest.mark.slow
def test_a_hostile_checkpoint_writes_nowhere_else(
    refused: Refusal, run: Path, workplace: Path
) -> None:
    path = run / newest()
    arrays, facts = load_arrays(path)
    evil: dict[str, Any] = {"step": 20, "kept": [["../../../outside", 1.0]], "best_step": "../x"}
    save_arrays(path, arrays, **(facts | evil))
    kept = run / "config.yaml"
    kept.write_text(kept.read_text().replace("kind: ema", "kind: best"))
    write("c.yaml", CONFIG.replace("training:", "training:\n  averaging: {kind: best}"))
    before = outside(workplace)
    code, message = refused("train", "c.yaml")
    assert code == 2
    assert message.startswith("Error: ")
    assert outside(workplace) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "call",
    [
        lambda path: train(path),
        lambda path: train(Path("c.yaml"), path),
        lambda path: translate("runs/c", path, "out.de"),
        lambda path: translate("runs/c", "test.en", path),
        lambda path: evaluate("runs/c", source=path, target="test.de"),
        lambda path: evaluate("runs/c", hypotheses=path),
        lambda path: export_run("runs/c", "bundle", output=path),
    ],
    ids=["config", "run", "input", "output", "source", "hypotheses", "export"],
)
def test_from_python_a_nul_in_a_file_name_is_refused(
    run: Path, call: Callable[[Path], object]
) -> None:
    with pytest.raises(UserError, match=r"^'a\\x00b': a file name cannot hold a NUL character\.$"):
        call(Path("a\0b"))
