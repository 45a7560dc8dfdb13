"""`translator translate --alignments`: word links, and what a run keeps for them."""

import io
import json
import re
from pathlib import Path

import pytest

from translator.cli.conversation import converse
from translator.decoding import engine
from translator.workflows.export import export_run
from translator.workflows.translate import translate

from .conftest import Type

pytestmark = pytest.mark.slow
Output = pytest.CaptureFixture[str]

LINKS = r"[0-9]+-[0-9]+(?: [0-9]+-[0-9]+)*"
SENTENCES = "They like books.\n\nMy sister has a dog.\n"


def aligned(run: Path, *arguments: str) -> list[str]:
    Path("new.en").write_text(SENTENCES)
    translate(run, "new.en", "new.de", alignments=True, overrides=arguments)
    return Path("new.de").read_text().splitlines()


def test_links_stand_behind_translations(run: Path, type_: Type, capsys: Output) -> None:
    Path("new.en").write_text(SENTENCES)
    assert type_("translate", str(run), "-i", "new.en") == 0
    plain = capsys.readouterr().out.splitlines()
    assert type_("translate", str(run), "-i", "new.en", "--alignments") == 0
    captured = capsys.readouterr()
    rows = [line.split("\t") for line in captured.out.splitlines()]
    assert [text for text, _ in rows] == plain
    assert "agrees with the lexicon by" in captured.err
    for sentence, (text, links) in zip(SENTENCES.splitlines(), rows, strict=True):
        pairs = [tuple(map(int, link.split("-"))) for link in links.split()]
        assert pairs == sorted(set(pairs))
        # Each word of both sides is linked.
        assert {i for i, _ in pairs} == set(range(len(sentence.split())))
        assert {j for _, j in pairs} == set(range(len(text.split())))


def test_n_best_translations_have_links_too(run: Path, type_: Type, capsys: Output) -> None:
    Path("new.en").write_text(SENTENCES)
    arguments = ["translate", str(run), "-i", "new.en", "--alignments", "--n-best", "2"]
    assert type_(*arguments, "--set", "decoding.beam_size=2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines.pop(2) == "2\t0.000000\t\t"
    assert all(re.fullmatch(rf"[13]\t-?[0-9.]+\t[^\t]+\t{LINKS}", line) for line in lines)


def test_what_a_run_has_learnt_is_kept(run: Path) -> None:
    first = aligned(run)
    record = json.loads((run / "alignment.json").read_text())
    assert record["reading"]["at"] in ("output", "input")
    assert 0 <= record["agreement"] <= 1
    word, other, score = (run / "lexicon.tsv").read_text().splitlines()[0].split("\t")
    assert word and other and 0 < float(score) <= 1
    for text in Path().glob("train.*"):
        text.unlink()
    assert aligned(run) == first


def test_a_new_choice_is_made_for_other_weights(run: Path) -> None:
    first = aligned(run)
    record = json.loads((run / "alignment.json").read_text())
    (run / "alignment.json").write_text(json.dumps(record | {"weights_sha256": "0" * 64}))
    assert aligned(run) == first
    assert json.loads((run / "alignment.json").read_text()) == record


def test_a_run_without_text_keeps_no_words(run: Path) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("keep_text: true", "keep_text: false"))
    assert aligned(run)
    assert not (run / "lexicon.tsv").exists()


def test_a_bundle_aligns_as_its_run_does(run: Path, type_: Type, capsys: Output) -> None:
    assert type_("export", str(run), "--format", "bundle", "-o", "early.bundle") == 0
    expected = aligned(run)
    assert type_("export", str(run), "--format", "bundle", "-o", "late.bundle") == 0
    for text in Path().glob("*.tsv"):
        text.unlink()
    assert aligned(Path("late.bundle")) == expected
    capsys.readouterr()
    assert type_("translate", "early.bundle", "-i", "new.en", "--alignments") == 2
    assert "This bundle has no word alignments" in capsys.readouterr().err


def test_typed_sentences_have_links(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    expected = aligned(run)[0]
    monkeypatch.setattr("sys.stdin", io.StringIO(SENTENCES))
    converse(run, None, None, [], None, alignments=True)
    assert capsys.readouterr().out.splitlines()[0] == expected


def test_damaged_files_are_named(run: Path, type_: Type, capsys: Output) -> None:
    aligned(run)
    damages = ("alignment.json", "{"), ("lexicon.tsv", "a\tb\tc\n"), ("lexicon.tsv", "\0")
    for name, content in damages:
        whole = (run / name).read_text()
        (run / name).write_text(content)
        assert type_("translate", str(run), "-i", "new.en", "--alignments") == 2
        assert f"{run / name}: this file is damaged. Delete it" in capsys.readouterr().err
        (run / name).write_text(whole)


def test_missing_text_is_named(run: Path, type_: Type, capsys: Output) -> None:
    Path("train.tsv").unlink()
    Path("new.en").write_text(SENTENCES)
    assert type_("translate", str(run), "-i", "new.en", "--alignments", "-o", "new.de") == 2
    assert "train.tsv" in capsys.readouterr().err
    assert not Path("new.de").exists()


def test_what_is_resumed_comes_from_the_same_lexicon(
    run: Path, type_: Type, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LINES_AT_ONCE", 4)
    texts = [line.split("\t")[0] for line in Path("train.tsv").read_text().splitlines()]
    lines = [f"{text}\n" for text in texts[:15]]
    Path("long.en").write_text("".join(lines))
    assert type_("translate", str(run), "-i", "long.en", "-o", "whole.de", "--alignments") == 0
    Path("long.en").write_bytes("".join(lines[:10]).encode() + b"\xff\n")
    arguments = ["translate", str(run), "-i", "long.en", "-o", "long.de", "--alignments"]
    assert type_(*arguments) == 2
    assert Path("long.de.resume").exists()
    Path("long.en").write_text("".join(lines))
    lexicon = (run / "lexicon.tsv").read_text()
    (run / "lexicon.tsv").write_text(lexicon + "zebra\tzebra\t1\n")
    capsys.readouterr()
    assert type_(*arguments, "--resume") == 2
    assert "lexicon.tsv" in capsys.readouterr().err
    (run / "lexicon.tsv").write_text(lexicon)
    assert type_(*arguments, "--resume") == 0
    assert Path("long.de").read_bytes() == Path("whole.de").read_bytes()


def test_what_other_text_or_settings_give_is_not_kept(run: Path) -> None:
    assert aligned(run, "data.max_length=3") != aligned(run, "data.train=[{tsv: validation.tsv}]")
    assert not (run / "lexicon.tsv").exists()
    assert not (run / "alignment.json").exists()


def test_where_nothing_can_be_written_nothing_is_kept(
    run: Path, type_: Type, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = aligned(run)

    def full(path: Path, content: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    for name in ("lexicon.tsv", "alignment.json"):
        (run / name).unlink()
    monkeypatch.setattr("translator.alignment.run_files.write_whole", full)
    assert type_("translate", str(run), "-i", "new.en", "--alignments") == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == expected
    assert "are not kept: runs/c/lexicon.tsv: No space left on device" in captured.err


def test_an_export_has_the_heads_of_a_reading_at_the_output(run: Path) -> None:
    """By default, CTranslate2 returns the attention of the first head."""
    ctranslate2 = pytest.importorskip("ctranslate2")
    aligned(run)
    record = json.loads((run / "alignment.json").read_text())
    attention = {}
    for at in ("output", "input"):
        record["reading"] = {"layer": 0, "heads": [1], "at": at}
        (run / "alignment.json").write_text(json.dumps(record))
        export_run(run, output=at)
        options = {"return_attention": True, "max_decoding_length": 3}
        [result] = ctranslate2.Translator(at).translate_batch([["▁They", "▁like"]], **options)
        attention[at] = result.attention[0]
    assert attention["output"] != attention["input"]
