"""A translation from file to file that is killed and resumed."""

import gzip
import re
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from translator.corpora.lines import is_gzip
from translator.decoding import engine
from translator.errors import ConfigError, DataError, RunError, UserError
from translator.workflows.export import export_run
from translator.workflows.resumable_output import ResumableOutput
from translator.workflows.translate import translate

from .conftest import Command

pytestmark = pytest.mark.slow

SENTENCES = [f"{'And ' * (i % 3)}the {word} is near." for i, word in enumerate("abcdefghijk")]

KILLED = """
import os, signal
from translator.cli import app, process
from translator.decoding import engine
from translator.workflows.resumable_output import ResumableOutput

process.freeze_weights = lambda frozen: None  # as in the process that it is compared with
engine.LINES_AT_ONCE = 4
write, saves = ResumableOutput.save, []

def save(self, file, lines_done):
    write(self, file, lines_done)
    saves.append(lines_done)
    if len(saves) == 3:
        file.write("half a li")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

ResumableOutput.save = save
app.main()
"""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LINES_AT_ONCE", 4)


@pytest.fixture
def killed(run: Path, command: Command) -> Path:
    """The output of a process that was killed after eight of eleven lines."""
    Path("in.en").write_text("\n".join(SENTENCES))
    done = command("translate", str(run), "-i", "in.en", "-o", "out.de", code=KILLED)
    assert done.returncode == -9
    return Path("out.de")


@pytest.mark.parametrize("n_best", [None, 3])
def test_resumed_it_ends_with_the_same_bytes(
    run: Path, command: Command, n_best: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("in.en").write_text("\n".join(SENTENCES))
    translate(run, "in.en", "whole.de", n_best)
    options = ["-i", "in.en", "-o", "out.de", *(["--n-best", str(n_best)] if n_best else [])]
    assert command("translate", str(run), *options, code=KILLED).returncode == -9
    whole, half = Path("whole.de").read_text(), Path("out.de").read_text()
    assert half.endswith("half a li") and half != whole

    translated: list[str] = []
    begin = engine.Engine._begin

    def watched(self: engine.Engine, sentences: list[str], count: int) -> object:
        translated.extend(sentences)
        return begin(self, sentences, count)

    monkeypatch.setattr(engine.Engine, "_begin", watched)
    translate(run, "in.en", "out.de", n_best, resume=True)
    assert Path("out.de").read_text() == whole
    assert translated == SENTENCES[8:]
    assert not Path("out.de.resume").exists() and not Path("whole.de.resume").exists()


def test_lines_not_yet_translated_may_be_corrected(run: Path) -> None:
    lines = "\n".join(SENTENCES).encode().splitlines(keepends=True)
    Path("in.en").write_bytes(b"".join([*lines[:9], b"caf\xe9\n", *lines[10:]]))
    message = r"in.en, line 10: not UTF-8 .*damaged\. Once this is fixed, --resume continues\.$"
    with pytest.raises(UserError, match=message):
        translate(run, "in.en", "out.de")
    Path("in.en").write_bytes(b"".join(lines))
    translate(run, "in.en", "out.de", resume=True)
    translate(run, "in.en", "whole.de")
    assert Path("out.de").read_text() == Path("whole.de").read_text()


@pytest.mark.parametrize("resume", [True, False])
def test_if_nothing_was_saved_it_starts_over(run: Path, resume: bool) -> None:
    whole = b"Good morning.\nA hotel.\n"
    Path("in.en").write_bytes(whole + b"caf\xe9\n")
    message = r"in.en, line 3: not UTF-8 .*damaged\. Once this is fixed, --resume continues\.$"
    with pytest.raises(UserError, match=message):
        translate(run, "in.en", "out.de")
    assert Path("out.de").read_text().count("\n") == 2
    Path("in.en").write_bytes(whole)
    translate(run, "in.en", "out.de", None, ["decoding.beam_size=2"], None, resume)
    assert Path("out.de").read_text().count("\n") == 2
    assert not Path("out.de.resume").exists()


def test_ctrl_c_says_how_to_continue(run: Path, command: Command) -> None:
    Path("in.en").write_text("\n".join(SENTENCES))
    options = "-i", "in.en", "-o", "out.de"
    done = command("translate", str(run), *options, code=KILLED.replace("SIGKILL", "SIGINT"))
    assert done.returncode == 130
    assert done.stderr.endswith("Stopped. Continue with --resume.\n")


@pytest.mark.parametrize("source", ["in.en", "in.en.gz"])
def test_a_finished_output_is_not_resumed(run: Path, source: str) -> None:
    text = "\n".join(SENTENCES).encode()
    Path(source).write_bytes(gzip.compress(text) if is_gzip(Path(source)) else text)
    Path("out.de").touch()
    translate(run, source, "out.de", resume=True)
    whole = Path("out.de").read_text()
    assert whole.count("\n") == len(SENTENCES)
    with pytest.raises(ConfigError, match=r"^No interrupted translation found for out.de: there"):
        translate(run, source, "out.de", resume=True)
    assert Path("out.de").read_text() == whole


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_a_closed_stream_is_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    monkeypatch.setattr(sys, stream, None)
    with pytest.raises(ConfigError, match=r"is closed\. Name --input and --output"):
        translate(run)


def test_without_resume_a_half_finished_output_is_not_overwritten(killed: Path, run: Path) -> None:
    before = killed.read_text()
    with pytest.raises(
        ConfigError, match=r"is half finished \(8 lines\)\. Continue with --resume, or"
    ):
        translate(run, "in.en", killed)
    assert killed.read_text() == before
    Path("out.de.resume").unlink()
    translate(run, "in.en", killed)
    assert killed.read_text().count("\n") == len(SENTENCES)


def test_changed_settings_or_input_are_refused(killed: Path, run: Path) -> None:
    before = killed.read_text()

    def refused(sentence: str, n_best: int | None = None, *overrides: str) -> None:
        error = (ConfigError, RunError)
        with pytest.raises(error, match=re.escape(sentence)):
            translate(run, "in.en", killed, n_best, list(overrides), resume=True)
        assert killed.read_text() == before

    refused("Cannot resume out.de: --n-best was none and is now 2. Use the original value, or", 2)
    refused("decoding.beam_size was 3 and is now 2. Use", None, "decoding.beam_size=2")
    refused("data.max_length was 80 and is now 4. Use", None, "data.max_length=4")
    text = Path("in.en").read_text()
    Path("in.en").write_text(text.replace(SENTENCES[7], "What?"))
    refused("the input has changed within its first 8 lines. Restore it, or delete out.de.resume")
    Path("in.en").write_text("".join(f"{line}\n" for line in SENTENCES[:7]))
    refused("the input has changed within its first 8 lines. Restore it, or delete out.de.resume")
    Path("in.en").write_text(text)
    Path("out.de.resume").write_text("{}")
    refused("out.de.resume: this file is damaged; delete it to start over.")


@pytest.mark.parametrize("changed", ["one line\n", "other"])
def test_a_changed_output_is_refused(killed: Path, run: Path, changed: str) -> None:
    text = killed.read_text()
    killed.write_text(changed if changed.endswith("\n") else changed + text[len(changed) :])
    with pytest.raises(
        RunError, match=r"out.de: the file has changed since it was written\. Delete"
    ):
        translate(run, "in.en", killed, resume=True)


def test_one_process_at_a_time_writes_an_output(killed: Path, run: Path) -> None:
    before = killed.read_text()
    with FileLock("out.de.resume.lock"):
        with pytest.raises(ConfigError, match=r"out.de: another process is writing it"):
            translate(run, "in.en", killed, resume=True)
        assert killed.read_text() == before
    translate(run, "in.en", killed, resume=True)
    assert sorted(path.name for path in Path().glob("out*")) == ["out.de"]


def test_resume_needs_files(run: Path) -> None:
    with pytest.raises(ConfigError, match="--resume needs files: name --input and"):
        translate(run, None, "out.de", resume=True)
    with pytest.raises(DataError, match=r"typo.en does not exist"):
        translate(run, "typo.en", "out.de", resume=True)
    Path("in.en").write_text("One.\n")
    with pytest.raises(ConfigError, match="--resume needs plain files"):
        translate(run, "in.en", "/dev/null", resume=True)
    with pytest.raises(ConfigError, match=r"out.de.gz: the output is plain text. Name it without"):
        translate(run, "in.en", "out.de.gz")
    with pytest.raises(UserError, match=r"^no/out.de: there is no folder no; make it first\.$"):
        translate(run, "in.en", "no/out.de")


def test_a_translation_by_an_export_is_resumed_too(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = export_run(run).path
    Path("in.en").write_text("\n".join(SENTENCES))
    translate(folder, "in.en", "whole.de")
    write = ResumableOutput.save

    def save(self: ResumableOutput, file: object, lines_done: int) -> None:
        write(self, file, lines_done)  # type: ignore[arg-type]
        if lines_done:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ResumableOutput, "save", save)
        translate(folder, "in.en", "out.de")
    with pytest.raises(ConfigError, match=r"out.de is half finished \(4 lines\)"):
        translate(folder, "in.en", "out.de")
    translate(run, "in.en", "out.de", engine="ctranslate2", resume=True)
    assert Path("out.de").read_text() == Path("whole.de").read_text()
