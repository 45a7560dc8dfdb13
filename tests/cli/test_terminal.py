"""What a command shows on stderr: each message once, above the progress bar."""

import io
import logging
import sys

import pytest

from translator.cli.terminal import Bars, progress, shown_messages
from translator.workflows.progress import LOG_LINES

LOG = logging.getLogger("translator.workflows.train")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_messages_are_marked_if_they_are_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    LOG.info("100% [b]of[/b] it :dog:")
    LOG.warning("look")
    LOG.debug("nothing")
    assert capsys.readouterr().err == "100% [b]of[/b] it :dog:\nWarning: look\n"


def test_a_message_appears_once(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_messages():
        LOG.info("once")
    LOG.info("more")
    assert capsys.readouterr().err == "once\nmore\n"


def test_bars_are_drawn_at_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_terminal(monkeypatch)
    assert isinstance(progress(), Bars)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert progress() is LOG_LINES


def test_messages_are_drawn_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_a_terminal(monkeypatch)
    with Bars().training(9) as update:
        update(7, "loss 2.000")
        LOG.info("    model      Das [b]Haus.[/b] :dog: " + 90 * "x")
    drawn = terminal.getvalue()
    assert "    model      Das [b]Haus.[/b] :dog: " + 90 * "x" + "\n" in drawn
    assert "7/9" in drawn and "loss 2.000" in drawn.rpartition("xxx")[2]
