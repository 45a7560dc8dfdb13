"""A folder of the cache is made once, by one process at a time, and appears complete."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from translator.cache import ABANDONED_AFTER, cache_folder, make_once
from translator.errors import DataError, Stopped

ROOT = Path(__file__).parents[1]
SLOW_MAKER = """
import sys, time
from pathlib import Path
from translator.cache import make_once

def make(folder):
    (folder / "by").write_text(sys.argv[2])
    print("making", flush=True)
    sys.stdin.read()

make_once(Path(sys.argv[1]), make, lambda text: print(text, flush=True), Path.is_dir)
print("done", flush=True)
"""


def start(folder: Path, name: str) -> "subprocess.Popen[str]":
    """A process that is making the folder until its standard input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_MAKER, str(folder), name],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def next_output(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def fill(folder: Path) -> None:
    (folder / "file").write_text("whole")


def silent(text: str) -> None:
    raise AssertionError(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_existing_folder_is_not_made_again(tmp_path: Path) -> None:
    make_once(tmp_path / "a", fill, silent, Path.is_dir)
    make_once(tmp_path / "a", lambda _: silent("made again"), silent, Path.is_dir)
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a/file").read_text() == "whole"


@pytest.mark.parametrize("is_folder", [True, False])
def test_incomplete_folder_is_made_again_with_a_message(tmp_path: Path, is_folder: bool) -> None:
    def is_whole(folder: Path) -> bool:
        return folder.is_dir() and names(folder) == ["file"]

    if is_folder:
        (tmp_path / "a").mkdir()
        (tmp_path / "a/other").write_text("left over")
    else:
        (tmp_path / "a").write_text("")
    messages: list[str] = []
    make_once(tmp_path / "a", fill, messages.append, is_whole)
    assert names(tmp_path) == ["a"] and names(tmp_path / "a") == ["file"]
    assert messages == [
        f"{tmp_path}/a: this part of the cache is damaged or incomplete; making it again."
    ]
    make_once(tmp_path / "a", lambda _: silent("made again"), silent, is_whole)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), Stopped(15)])
def test_interrupted_folder_is_continued(tmp_path: Path, interruption: BaseException) -> None:
    def stop(folder: Path) -> None:
        fill(folder)
        raise interruption

    with pytest.raises(type(interruption)):
        make_once(tmp_path / "a", stop, silent, Path.is_dir)
    assert not (tmp_path / "a").exists()

    def go_on(folder: Path) -> None:
        assert names(folder) == ["file"]

    make_once(tmp_path / "a", go_on, silent, Path.is_dir)
    assert names(tmp_path / "a") == ["file"]
    assert names(tmp_path) == ["a"]


def test_failed_folder_is_removed(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make_once(tmp_path / "a", fail, silent, Path.is_dir)
    assert names(tmp_path) == []


def test_disk_error_becomes_one_sentence(tmp_path: Path) -> None:
    def fail(_: Path) -> None:
        raise OSError(28, os.strerror(28))

    with pytest.raises(DataError) as caught:
        make_once(tmp_path / "a", fail, silent, Path.is_dir)
    assert str(caught.value) == (
        f"{tmp_path}: cannot keep files here: No space left on device. Free some space, or "
        "set XDG_CACHE_HOME to another folder."
    )


@pytest.mark.parametrize("name", ["x.unfinished", "unfinished-x", "x.unfinished-lock"])
def test_only_old_unfinished_folders_are_removed(tmp_path: Path, name: str) -> None:
    old, new, whole = (tmp_path / n for n in (name, "y.unfinished", "z"))
    for path in (old, new, whole):
        path.touch() if path.name.endswith("lock") else path.mkdir()
    for path, seconds in ((old, 60), (new, -60), (whole, 60)):
        os.utime(path, (time.time() - ABANDONED_AFTER - seconds,) * 2)
    make_once(tmp_path / "a", fill, silent, Path.is_dir)
    assert names(tmp_path) == ["a", "y.unfinished", "z"]


def test_a_second_process_waits_for_the_first(tmp_path: Path) -> None:
    with start(tmp_path / "a", "first") as first:
        assert next_output(first) == "making\n"
        with start(tmp_path / "a", "second") as second:
            waiting = "Another process is preparing the same files; waiting for it …\n"
            assert next_output(second) == waiting
            assert not (tmp_path / "a").exists()
            first.communicate()
            assert next_output(second) == "done\n"
            second.communicate()
    assert (tmp_path / "a/by").read_text() == "first"
    assert names(tmp_path) == ["a"]


def test_a_second_process_takes_over_when_the_first_is_killed(tmp_path: Path) -> None:
    with start(tmp_path / "a", "first") as first:
        assert next_output(first) == "making\n"
        with start(tmp_path / "a", "second") as second:
            assert "waiting" in next_output(second)
            first.kill()
            assert next_output(second) == "making\n"
            second.communicate()
    assert (tmp_path / "a/by").read_text() == "second"
    assert names(tmp_path) == ["a"]


def test_lock_on_a_deleted_file_is_not_trusted(tmp_path: Path) -> None:
    """As if a third process started before a waiting one has woken up."""
    lock = tmp_path / "a.unfinished-lock"
    with start(tmp_path / "a", "first") as first:
        assert next_output(first) == "making\n"
        with start(tmp_path / "a", "second") as second:
            assert "waiting" in next_output(second)
            with FileLock(third := tmp_path / "third"):
                third.rename(lock)  # at once, or the second might lock the new file first
                first.kill()
                first.wait()
                time.sleep(0.5)  # for the second to take the lock of the deleted file
                assert (tmp_path / "a.unfinished/by").read_text() != "second"
            assert next_output(second) == "making\n"
            second.communicate()
    assert names(tmp_path) == ["a"]


def test_without_a_home_directory_the_error_names_the_solution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(DataError, match=r"no home directory .*; set XDG_CACHE_HOME to a folder"):
        cache_folder()
