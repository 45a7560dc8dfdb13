"""However often the writing of a store is interrupted, the result has the same bits."""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from translator.config.schema import DataConfig, TokenizerConfig
from translator.corpora.tsv_files import TsvFiles
from translator.data import store_writer
from translator.data.corpus import Pair, fingerprint, read_unchanged
from translator.data.mixture import Mixture
from translator.data.store import Store, open_store
from translator.data.store_side import SideWriter
from translator.data.tokenizer import Tokenizer, train_tokenizer
from translator.errors import DataError, Stopped

ROOT = Path(__file__).parents[2]
PAIRS = [
    Pair(
        f"{i} {'is odd' if i % 2 else ''}".strip(), "" if i % 7 == 3 else f"ungerade {i} " * (i % 5)
    )
    for i in range(100)
]
PAIRS[21] = Pair("a NUL \0", "one▁two")
PAIRS[64] = Pair("a return", "one\rtwo")
PAIRS[65] = Pair("\0 another", "three▁four")
PAIRS[66] = Pair("too long to be kept", "▁" * 99)
MAX_LENGTH = 30


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    config = TokenizerConfig(vocabulary_size=340, joint=False)
    return train_tokenizer(config, lambda: PAIRS, 1, lambda _: None)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten chunks, each followed by an entry in the journal."""
    monkeypatch.setattr(store_writer, "CHUNK", 10)
    monkeypatch.setattr(store_writer, "JOURNAL_EVERY", -1.0)


def make(
    folder: Path,
    tokenizer: Tokenizer,
    pairs: Callable[[], Iterator[Pair]] = lambda: iter(PAIRS),
    **keys: object,
) -> Store:
    settings: dict[str, object] = {"max_length": MAX_LENGTH, "keep_text": True} | keys
    return open_store(folder, pairs, tokenizer, **settings)  # type: ignore[arg-type]


def make_part(folder: Path, tokenizer: Tokenizer) -> None:
    """Start to write a store, and be stopped after 57 pairs."""

    def breaks_off() -> Iterator[Pair]:
        yield from PAIRS[:57]
        raise Stopped(15)

    with pytest.raises(Stopped):
        make(folder, tokenizer, breaks_off)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def whole(tmp_path: Path, tokenizer: Tokenizer) -> dict[str, bytes]:
    """A store that was written without interruption."""
    store = make(tmp_path / "whole", tokenizer)
    assert (store.facts.num_pairs, store.facts.num_empty, store.facts.num_long) == (54, 29, 17)
    return content(tmp_path / "whole")


PLACES = [
    (SideWriter, "add"),
    (SideWriter, "save"),
    (os, "fsync"),
    (Path, "replace"),
    (Path, "rename"),
    (store_writer, "_reread"),
]


@pytest.mark.parametrize(("owner", "name"), PLACES, ids=[name for _, name in PLACES])
def test_stopped_anywhere_the_store_ends_with_the_same_bits(
    owner: object,
    name: str,
    whole: dict[str, bytes],
    tmp_path: Path,
    tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, left = getattr(owner, name), 0

    def stops(*arguments: object, **keys: object) -> object:
        nonlocal left
        left -= 1
        if left == 0:
            raise Stopped(15)
        return real(*arguments, **keys)

    monkeypatch.setattr(owner, name, stops)
    folder = tmp_path / "s"
    for count in itertools.count(1):
        left = count
        try:
            make(folder, tokenizer)
            break
        except Stopped:
            assert not folder.exists()
    assert content(folder) == whole
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "s"}


def test_unreachable_targets_and_nul_characters_are_counted(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    make_part(tmp_path / "s", tokenizer)
    facts = make(tmp_path / "s", tokenizer).facts
    assert facts.num_unreachable == 3
    assert facts.unreachable == [("one▁two", "one two"), ("one\rtwo", "one two")]
    assert (facts.num_nul, facts.first_nul) == (2, 22)
    other = make(tmp_path / "t", tokenizer, lambda: iter(PAIRS[65:66])).facts
    both = Mixture([make(tmp_path / name, tokenizer) for name in "st"]).facts
    assert other.unreachable == [("three▁four", "three four")]
    assert (both.num_unreachable, both.unreachable, both.num_nul, both.first_nul) == (
        4,
        facts.unreachable,
        3,
        22,
    )


def test_a_store_of_an_older_version_is_opened(tmp_path: Path, tokenizer: Tokenizer) -> None:
    make(tmp_path / "s", tokenizer)
    facts = json.loads((tmp_path / "s/facts.json").read_text())
    for key in ("num_unreachable", "unreachable", "num_nul", "first_nul"):
        del facts[key]
    (tmp_path / "s/facts.json").write_text(json.dumps(facts))
    assert make(tmp_path / "s", tokenizer).facts.num_unreachable == 0


def test_written_pairs_are_not_encoded_again(
    whole: dict[str, bytes],
    tmp_path: Path,
    tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_part(tmp_path / "s", tokenizer)
    shown: list[int] = []
    make(tmp_path / "s", tokenizer, show=shown.append)
    assert shown == [60, 70, 80, 90, 100]
    assert content(tmp_path / "s") == whole


@pytest.mark.parametrize("seconds", [-1.0, 3600.0])
def test_the_bits_do_not_depend_on_chunks_and_journal(
    seconds: float,
    whole: dict[str, bytes],
    tmp_path: Path,
    tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_writer, "JOURNAL_EVERY", seconds)
    monkeypatch.setattr(store_writer, "CHUNK", 7)
    make(tmp_path / "s", tokenizer)
    assert content(tmp_path / "s") == whole


@pytest.mark.parametrize("damage", ["short", "garbage", "missing"])
def test_damaged_journal_is_ignored(
    damage: str, whole: dict[str, bytes], tmp_path: Path, tokenizer: Tokenizer
) -> None:
    make_part(tmp_path / "s", tokenizer)
    unfinished = tmp_path / "s.unfinished"
    assert json.loads((unfinished / "journal.json").read_text())["num_read"] == 50
    match damage:
        case "short":
            os.truncate(unfinished / "target.ids", 4)
        case "garbage":
            (unfinished / "journal.json").write_text('{"num_read": 50')
        case "missing":
            (unfinished / "journal.json").unlink()
    make(tmp_path / "s", tokenizer)
    assert content(tmp_path / "s") == whole


def test_number_of_pairs_in_memory_is_bounded(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_writer, "JOURNAL_EVERY", 3600.0)
    ahead: list[int] = []
    num_given = 0

    def pairs() -> Iterator[Pair]:
        nonlocal num_given
        for num_given, pair in enumerate(PAIRS * 10, start=1):  # noqa: B007
            yield pair

    make(tmp_path / "s", tokenizer, pairs, show=lambda done: ahead.append(num_given - done))
    assert len(ahead) == 100
    assert max(ahead) <= 20


def test_chunks_of_long_pairs_are_smaller(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_writer, "CHUNK_CHARACTERS", 12)
    shown: list[int] = []
    pairs = [Pair("abc", "de")] * 7 + [Pair("f" * 20, "g")]
    make(tmp_path / "s", tokenizer, lambda: iter(pairs), show=shown.append)
    assert shown == [3, 6, 8]


class TestTextThatChanges:
    @pytest.fixture
    def data(self, tmp_path: Path) -> DataConfig:
        text = "".join(f"{p.source or '-'}\t{p.target}\n" for p in PAIRS)
        (tmp_path / "t.tsv").write_text(text)
        both = TsvFiles(tsv="t.tsv")
        return DataConfig(
            source_language="en",
            target_language="de",
            folder=str(tmp_path),
            train=both,
            validation=both,
        )

    def test_during_preparation_is_an_error(
        self, data: DataConfig, tmp_path: Path, tokenizer: Tokenizer
    ) -> None:
        known = fingerprint(data, "train")

        def change(done: int) -> None:
            if done == 60:
                with (tmp_path / "t.tsv").open("a") as file:
                    file.write("one\tmore\n")

        with pytest.raises(DataError) as caught:
            make(
                tmp_path / "cache/s",
                tokenizer,
                lambda: read_unchanged(data, "train", known),
                show=change,
            )
        assert str(caught.value) == (
            "data.train: the text has changed while it was being read; run the command again when "
            "it no longer changes"
        )
        assert list((tmp_path / "cache").iterdir()) == []

    def test_unchanged_text_is_read_to_the_end(self, data: DataConfig) -> None:
        known = fingerprint(data, "train")
        assert len(list(read_unchanged(data, "train", known))) == len(PAIRS)


WITH_KILLS = """
import os, signal, sys
from pathlib import Path
from translator.data import store_side, store_writer
from translator.data.corpus import Pair
from translator.corpora.lines import read_lines
from translator.data.store import open_store
from translator.data.tokenizer import Tokenizer

folder, place, left = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store_writer.CHUNK, store_writer.JOURNAL_EVERY = 10, -1.0

def before(owner, name, act=lambda *_: None):
    real = getattr(owner, name)
    def wrapped(*arguments, **keys):
        global left
        left -= 1
        if left == 0:
            act(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **keys)
    setattr(owner, name, wrapped)

def put_on_disk(side, *_):
    for file in side._files.values():
        file.flush()

match place:
    case "adding": before(store_side.SideWriter, "_append", put_on_disk)
    case "writing": before(os, "fsync")
    case "replacing": before(Path, "replace")
    case "renaming": before(Path, "rename")

def pairs():
    for line in read_lines(folder / "pairs.tsv"):
        yield Pair(*line.split("\\t"))

tokenizer = Tokenizer.load([folder / "source.model", folder / "target.model"])
open_store(folder / "s", pairs, tokenizer, max_length=int(sys.argv[4]), keep_text=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["adding", "writing", "replacing", "renaming"])
def test_killed_repeatedly_the_store_ends_with_the_same_bits(
    place: str, whole: dict[str, bytes], tmp_path: Path, tokenizer: Tokenizer
) -> None:
    tokenizer.save([tmp_path / "source.model", tmp_path / "target.model"])
    (tmp_path / "pairs.tsv").write_text("".join(f"{p.source}\t{p.target}\n" for p in PAIRS))
    kills = 0
    for count in (1, 9, 2, 7, 13, 3, 0):
        arguments = [str(tmp_path), place, str(count), str(MAX_LENGTH)]
        done = subprocess.run(
            [sys.executable, "-c", WITH_KILLS, *arguments],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=False,
        )
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        kills += 1
        assert not (tmp_path / "s").exists()
    assert kills >= (1 if place == "renaming" else 3)
    assert content(tmp_path / "s") == whole
    assert list(tmp_path.glob("*unfinished*")) == []
