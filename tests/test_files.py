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


def test_error_names_the_file_unless_it_has_the_name_of_another(tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    for name, named in ((None, path), (str(other), other)):
        with pytest.raises(OSError, match="No space left") as caught, opened_whole(path):
            raise OSError(28, os.strerror(28), name)
        assert caught.value.filename == str(named)
    with pytest.raises(FileNotFoundError) as caught, opened_whole(other / "a"):
        pass
    assert caught.value.filename == str(other / "a")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_in_nested_contexts_names_a_file(tmp_path: Path) -> None:
    full, outer = tmp_path / "b", tmp_path / "a"
    (tmp_path / "b.unfinished").symlink_to("/dev/full")
    with (
        pytest.raises(OSError, match="No space left") as caught,
        opened_whole(outer),
        opened_whole(full) as file,
    ):
        file.write(b"x")
    assert caught.value.filename == str(full)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_written_part_by_part_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("before")
    with opened_whole(path) as file:
        file.write(b"one ")
        assert path.read_text() == "before"
        file.write(b"two")
    assert path.read_text() == "one two"
