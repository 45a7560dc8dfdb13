"""Files are written whole, or not at all."""

import os
from pathlib import Path

import pytest

from translator.files import opened_whole, sha256, write_whole


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("content", "written"), [("ä\r\n", b"\xc3\xa4\r\n"), (b"\x00\xff", b"\x00\xff")]
)
def test_text_and_bytes_are_written_as_they_are(
    tmp_path: Path, content: str | bytes, written: bytes
) -> None:
    path = tmp_path / "a.b"
    path.write_text("before")
    write_whole(path, content)
    assert path.read_bytes() == written
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("fails", ["os.fsync", "pathlib.Path.replace"])
def test_error_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    path = tmp_path / "a"
    path.write_text("before")
    monkeypatch.setattr(fails, full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_written_part_by_part_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("before")
    with opened_whole(path) as file:
        file.write(b"one ")
        assert path.read_text() == "before"
        file.write(b"two")
    assert path.read_text() == "one two"
