"""What a half-finished translation needs to be resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from translator.config.schema import DecodingConfig, ModelConfig
from translator.corpora.lines import read_lines
from translator.decoding import engine
from translator.errors import ConfigError
from translator.workflows.resumable_output import ResumableOutput


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """An input of two lines, and an output that was interrupted after the first."""
    monkeypatch.setattr(engine, "LINES_AT_ONCE", 1)
    source, output = tmp_path / "in", tmp_path / "out"
    source.write_text("one\ntwo\n")
    interrupted = ResumableOutput(source, output, decided_by())
    next(interrupted.start(read_lines(source), resume=False))
    with pytest.raises(KeyboardInterrupt), interrupted.opened() as file:
        file.write("eins\n")
        interrupted.save(file, 1)
        raise KeyboardInterrupt
    return source, output


def decided_by(**decoding: Any) -> dict[str, Any]:
    sections = {"decoding": DecodingConfig().model_dump() | decoding}
    return sections | {"weights": "digest", "model": ModelConfig().model_dump()}


def remaining(files: tuple[Path, Path], **decoding: Any) -> list[str]:
    source, output = files
    resumed = ResumableOutput(source, output, decided_by(**decoding))
    return list(resumed.start(read_lines(source), resume=True))


def test_the_remaining_lines_are_returned(files: tuple[Path, Path]) -> None:
    assert remaining(files) == ["two"]


def test_a_changed_key_is_refused(files: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match=r"decoding\.beam_size was 5 and is now 4\. Use the orig"):
        remaining(files, beam_size=4)


def test_a_key_that_an_earlier_version_lacked_has_its_default(files: tuple[Path, Path]) -> None:
    path = files[1].with_name("out.resume")
    state = json.loads(path.read_text())
    del state["decided_by"]["decoding"]["no_repeat_ngram"]
    del state["decided_by"]["decoding"]["min_length"]
    del state["decided_by"]["model"]["kind"]
    path.write_text(json.dumps(state))
    with pytest.raises(ConfigError, match=r"decoding\.no_repeat_ngram was 0 and is now 3"):
        remaining(files, no_repeat_ngram=3)
    with pytest.raises(ConfigError, match=r"decoding\.min_length was 0 and is now 2"):
        remaining(files, min_length=2)
    assert remaining(files) == ["two"]
