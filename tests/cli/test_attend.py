"""`translator attend`: a page, coloured text, plain text, and its errors."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from translator.cli.attention_text import print_attention
from translator.runs import EXPORT_CONFIG
from translator.workflows.attend import Attended, AttendedSentence, Layer, Line, head_entropy

from .conftest import Command, Type

Output = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def attended() -> Attended:
    """Two heads that look alike on average: "Hund" at "dog" with 0.75."""
    heads = [[[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]], [[1.0, 0, 0], [0.5, 0.5, 0], [0, 0, 1.0]]]
    weights = np.array(heads, np.float32)
    sentence = AttendedSentence(
        Line("A dog [b]", ["▁A", "▁dog", "</s>"], [2], 5),
        Line("Ein Hund", ["▁Ein", "▁Hund", "</s>"], [2], 3),
        [Layer("cross", 0, weights, head_entropy(weights), 3)],
    )
    mixers: Any = {"encoder": "recurrence", "decoder": "recurrence", "cross": "attention"}
    return Attended("runs/x", ("en", "de"), mixers, False, False, [sentence, sentence])


PLAIN = """\
A dog [b]
Ein Hund
▁Ein\t▁A 1.00\t▁dog 0.00\t</s> 0.00
▁Hund\t▁dog 0.75\t▁A 0.25\t</s> 0.00
</s>\t</s> 1.00\t▁A 0.00\t▁dog 0.00
The first 3 of 5 pieces of the source are drawn.
"""


def test_a_file_gets_plain_text(attended: Attended) -> None:
    file = io.StringIO()
    print_attention(attended, file)
    assert file.getvalue() == f"{PLAIN}\n{PLAIN}"


def test_a_terminal_gets_the_source_with_backgrounds(
    attended: Attended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    print_attention(attended, terminal)
    [of_hund] = [line for line in terminal.getvalue().splitlines()[:3] if "Hund" in line]
    assert ";48;2;39;94;143mdog" in of_hund
    assert ";48;2;110;150;186mA" in of_hund


def test_a_terminal_without_colours_gets_plain_text(
    attended: Attended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    print_attention(attended, terminal)
    assert terminal.getvalue() == f"{PLAIN}\n{PLAIN}"


@pytest.mark.slow
class TestCommand:
    def test_without_a_page_the_attention_is_printed(
        self, run: Path, type_: Type, capsys: Output
    ) -> None:
        assert type_("attend", str(run), "A dog.", "--target", "Ein Hund.") == 0
        printed = capsys.readouterr().out.splitlines()
        assert printed[:2] == ["A dog.", "Ein Hund."]
        assert printed[-1].startswith("</s>\t")
        assert "".join(line.partition("\t")[0] for line in printed[2:-1]) == "▁Ein▁Hund."

    def test_a_page_of_a_file_is_written(self, run: Path, command: Command) -> None:
        Path("in.en").write_text("A dog.\nI <b>like</b> tea.\n")
        result = command("attend", str(run), "-i", "in.en", "-o", "page.html")
        assert (result.returncode, result.stdout) == (0, ""), result.stderr
        assert "Written to page.html." in result.stderr
        page = Path("page.html").read_text()
        assert "I \\u003cb>like\\u003c/b> tea." in page
        assert "{{" not in page

    @pytest.mark.parametrize(
        ("words", "problem"),
        [
            ([" "], "The sentence is empty"),
            ([], "Name either a sentence, or a file of sentences with --input"),
            (["A dog.", "-i", "train.en"], "Name either a sentence, or a file"),
            (["-i", "train.en", "--target", "Ein Hund."], "--target is the translation of one"),
            (["-i", "none.en"], "none.en does not exist"),
            (["A dog.", "-o", "none/p.html"], "none/p.html: there is no folder none"),
            (["-i", "train.en", "-o", "train.en"], "the page would overwrite the input"),
            (["A dog.", "--set", "model.num_layers=3"], "a trained run accepts only keys"),
        ],
    )
    def test_a_mistake_is_one_sentence(
        self, words: list[str], problem: str, run: Path, type_: Type, capsys: Output
    ) -> None:
        assert type_("attend", str(run), *words) == 2
        [line] = [x for x in capsys.readouterr().err.splitlines() if x.startswith("Error: ")]
        assert problem in line

    def test_an_export_is_refused(self, workplace: Path, type_: Type, capsys: Output) -> None:
        Path("e").mkdir()
        Path("e", EXPORT_CONFIG).touch()
        assert type_("attend", "e", "A dog.") == 2
        assert "Error: e: this is an export" in capsys.readouterr().err
