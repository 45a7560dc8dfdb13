"""A store has the ids of the tokenizer, is complete or absent, and is named by its inputs."""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from translator.config.schema import DataConfig, TokenizerConfig
from translator.corpora.tsv_files import TsvFiles
from translator.data.corpus import Pair, fingerprint
from translator.data.store import Store, open_store, store_key
from translator.data.store_writer import CHUNK
from translator.data.tokenizer import Tokenizer, Vocabulary, train_tokenizer
from translator.errors import DataError

PAIRS = [
    Pair("Good morning, Anna.", "Guten Morgen, Anna."),
    Pair("I am reading.", "Ich lese."),
    Pair("", "Allein."),
    Pair("Alone.", "  "),
    Pair("Is it cold? " * 20, "Ja."),
    Pair("No.", "Ist es kalt? " * 20),
    Pair("Where is the station?", "Wo ist der Bahnhof? \u2028 Dort."),
]
SHORT = [PAIRS[0], PAIRS[1], PAIRS[6]]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    config = TokenizerConfig(vocabulary_size=340, joint=False)
    return train_tokenizer(config, lambda: PAIRS, 1, lambda _: None)


def make(
    folder: Path,
    tokenizer: Tokenizer,
    pairs: list[Pair] | Iterator[Pair] = PAIRS,
    max_length: int | None = 40,
    keep_text: bool = True,
) -> Store:
    return open_store(folder, lambda: pairs, tokenizer, max_length=max_length, keep_text=keep_text)


def test_store_contains_the_ids_of_the_tokenizer(tmp_path: Path, tokenizer: Tokenizer) -> None:
    store = make(tmp_path / "s", tokenizer)
    assert len(store) == 3
    for side, vocabulary, texts in zip(
        (store.source, store.target), tokenizer, zip(*SHORT, strict=True), strict=True
    ):
        expected = vocabulary.encode(texts)
        assert [side.ids(i).tolist() for i in range(3)] == expected
        assert side.lengths.tolist() == [len(row) for row in expected]


def test_store_counts_the_pairs_left_out(tmp_path: Path, tokenizer: Tokenizer) -> None:
    facts = make(tmp_path / "s", tokenizer).facts
    assert (facts.num_pairs, facts.num_empty, facts.num_long) == (3, 2, 2)


def test_long_sources_are_left_out_or_truncated(tmp_path: Path, tokenizer: Tokenizer) -> None:
    pairs = [Pair("a b", "c"), Pair("a b " * 20, "c"), Pair("a b", "c " * 90)]
    facts, sources = [], []
    for truncate in (False, True):
        store = open_store(
            *(tmp_path / f"s{truncate}", lambda: pairs, tokenizer),
            max_length=9,
            keep_text=True,
            truncate_sources=truncate,
        )
        facts.append((store.facts.num_pairs, store.facts.num_long, store.facts.num_truncated))
        sources.append([store.source.ids(i).tolist() for i in range(len(store))])
    assert facts == [(1, 2, 0), (2, 1, 1)]
    short, long = tokenizer.source.encode([pairs[0].source, pairs[1].source])
    assert sources == [[short], [short, long[:9]]]


class TestSideOfInvisibleCharacters:
    PAIRS = [  # noqa: RUF012
        PAIRS[0],
        Pair("Alone.", "\u200b"),
        Pair("\ufeff \u200d", "Allein."),
        Pair("Alone.", "\u00ad\u3164"),
        PAIRS[1],
    ]

    @pytest.fixture(params=["nmt_nfkc", "identity"])
    def tokenizer(self, request: pytest.FixtureRequest) -> Tokenizer:
        config = TokenizerConfig(vocabulary_size=340, joint=False, normalization=request.param)
        return train_tokenizer(config, lambda: PAIRS, 1, lambda _: None)

    def test_is_left_out_and_counted(self, tmp_path: Path, tokenizer: Tokenizer) -> None:
        store = make(tmp_path / "s", tokenizer, self.PAIRS)
        assert list(store.pairs()) == PAIRS[:2]
        assert (store.facts.num_pairs, store.facts.num_empty, store.facts.num_long) == (2, 3, 0)

    def test_has_no_pieces_if_every_pair_is_kept(
        self, tmp_path: Path, tokenizer: Tokenizer
    ) -> None:
        store = make(tmp_path / "s", tokenizer, self.PAIRS, max_length=None)
        assert list(store.pairs()) == self.PAIRS
        assert (store.source.lengths > 0).tolist() == [True, True, False, True, True]
        assert (store.target.lengths > 0).tolist() == [True, False, True, False, True]

    def test_after_a_tag_is_left_out_too(self, tmp_path: Path) -> None:
        config = TokenizerConfig(vocabulary_size=340)
        tokenizer = train_tokenizer(config, lambda: PAIRS, 1, lambda _: None, ["<2de>"])
        tagged = [Pair("<2de> \u200b", "Allein."), Pair("<2de>", "Allein."), PAIRS[0]]
        assert list(make(tmp_path / "s", tokenizer, tagged).pairs()) == [PAIRS[0]]

    def test_is_kept_in_an_older_run(self, tmp_path: Path, tokenizer: Tokenizer) -> None:
        store = open_store(
            tmp_path / "s",
            lambda: [*self.PAIRS, Pair(" ", "Allein.")],
            tokenizer,
            max_length=40,
            keep_text=True,
            keep_blank=True,
        )
        assert list(store.pairs()) == self.PAIRS
        assert store.facts.num_empty == 1


def test_a_side_without_pieces_is_empty(tmp_path: Path, tokenizer: Tokenizer) -> None:
    class Mute(Vocabulary):
        """Has no pieces for numbers."""

        def encode(self, sentences: Sequence[str], sampling: object = None) -> list[list[int]]:
            return [[] if s.isdigit() else [5] for s in sentences]

    mute = Tokenizer(Mute(tokenizer.source.model), Mute(tokenizer.target.model))
    pairs = [Pair("a", "1"), Pair("2", "b"), Pair("c", "d")]
    store = make(tmp_path / "s", mute, pairs)
    assert list(store.pairs()) == [Pair("c", "d")] and store.facts.num_empty == 2


def test_side_exactly_as_long_as_the_limit_is_kept(tmp_path: Path, tokenizer: Tokenizer) -> None:
    pair = [PAIRS[0]]
    length = max(len(v.encode([text])[0]) for v, text in zip(tokenizer, pair[0], strict=True))
    assert len(make(tmp_path / "fits", tokenizer, pair, max_length=length)) == 1
    with pytest.raises(DataError, match="No pair is left"):
        make(tmp_path / "does not", tokenizer, pair, max_length=length - 1)


def test_without_a_limit_every_pair_keeps_its_index(tmp_path: Path, tokenizer: Tokenizer) -> None:
    store = make(tmp_path / "s", tokenizer, max_length=None)
    assert list(store.pairs()) == PAIRS
    assert (store.facts.num_empty, store.facts.num_long) == (0, 0)


def test_text_is_kept_exactly(tmp_path: Path, tokenizer: Tokenizer) -> None:
    assert list(make(tmp_path / "s", tokenizer).pairs()) == SHORT


@pytest.mark.slow
def test_a_store_longer_than_a_chunk_keeps_its_order(tmp_path: Path, tokenizer: Tokenizer) -> None:
    pairs = [Pair(f"{i}", f"{-i}") for i in range(CHUNK + 3)]
    store = make(tmp_path / "s", tokenizer, iter(pairs))
    last = len(store) - 1
    assert store.target.text(last) == str(-last)
    assert store.source.ids(last).tolist() == tokenizer.source.encode([str(last)])[0]


def test_a_store_is_made_once_and_then_opened(tmp_path: Path, tokenizer: Tokenizer) -> None:
    made = make(tmp_path / "s", tokenizer)

    def unread() -> Iterator[Pair]:
        raise AssertionError("the corpus was read again")

    opened = open_store(tmp_path / "s", unread, tokenizer, max_length=40, keep_text=True)
    assert opened.facts == made.facts


FILES = [f"{s}.{kind}" for s in ("source", "target") for kind in ("ids", "offsets", "text")]


@pytest.mark.parametrize("damage", ["emptied", "cut off", "longer", "missing"])
@pytest.mark.parametrize("name", [*FILES, "target.text_offsets", "facts.json", "journal.json"])
def test_incomplete_store_is_made_again_with_a_message(
    tmp_path: Path, tokenizer: Tokenizer, name: str, damage: str
) -> None:
    folder = tmp_path / "s"
    facts = make(folder, tokenizer).facts
    content = (folder / name).read_bytes()
    changed = {"emptied": b"", "cut off": content[:-1], "longer": content + b"x"}
    if damage == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(changed[damage])
    messages: list[str] = []
    for _ in range(2):
        store = open_store(
            folder, lambda: PAIRS, tokenizer, max_length=40, keep_text=True, report=messages.append
        )
        assert store.facts == facts and list(store.pairs()) == SHORT
    assert messages == [
        f"{folder}: this part of the cache is damaged or incomplete; making it again."
    ]
    assert (folder / name).read_bytes() == content


def test_the_arrays_stay_on_disk(tmp_path: Path, tokenizer: Tokenizer) -> None:
    assert isinstance(make(tmp_path / "s", tokenizer).source.offsets.base, np.memmap)


def test_error_if_no_pair_is_left_names_the_reasons(tmp_path: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError) as caught:
        make(tmp_path / "s", tokenizer, PAIRS[2:6])
    assert str(caught.value) == (
        "No pair is left to train on. Pairs with an empty side: 2; with a side of more than "
        "data.max_length 40 pieces: 2."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [DataError, ZeroDivisionError])
def test_failed_store_leaves_no_files(
    tmp_path: Path, tokenizer: Tokenizer, error: type[BaseException]
) -> None:
    def breaks_off() -> Iterator[Pair]:
        yield from SHORT
        raise error

    with pytest.raises(error):
        make(tmp_path / "s", tokenizer, breaks_off())
    assert list(tmp_path.iterdir()) == []
    assert len(make(tmp_path / "s", tokenizer)) == 3


def test_full_disk_leaves_no_files_and_gives_one_sentence(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(DataError) as caught:
        make(tmp_path / "s", tokenizer)
    assert str(caught.value) == (
        f"{tmp_path}: cannot keep files here: No space left on device. Free some space, or "
        "set XDG_CACHE_HOME to another folder."
    )
    assert list(tmp_path.iterdir()) == []


def test_impossible_cache_folder_is_named(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"/file: cannot keep files here: .*\.$"):
        make(tmp_path / "file/s", tokenizer)


class TestDigest:
    def test_depends_on_ids_and_not_on_kept_text(
        self, tmp_path: Path, tokenizer: Tokenizer
    ) -> None:
        with_text = make(tmp_path / "a", tokenizer).facts.digest
        without = make(tmp_path / "b", tokenizer, keep_text=False).facts.digest
        assert with_text == without

    def test_depends_on_order_and_pairing(self, tmp_path: Path, tokenizer: Tokenizer) -> None:
        swapped = [Pair(SHORT[0].source, SHORT[1].target), Pair(SHORT[1].source, SHORT[0].target)]
        digests = {
            make(tmp_path / str(i), tokenizer, pairs).facts.digest
            for i, pairs in enumerate([SHORT[:2], SHORT[1::-1], swapped])
        }
        assert len(digests) == 3

    def test_depends_on_where_rows_end(self, tmp_path: Path, tokenizer: Tokenizer) -> None:
        ids = tokenizer.source.encode(["a b c d"])[0]
        cut = [tokenizer.source.decode([part])[0] for part in (ids[:4], ids[4:], ids[:2], ids[2:])]
        one, other = [Pair(cut[0], "x"), Pair(cut[1], "x")], [Pair(cut[2], "x"), Pair(cut[3], "x")]
        digests = {
            make(tmp_path / str(i), tokenizer, pairs).facts.digest
            for i, pairs in enumerate([one, other])
        }
        assert len(digests) == 2


class TestKey:
    def key(self, tokenizer: Tokenizer, folder: Path, **settings: object) -> str:
        data = DataConfig(
            source_language="en",
            target_language="de",
            folder=str(folder),
            train=TsvFiles(tsv="t.tsv"),
            validation=TsvFiles(tsv="t.tsv"),
        )
        return store_key(fingerprint(data, "train"), tokenizer, **settings)

    def test_is_the_same_while_nothing_changes(self, tmp_path: Path, tokenizer: Tokenizer) -> None:
        (tmp_path / "t.tsv").write_text("a\tb\n")
        assert self.key(tokenizer, tmp_path) == self.key(tokenizer, tmp_path)

    def test_changes_with_the_file(self, tmp_path: Path, tokenizer: Tokenizer) -> None:
        file = tmp_path / "t.tsv"
        keys = set()
        for text, time in (("a\tb\n", 1), ("a\tbc\n", 1), ("a\tcb\n", 2)):
            file.write_text(text)
            os.utime(file, ns=(time, time))
            keys.add(self.key(tokenizer, tmp_path))
        assert len(keys) == 3

    def test_depends_on_the_text_even_if_a_setting_has_its_name(self, tokenizer: Tokenizer) -> None:
        one, other = (store_key({"path": p}, tokenizer, text=True, format=3) for p in "ab")
        assert one != other

    def test_changes_with_tokenizer_and_settings(
        self, tmp_path: Path, tokenizer: Tokenizer
    ) -> None:
        (tmp_path / "t.tsv").write_text("a\tb\n")
        joint = Tokenizer(tokenizer.source, tokenizer.source)
        keys = {
            self.key(t, tmp_path, max_length=length, text=text)
            for t, length, text in itertools.product((tokenizer, joint), (40, None), (True, False))
        }
        assert len(keys) == 8

    def test_is_a_valid_file_name(self, tmp_path: Path, tokenizer: Tokenizer) -> None:
        (tmp_path / "t.tsv").write_text("a\tb\n")
        assert self.key(tokenizer, tmp_path).isalnum()
