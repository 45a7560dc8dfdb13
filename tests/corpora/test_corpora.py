"""Lines end at line feeds, pairs stay aligned, and each bad input gives one sentence."""

import builtins
import gzip
import io
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds

from translator.config.schema import DataConfig, Split
from translator.corpora.corpus import Corpus
from translator.corpora.lines import is_blank, read_lines, read_stream
from translator.corpora.text_files import TextFiles
from translator.corpora.tfds_split import TfdsSplit
from translator.corpora.tsv_files import TsvFiles
from translator.data.corpus import Pair, fingerprint, read_pairs
from translator.errors import DataError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Write = Callable[[str, bytes], str]
ErrorAbout = Callable[[str], str]
Damage = Callable[[bytes], bytes]


def file_config(folder: Path, train: Split) -> DataConfig:
    return DataConfig(
        source_language="en",
        target_language="de",
        folder=str(folder),
        train=train,
        validation=train,
    )


def set_config(**changes: object) -> DataConfig:
    values: dict[str, object] = {
        "source_language": "pt",
        "target_language": "en",
        "dataset": "ted_hrlr_translate/pt_to_en",
        "train": "train",
        "validation": "validation",
    }
    return DataConfig.model_validate(values | changes)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file into the folder of the corpus."""

    def write_file(name: str, content: bytes) -> str:
        raw = gzip.compress(content) if name.endswith(".gz") else content
        (tmp_path / name).write_bytes(raw)
        return name

    return write_file


def pairs_of(folder: Path, train: Split) -> list[Pair]:
    return list(read_pairs(file_config(folder, train), "train"))


def error_of(folder: Path, train: Split) -> str:
    with pytest.raises(DataError) as caught:
        pairs_of(folder, train)
    return str(caught.value)


def error_of_set(data: DataConfig) -> str:
    with pytest.raises(DataError) as caught:
        list(read_pairs(data, "train"))
    return str(caught.value)


class TestLines:
    @pytest.mark.parametrize(
        ("content", "lines"),
        [
            (b"", []),
            (b"\n", [""]),
            (b"a\nb\n", ["a", "b"]),
            (b"a\nb", ["a", "b"]),
            (b"a\n\nb\n\n", ["a", "", "b", ""]),
            (b"a\r\nb\r\n", ["a", "b"]),
            (b"a\r\r\n", ["a\r"]),
            (b"a\rb\n", ["a\rb"]),
            (BYTE_ORDER_MARK + b"a\n" + BYTE_ORDER_MARK + b"b\n", ["a", "\ufeffb"]),
            (
                "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n".encode(),
                ["a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"],
            ),
            (b" a\t\n", [" a\t"]),
        ],
    )
    def test_end_at_line_feeds_only(
        self, tmp_path: Path, write: Write, content: bytes, lines: list[str]
    ) -> None:
        assert list(read_lines(tmp_path / write("text", content))) == lines
        assert list(read_lines(tmp_path / write("text.gz", content))) == lines
        assert list(read_stream(io.BytesIO(content), "standard input")) == lines

    def test_that_are_not_utf8_are_named_by_number(self) -> None:
        with pytest.raises(
            DataError, match=r"^standard input, line 2: not UTF-8 \(byte 0xe9\); .*iconv"
        ):
            list(read_stream(io.BytesIO(b"a\ncaf\xe9\n"), "standard input"))


class TestTextFiles:
    def test_line_i_translates_line_i(self, tmp_path: Path, write: Write) -> None:
        split = TextFiles(source=write("a.en", b"one\ntwo\n"), target=write("a.de", b"eins\nzwei"))
        assert pairs_of(tmp_path, split) == [Pair("one", "eins"), Pair("two", "zwei")]

    def test_empty_lines_are_kept(self, tmp_path: Path, write: Write) -> None:
        split = TextFiles(source=write("a.en", b"a\n\n\n"), target=write("a.de", b"\nb\n\n"))
        assert pairs_of(tmp_path, split) == [Pair("a", ""), Pair("", "b"), Pair("", "")]

    def test_several_files_are_read_one_after_the_other(self, tmp_path: Path, write: Write) -> None:
        split = TextFiles(
            source=[write("1.en", b"one\n"), write("2.en.gz", BYTE_ORDER_MARK + b"two\n")],
            target=[write("1.de.gz", b"eins\n"), write("2.de", b"zwei\r\n")],
        )
        assert pairs_of(tmp_path, split) == [Pair("one", "eins"), Pair("two", "zwei")]

    def test_absolute_names_stay_as_they_are(self, tmp_path: Path, write: Write) -> None:
        name = str(tmp_path / write("a", b"a\n"))
        assert pairs_of(Path("/elsewhere"), TextFiles(source=name, target=name)) == [Pair("a", "a")]

    @pytest.mark.parametrize(("num_source", "num_target"), [(3, 2), (2, 5)])
    def test_of_different_length_name_both_counts(
        self, tmp_path: Path, write: Write, num_source: int, num_target: int
    ) -> None:
        split = TextFiles(
            source=write("a.en", b"x\n" * num_source), target=write("a.de", b"x\n" * num_target)
        )
        assert error_of(tmp_path, split) == (
            f"{tmp_path}/a.en and {tmp_path}/a.de must have equally many lines, but have "
            f"{num_source} and {num_target}: line i of one translates line i of the other"
        )

    def test_both_sides_need_equally_many_files(self, tmp_path: Path, write: Write) -> None:
        split = TextFiles(source=[write("1", b"a\n"), write("2", b"a\n")], target="1")
        assert error_of(tmp_path, split).startswith(
            "data.train names 2 source and 1 target files; "
        )

    def test_empty_lists_are_refused(self, tmp_path: Path) -> None:
        assert error_of(tmp_path, TextFiles(source=[], target=[])).startswith(
            "data.train has no pairs; "
        )

    @pytest.mark.parametrize("empty", ["source", "target"])
    def test_without_lines(self, tmp_path: Path, write: Write, empty: str) -> None:
        content = {"source": b"a\n", "target": b"a\n", empty: b""}
        split = TextFiles(
            source=write("source", content["source"]), target=write("target", content["target"])
        )
        assert error_of(tmp_path, split) == (
            f"{tmp_path}/{empty} has no lines; name a file with text"
        )

    @pytest.mark.parametrize("empty", ["source", "target"])
    def test_with_one_empty_side(self, tmp_path: Path, write: Write, empty: str) -> None:
        content = {"source": b"a\nb\n", "target": b"a\nb\n", empty: b"\n  \n"}
        split = TextFiles(
            source=write("source", content["source"]), target=write("target", content["target"])
        )
        assert error_of(tmp_path, split) == (
            f"data.train has an empty side: every line of its {empty} is empty; "
            "check which files or columns it names"
        )

    def test_that_are_not_utf8(self, tmp_path: Path, write: Write) -> None:
        split = TextFiles(source=write("a.en", b"a\nb\n"), target=write("a.de", b"a\n\xfc\n"))
        assert error_of(tmp_path, split) == (
            f"{tmp_path}/a.de, line 2: not UTF-8 (byte 0xfc); convert the text from its "
            "encoding, Western European text for example with: iconv -f LATIN1 -t UTF-8; or "
            "download it again if only this place is damaged"
        )


@pytest.mark.parametrize(
    ("text", "blank"),
    [
        ("", True),
        (" \t\u00a0\u2003\u3000", True),
        ("\u200b", True),
        ("\ufeff\u200d \u2060", True),
        ("\u00ad", True),
        ("\u3164\u115f\uffa0", True),  # Hangul fillers, letters by their category
        ("\ufe0f\U000e0100", True),  # variation selectors without a character
        ("\u2800", True),
        ("\0\x1b\x85", True),
        ("\u200e.", False),
        ("\u0301", False),  # an accent without a letter shows
        ("\u06dd", False),  # a format character that shows
        ("❤\ufe0f", False),
        ("\ufffd", False),
    ],
)
def test_is_blank(text: str, blank: bool) -> None:
    assert is_blank(text) == blank


class TestUnreadableFiles:
    """Reading and fingerprinting give the same error."""

    @pytest.fixture(params=["read", "look"])
    def error(self, request: pytest.FixtureRequest, tmp_path: Path) -> ErrorAbout:
        def error_about(name: str) -> str:
            data = file_config(tmp_path, TextFiles(source=name, target=name))
            touch = {"read": read_pairs, "look": fingerprint}[request.param]
            with pytest.raises(DataError) as caught:
                list(touch(data, "train"))
            return str(caught.value)

        return error_about

    def test_missing(self, tmp_path: Path, error: ErrorAbout) -> None:
        assert error("a") == f"{tmp_path}/a does not exist; check its name and folder"

    @pytest.mark.parametrize("name", ["folder", "folder.gz"])
    def test_folder(self, tmp_path: Path, error: ErrorAbout, name: str) -> None:
        (tmp_path / name).mkdir()
        assert error(name) == f"{tmp_path}/{name} is a folder; name the files in it"

    def test_with_a_nul_in_its_name(self, tmp_path: Path, error: ErrorAbout) -> None:
        assert error("a\0b") == (f"'{tmp_path}/a\\x00b': a file name cannot hold a NUL character.")

    def test_below_a_file(self, tmp_path: Path, write: Write, error: ErrorAbout) -> None:
        write("file", b"a\n")
        assert error("file/a") == f"{tmp_path}/file/a cannot be read: Not a directory"

    def test_forbidden(
        self, tmp_path: Path, write: Write, error: ErrorAbout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*arguments: object, **keywords: object) -> None:
            raise PermissionError(13, "Permission denied")  # root, who may run this, may read all

        name = write("a", b"a\n")
        monkeypatch.setattr(Path, "open", refuse)
        monkeypatch.setattr(Path, "stat", refuse)
        assert error(name) == f"{tmp_path}/a may not be read; change its permissions"


class TestDamagedGzip:
    DAMAGED = "is damaged or not a gzip file; download it again, or remove .gz from its name"

    @pytest.mark.parametrize(
        "damage",
        [
            lambda packed: b"plain text\n",
            lambda packed: packed[:-10],
            lambda packed: packed[:12] + b"\xff" * 8 + packed[20:],
            lambda packed: packed[:-8] + b"\0" * 8,
            lambda packed: packed + b"more",
        ],
        ids=["not gzip", "cut off", "overwritten", "wrong checksum", "something after it"],
    )
    def test_gives_one_sentence(self, tmp_path: Path, damage: Damage) -> None:
        text = b"".join(b"%d\n" % number for number in range(100))
        (tmp_path / "a.gz").write_bytes(damage(gzip.compress(text)))
        message = error_of(tmp_path, TextFiles(source="a.gz", target="a.gz"))
        assert message == f"{tmp_path}/a.gz {self.DAMAGED}"


class TestTsvFiles:
    def test_first_column_is_the_source(self, tmp_path: Path, write: Write) -> None:
        split = TsvFiles(
            tsv=[write("1.tsv", b"one\teins\n"), write("2.tsv.gz", b"\tzwei\r\nb\t\n")]
        )
        assert pairs_of(tmp_path, split) == [Pair("one", "eins"), Pair("", "zwei"), Pair("b", "")]

    @pytest.mark.parametrize(
        ("line", "found"),
        [
            (
                b"no tab",
                "no tab, so one column; data.train needs two: the source, a tab, and the target",
            ),
            (b"", "no tab, so one column; data.train needs two: the source, a tab, and the target"),
            (
                b"a\tb\tc",
                "3 columns; name those of source and target, such as data.train.columns: [1, 2]",
            ),
        ],
    )
    def test_needs_two_columns(self, tmp_path: Path, write: Write, line: bytes, found: str) -> None:
        split = TsvFiles(tsv=write("a.tsv", b"a\tb\n" + line + b"\n"))
        assert error_of(tmp_path, split) == f"{tmp_path}/a.tsv, line 2: {found}"

    @pytest.mark.parametrize(
        ("columns", "pairs"),
        [
            ([1, 2], [Pair("a", "b"), Pair("e", "")]),
            ([3, 1], [Pair("c", "a"), Pair("", "e")]),
        ],
    )
    def test_columns_can_be_named(
        self, tmp_path: Path, write: Write, columns: list[int], pairs: list[Pair]
    ) -> None:
        split = TsvFiles(tsv=write("a.tsv", b"a\tb\tc\td\r\ne\t\t\n"), columns=columns)
        assert pairs_of(tmp_path, split) == pairs

    @pytest.mark.parametrize(
        ("line", "found"), [(b"a\tb", "2 columns"), (b"a", "no tab, so one column")]
    )
    def test_named_columns_must_exist(
        self, tmp_path: Path, write: Write, line: bytes, found: str
    ) -> None:
        split = TsvFiles(tsv=write("a.tsv", b"a\tb\tc\n" + line + b"\n"), columns=[3, 1])
        assert error_of(tmp_path, split) == (
            f"{tmp_path}/a.tsv, line 2: {found}, but data.train.columns names column 3"
        )

    def test_fingerprint_depends_on_columns(self, tmp_path: Path, write: Write) -> None:
        name = write("a.tsv", b"a\tb\tc\n")
        facts = [
            fingerprint(file_config(tmp_path, TsvFiles(tsv=name, columns=columns)), "train")
            for columns in (None, [1, 2], [1, 3])
        ]
        assert all(one not in facts[:i] for i, one in enumerate(facts))
        assert list(facts[0]) == ["tsv"]  # as it was before columns had names

    def test_without_lines(self, tmp_path: Path, write: Write) -> None:
        message = error_of(tmp_path, TsvFiles(tsv=write("a.tsv", b"")))
        assert message == f"{tmp_path}/a.tsv has no lines; name a file with text"

    def test_with_one_side_of_invisible_characters(self, tmp_path: Path, write: Write) -> None:
        message = error_of(tmp_path, TsvFiles(tsv=write("a", "\u200b\ta\n\ufeff\tb\n".encode())))
        assert message.startswith("data.train has an empty side: every line of its source")

    def test_with_one_empty_side(self, tmp_path: Path, write: Write) -> None:
        message = error_of(tmp_path, TsvFiles(tsv=write("a.tsv", b"a\t\nb\t\n")))
        assert message.startswith("data.train has an empty side: every line of its target")


def test_unset_split_is_refused(tmp_path: Path) -> None:
    data = file_config(tmp_path, TsvFiles(tsv="a.tsv"))
    for read in (lambda: list(read_pairs(data, "test")), lambda: fingerprint(data, "test")):
        with pytest.raises(DataError, match=r"^data\.test is not set; "):
            read()


class TestTag:
    def test_is_put_in_front_of_every_source(self, tmp_path: Path, write: Write) -> None:
        split = TsvFiles(tsv=write("a", b"one\teins\ntwo\tzwei\n"), tag="<2de>")
        assert pairs_of(tmp_path, split) == [Pair("<2de> one", "eins"), Pair("<2de> two", "zwei")]

    def test_leaves_an_empty_source_empty(self, tmp_path: Path, write: Write) -> None:
        text = "one\teins\n\tzwei\n \tdrei\n"
        split = TsvFiles(tsv=write("a", text.encode()), tag="<2de>")
        sources = [pair.source for pair in pairs_of(tmp_path, split)]
        assert sources == ["<2de> one", "", " "]

    def test_does_not_make_an_empty_side_count_as_text(self, tmp_path: Path, write: Write) -> None:
        split = TsvFiles(tsv=write("a", b"\teins\n"), tag="<2de>")
        assert "every line of its source is empty" in error_of(tmp_path, split)


class TestSeveralCorpora:
    @pytest.fixture
    def data(self, tmp_path: Path, write: Write) -> DataConfig:
        corpora: list[str | Corpus] = [
            TsvFiles(tsv=write("a.tsv", b"one\teins\n")),
            TextFiles(source=write("b.en", b"two\n"), target=write("b.de", b"zwei\n"), tag="<bt>"),
        ]
        return file_config(tmp_path, corpora)

    def test_are_read_one_after_the_other(self, data: DataConfig) -> None:
        both = [Pair("one", "eins"), Pair("<bt> two", "zwei")]
        assert list(read_pairs(data, "train")) == both
        assert [list(read_pairs(data, "train", i)) for i in (0, 1)] == [both[:1], both[1:]]

    def test_errors_name_the_index(self, data: DataConfig, write: Write) -> None:
        write("a.tsv", b"one\n")
        with pytest.raises(DataError, match=r"; data\.train\[0\] needs two: "):
            list(read_pairs(data, "train"))

    def test_each_has_a_fingerprint_and_so_has_the_list(self, data: DataConfig) -> None:
        first, second = (fingerprint(data, "train", i) for i in (0, 1))
        assert fingerprint(data, "train") == {"corpora": [first, second]}
        assert (first.get("tag"), second["tag"]) == (None, "<bt>")

    def test_list_of_one_corpus_equals_that_corpus(self, tmp_path: Path, write: Write) -> None:
        corpus = TsvFiles(tsv=write("a.tsv", b"one\teins\n"))
        one, listed = file_config(tmp_path, corpus), file_config(tmp_path, [corpus])
        assert list(read_pairs(one, "train")) == list(read_pairs(listed, "train"))
        assert fingerprint(one, "train") == fingerprint(listed, "train")

    def test_may_be_splits_and_files(self, tmp_path: Path, write: Write) -> None:
        files = TsvFiles(tsv=str(tmp_path / write("a", b"one\teins\n")), tag="<bt>")
        data = set_config(train=["train[:90%]", TfdsSplit(split="train", tag="<x>"), files])
        with tfds.testing.mock_data(num_examples=3):
            pairs = list(read_pairs(data, "train"))
            assert fingerprint(data, "train", 1)["tag"] == "<x>"
        assert [pair.source[:4] == "<x> " for pair in pairs] == [False] * 3 + [True] * 3 + [False]
        assert pairs[-1] == Pair("<bt> one", "eins")


@pytest.mark.parametrize(
    ("corpus", "name"),
    [
        (TsvFiles(tsv="texts/a.tsv"), "a.tsv"),
        (TextFiles(source=["x/1.en", "x/2.en"], target=["1.de", "2.de"]), "1.en"),
        (TextFiles(source=[], target=[]), ""),
        (TfdsSplit(split="train[:90%]", tag="<2de>"), "<2de> train[:90%]"),
    ],
)
def test_name_of_a_corpus(corpus: Corpus, name: str) -> None:
    assert corpus.name == name


class TestFingerprint:
    def test_is_json_and_reproducible(self, tmp_path: Path, write: Write) -> None:
        split = TextFiles(source=write("a.en", b"a\n"), target=write("a.de", b"bc\n"))
        data = file_config(tmp_path, split)
        facts = fingerprint(data, "train")
        assert json.loads(json.dumps(facts)) == facts == fingerprint(data, "train")
        assert f'"path": "{tmp_path}/a.de", "size": 3, "times": ' in json.dumps(facts["target"])

    def test_changes_with_size_time_and_side(self, tmp_path: Path, write: Write) -> None:
        write("a", b"a\tb\n")
        data = file_config(tmp_path, TsvFiles(tsv="a"))
        seen = [fingerprint(data, "train")]
        os.utime(tmp_path / "a", ns=(1, 1))
        seen.append(fingerprint(data, "train"))
        write("a", b"a\tbc\n")
        os.utime(tmp_path / "a", ns=(1, 1))
        seen.append(fingerprint(data, "train"))
        write("b", b"a\n")
        for source, target in (("a", "b"), ("b", "a")):
            split = TextFiles(source=source, target=target)
            seen.append(fingerprint(file_config(tmp_path, split), "train"))
        assert all(one not in seen[:i] for i, one in enumerate(seen))

    def test_is_computed_without_reading_the_text(
        self, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = file_config(tmp_path, TsvFiles(tsv=write("a.tsv", b"\xff")))
        monkeypatch.setattr(builtins, "open", None)
        monkeypatch.setattr(Path, "open", None)
        assert fingerprint(data, "train")

    def test_of_a_dataset_names_version_split_languages_and_folder(self, tmp_path: Path) -> None:
        data = set_config(dataset_folder=str(tmp_path), train="train[:90%]")
        assert fingerprint(data, "train") == {
            "dataset": "ted_hrlr_translate/pt_to_en/1.0.0",
            "split": "train[:90%]",
            "languages": ["pt", "en"],
            "folder": str(tmp_path / "ted_hrlr_translate/pt_to_en/1.0.0"),
        }


class TestDatasets:
    @pytest.mark.parametrize("split", ["train", "train[:90%]"])
    def test_languages_determine_the_sides(self, split: str) -> None:
        with tfds.testing.mock_data(num_examples=3):
            there = list(read_pairs(set_config(train=split), "train"))
            back = set_config(train=split, source_language="en", target_language="pt")
            assert [Pair(*reversed(pair)) for pair in read_pairs(back, "train")] == there
        assert len(there) == 3
        assert all(pair.source != pair.target for pair in there)

    def test_without_translation_features_are_refused(self) -> None:
        features = tfds.features.FeaturesDict(
            {
                "id": tfds.features.Scalar(np.int64),
                "pt": tfds.features.Text(),
                "en": tfds.features.Text(),
            }
        )
        ted = tfds.builder_cls("ted_hrlr_translate")
        info = mock.patch.object(
            ted, "_info", lambda self: tfds.core.DatasetInfo(builder=self, features=features)
        )
        with info, tfds.testing.mock_data(num_examples=2):
            assert len(list(read_pairs(set_config(), "train"))) == 2

    def test_without_the_language_are_refused(self) -> None:
        message = error_of_set(set_config(target_language="de"))
        assert message == (
            "data.dataset: ted_hrlr_translate/pt_to_en/1.0.0 has no 'de', only en, pt; "
            "change data.source_language and data.target_language, or the set"
        )

    def test_without_languages_are_refused(self) -> None:
        message = error_of_set(set_config(dataset="mnist"))
        assert message.startswith("data.dataset: mnist/3.0.1 has no 'pt', only image, label; ")

    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            (
                "ted_hrlr_translat/pt_to_en",
                "data.dataset: TensorFlow Datasets has no set 'ted_hrlr_translat/pt_to_en'; "
                "did you mean ted_hrlr_translate?",
            ),
            (
                "home_asistant",
                "data.dataset: TensorFlow Datasets has no set 'home_asistant'; "
                "did you mean home_assistant?",
            ),
            (
                "qqqqqqqqq",
                "data.dataset: TensorFlow Datasets has no set 'qqqqqqqqq', "
                "nor one with a similar name",
            ),
            ("not a name", "data.dataset: there is no 'not a name'; write set/configuration, "),
            (
                "ted_hrlr_translate/en_to_pt",
                "data.dataset: there is no 'ted_hrlr_translate/en_to_pt'; write set/configuration, "
                "without a version; the configurations are az_to_en, aztr_to_en, ",
            ),
            ("ted_hrlr_translate/pt_to_en:9.9.9", "data.dataset: there is no 'ted_hrlr_translate/"),
        ],
    )
    def test_unknown_name_is_refused(self, tmp_path: Path, name: str, sentence: str) -> None:
        data = set_config(dataset=name, dataset_folder=str(tmp_path))
        assert error_of_set(data).startswith(sentence)

    def test_failed_download_gives_one_sentence(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def fail(builder: tfds.core.DatasetBuilder) -> None:
            print("Downloading and preparing dataset…")
            print("0%", file=sys.stderr)
            logging.warning("Retrying…")
            raise ConnectionError("HTTPConnectionPool(host=…): Max retries exceeded")

        ted = tfds.builder_cls("ted_hrlr_translate")
        with mock.patch.object(ted, "download_and_prepare", fail):
            message = error_of_set(set_config(dataset_folder=str(tmp_path)))
        assert message == (
            "data.dataset: ted_hrlr_translate/pt_to_en/1.0.0 could not be downloaded and "
            "prepared (ConnectionError); prepare it on a machine with network and copy it to "
            f"{tmp_path}/ted_hrlr_translate/pt_to_en/1.0.0, or set data.dataset_folder to "
            "the folder that holds prepared sets"
        )
        assert capfd.readouterr() == ("", "")

    def test_missing_package_is_named(self, tmp_path: Path) -> None:
        missing = ModuleNotFoundError("No module named 'apache_beam'", name="apache_beam")
        ted = tfds.builder_cls("ted_hrlr_translate")
        with mock.patch.object(ted, "download_and_prepare", side_effect=missing):
            message = error_of_set(set_config(dataset_folder=str(tmp_path)))
        assert message.startswith(
            "data.dataset: ted_hrlr_translate/pt_to_en/1.0.0 needs the Python package "
            "'apache_beam'; install it, "
        )
