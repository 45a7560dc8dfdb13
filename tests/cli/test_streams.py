"""Commands work with standard streams that are closed, full, devices, or a notebook's."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from translator.cli.conversation import converse
from translator.errors import ConfigError, DataError
from translator.workflows.export import export_run
from translator.workflows.translate import translate

from .conftest import ROOT, Command

SENTENCES = "Yes.\nNo.\n"


def shell(line: str) -> "subprocess.CompletedProcess[str]":
    """Run a line in bash, in which $T stands for `translator`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "T": f"{sys.executable} -m translator"}
    return subprocess.run(
        ["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-", "2>/dev/full", "2> >(true)"])
def test_errors_do_not_need_a_standard_error(closed: str, workplace: Path) -> None:
    done = shell(f"$T no-such-command {closed}")
    assert (done.returncode, done.stdout) == (2, "")
    done = shell(f"$T train missing.yaml {closed}")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "2>/dev/full"])
def test_training_and_translating_do_not_need_a_standard_error(
    closed: str, workplace: Path
) -> None:
    Path("in.en").write_text(SENTENCES)
    done = shell(f"$T train c.yaml {closed} && $T translate runs/c -i in.en -o out.de {closed}")
    assert (done.returncode, done.stdout) == (0, "")
    assert Path("out.de").read_text().count("\n") == 2


def test_the_number_of_a_closed_stream_goes_to_no_file() -> None:
    code = "import translator.cli, sys; print(open(sys.argv[1], 'w').fileno(), file=sys.stderr)"
    done = shell(f'{sys.executable} -c "{code}" /dev/null <&- >&- 2>&1')
    assert int(done.stdout or 3) > 2
    done = shell(f'{sys.executable} -c "{code}" /dev/null 2>&-')
    assert (done.returncode, done.stdout) == (
        0,
        "",
    )  # print would use it in place of a standard error of None


@pytest.mark.slow
def test_a_full_output_is_an_error(run: Path) -> None:
    folder = export_run(run).path  # needs no TensorFlow
    Path("in.en").write_text(SENTENCES)
    for command in (f"translate {folder} -i in.en", f"verify {folder}", "--version"):
        done = shell(f"$T {command} > /dev/full")
        assert done.returncode == 2
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_devices_and_pipes_are_written_directly(run: Path) -> None:
    folder = export_run(run).path  # needs no TensorFlow
    Path("in.en").write_text(SENTENCES)
    done = shell(
        f"""
        set -e
        $T translate {folder} -i in.en -o new.de
        echo header > appended
        $T translate {folder} -i in.en -o /dev/stdout >> appended
        ln -s /dev/stdout link
        $T translate {folder} -i in.en -o link > linked
        $T translate {folder} -i <(cat in.en) -o /dev/fd/1 | cat > piped
        mkfifo fifo
        cat fifo > through &
        $T translate {folder} -i in.en -o fifo
        wait
        ls -A /dev . | grep -e resume -e lock || true
        """
    )
    assert (done.returncode, done.stdout) == (0, "")
    limit = "Warning: Translations that end at the length limit: "
    assert all(line.startswith(limit) for line in done.stderr.splitlines())
    new = Path("new.de").read_text()
    assert new.count("\n") == 2
    assert Path("appended").read_text() == "header\n" + new
    for name in ("linked", "piped", "through"):
        assert Path(name).read_text() == new
    done = shell(f"$T translate {folder} -i in.en -o /dev/stdout --resume >> appended")
    assert (done.returncode, done.stderr) == (
        2,
        "Error: --resume needs plain files as --input and --output.\n",
    )
    assert Path("appended").read_text() == "header\n" + new


class TextOnly(io.TextIOBase):
    """A stream as in a notebook: it takes text, and has neither bytes nor an encoding."""

    def __init__(self, text: str = "") -> None:
        self._text = io.StringIO(text)

    def write(self, text: str, /) -> int:
        return self._text.write(text)

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        return self._text.readline(size)

    def getvalue(self) -> str:
        return self._text.getvalue()


class Bare:
    """The minimal interface of an output stream."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass

    def getvalue(self) -> str:
        return self.text


@pytest.mark.slow
@pytest.mark.parametrize("make", [io.StringIO, TextOnly, Bare])
def test_python_may_have_any_output(
    make: type[TextOnly], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("in.en").write_text(SENTENCES)
    output, messages = make(), make()
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(sys, "stderr", messages)
    translate(run, "in.en")
    assert output.getvalue().count("\n") == 2
    assert messages.getvalue().startswith("Warning: Translations that end at the length limit")


@pytest.mark.slow
def test_python_may_have_any_input(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for make in (io.StringIO, TextOnly):
        monkeypatch.setattr(sys, "stdin", make(SENTENCES))
        translate(run, output="out.de")
        assert Path("out.de").read_text().count("\n") == 2
    monkeypatch.setattr(sys, "stdin", io.StringIO("Yes.\n\udce4\n"))
    with pytest.raises(DataError, match=r"standard input, line 2: not UTF-8 \(byte 0xe4\)"):
        translate(run, output="out.de")
    typed = io.StringIO(SENTENCES)
    monkeypatch.setattr(typed, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", typed)
    converse(run, Path("typed.de"), None, (), None)
    assert Path("typed.de").read_text().count("\n") == 2


def test_python_without_an_output_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(ConfigError, match=r"is closed\. Name --input and --output"):
        translate("any", "in.en")


HOMELESS = """
import os, pwd
del os.environ["HOME"]
pwd.getpwuid = lambda number: {}[number]  # as for a user unknown to the system
from translator.config import load_config
from translator.errors import UserError
from translator.data.corpus import fingerprint
import keras
from pathlib import Path

named = ["data.dataset=ted_hrlr_translate/pt_to_en", "data.train=train"]
named += ["data.validation=validation", "data.test=test"]
for settings in (["data.folder=~/text"], named):
    try:
        fingerprint(load_config(Path("c.yaml"), settings).data, "train")
    except UserError as error:
        print(error)
print(*(name for name in os.listdir() if name.startswith("~")))
"""


@pytest.mark.slow
def test_without_a_home_directory_nothing_is_written_elsewhere(
    workplace: Path, command: Command
) -> None:
    done = command(code=HOMELESS)
    assert done.stdout.splitlines() == [
        "data.folder: the home directory of ~ is unknown; write the whole path.",
        "data.dataset: this user has no home directory to keep it in; set data.dataset_folder",
        "",
    ], done.stderr
