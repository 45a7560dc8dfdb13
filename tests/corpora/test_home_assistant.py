"""The Home Assistant set, made from an invented wheel with a patched SHA-256."""

import hashlib
import json
import pickle
import subprocess
import zipfile
from pathlib import Path
from unittest import mock

import pytest
import tensorflow_datasets as tfds

from translator.config.schema import DataConfig
from translator.corpora import home_assistant
from translator.corpora.home_assistant import (
    HomeAssistant,
    fetched,
    flatten,
    is_usable,
    one_translation_each,
    read_texts,
    split_name,
    split_pairs,
    usable_pairs,
    verified,
)
from translator.data.corpus import Pair, fingerprint, read_pairs
from translator.errors import DataError

TRAIN, VALIDATION, TEST = "Paint the door", "Open the door", "Clean the lamp"

TEXTS = {
    "en": {
        "door": {"title": TRAIN, "one_word": "Door", "steps": {"open": {"title": VALIDATION}}},
        "lamp": {"title": TEST, "placeholder": "Clean {name} now", "only_english": "Buy a lamp"},
    },
    "es": {
        "door": {"title": "Pinta", "one_word": "Puerta", "steps": {"open": {"title": "Abre"}}},
        "lamp": {"title": "Limpia", "placeholder": "Limpia {name} ya", "only_spanish": "Nada"},
    },
}


def write_wheel(folder: Path) -> Path:
    wheel = folder / home_assistant.WHEEL_NAME
    with zipfile.ZipFile(wheel, "w") as archive:
        for language, folders in TEXTS.items():
            for name, texts in folders.items():
                path = f"homeassistant/components/{name}/translations/{language}.json"
                archive.writestr(path, json.dumps(texts))
        archive.writestr("homeassistant/components/door/strings.json", '{"title": "Not this"}')
        archive.writestr("homeassistant/translations/en.json", '{"title": "Nor this"}')
    return wheel


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An invented wheel, with its SHA-256 in place of the real one."""
    path = write_wheel(tmp_path)
    monkeypatch.setattr(home_assistant, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def config(folder: Path, **changes: object) -> DataConfig:
    values: dict[str, object] = {
        "source_language": "en",
        "target_language": "es",
        "dataset": "home_assistant",
        "dataset_folder": str(folder / "sets"),
        "train": "train",
        "validation": "validation",
        "test": "test",
    }
    return DataConfig.model_validate(values | changes)


def error_of(data: DataConfig) -> str:
    with pytest.raises(DataError) as caught:
        list(read_pairs(data, "train"))
    return str(caught.value)


class TestTexts:
    def test_flatten_keeps_the_path_of_each_text(self) -> None:
        tree = {"a": {"b": "one", "c": {"d": "two"}}, "e": "three", "f": {}, "g": 7}
        assert list(flatten(tree, ("top",))) == [
            (("top", "a", "b"), "one"),
            (("top", "a", "c", "d"), "two"),
            (("top", "e"), "three"),
        ]

    def test_are_read_from_the_translations_of_components(self, wheel: Path) -> None:
        assert read_texts(wheel, "es") == {
            ("door", "title"): "Pinta",
            ("door", "one_word"): "Puerta",
            ("door", "steps", "open", "title"): "Abre",
            ("lamp", "title"): "Limpia",
            ("lamp", "placeholder"): "Limpia {name} ya",
            ("lamp", "only_spanish"): "Nada",
        }

    def test_are_joined_on_their_keys(self) -> None:
        english = {("b",): "the b", ("a", "x"): "the a", ("c",): "the c"}
        other = {("a", "x"): "la a", ("b",): "la b", ("d",): "la d"}
        assert list(usable_pairs(english, other)) == [("the a", "la a"), ("the b", "la b")]


class TestUsable:
    @pytest.mark.parametrize(
        ("english", "other"),
        [
            ("two words", "dos"),
            (" ".join(["word"] * 25), "palabra"),
            ("two  words ", " dos"),
            ("50 #, 'quoted' (so)", "sí; ¿no? — «así» 100 € & www"),
        ],
    )
    def test(self, english: str, other: str) -> None:
        assert is_usable(english, other)

    @pytest.mark.parametrize(
        ("english", "other"),
        [
            ("the same", "the same"),
            ("one-word", "una"),
            (" ".join(["word"] * 26), "palabra"),
            ("", "nada"),
            ("no translation", ""),
            ("no translation", "  "),
            ("two\nlines", "dos"),
            ("two lines", "dos\rlíneas"),
            ("at http://example.org", "allí"),
            ("at there", "HTTPS://example.org"),
            ("at WWW.example.org", "allí"),
        ],
    )
    def test_not(self, english: str, other: str) -> None:
        assert not is_usable(english, other)

    @pytest.mark.parametrize("character", r"{}[]<>|\*%$`")
    def test_markup_on_neither_side(self, character: str) -> None:
        assert not is_usable(f"with {character}", "sin")
        assert not is_usable("with out", f"con {character}")


class TestOneTranslation:
    def test_is_the_most_frequent(self) -> None:
        pairs = [("b", "x"), ("b", "y"), ("b", "y"), ("a", "z")]
        assert list(one_translation_each(pairs).items()) == [("a", "z"), ("b", "y")]

    def test_is_the_first_of_equals(self) -> None:
        assert one_translation_each([("a", "y"), ("a", "x"), ("a", "x"), ("a", "y")]) == {"a": "y"}


class TestSplits:
    def test_are_always_the_same(self) -> None:
        assert [split_name(sentence) for sentence in (TRAIN, VALIDATION, TEST)] == [
            "train",
            "validation",
            "test",
        ]

    @pytest.mark.parametrize(
        "twin",
        ["open THE door", "Open the door 2", "“Open: the_door!”", " 1. Open  the door: 37 "],
    )
    def test_near_duplicates_are_in_the_same_split(self, twin: str) -> None:
        assert split_name(twin) == "validation"

    def test_a_fortieth_goes_to_validation_and_to_test(self) -> None:
        letters = "abcdefghijklmnopqrstuvwxyz"
        sentences = {a + b + c: "" for a in letters for b in letters for c in letters}
        sizes = {name: len(pairs) for name, pairs in split_pairs(sentences).items()}
        assert sum(sizes.values()) == 26**3 == 17576
        assert sizes["validation"] == pytest.approx(17576 / 40, rel=0.15)
        assert sizes["test"] == pytest.approx(17576 / 40, rel=0.15)


class TestWheel:
    def test_on_disk_is_not_fetched_again(
        self, tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(subprocess, "run", None)
        assert fetched(tmp_path) == wheel

    def test_is_fetched_into_the_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commands = []

        def pip(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
            commands.append(command)
            write_wheel(Path(command[command.index("--dest") + 1]))
            return subprocess.CompletedProcess(command, 0)

        monkeypatch.setattr(subprocess, "run", pip)
        assert fetched(tmp_path / "new") == tmp_path / "new" / home_assistant.WHEEL_NAME
        assert commands[0][1:4] == ["-m", "pip", "download"]
        assert commands[0][-1] == home_assistant.REQUIREMENT

    @pytest.mark.parametrize("python", ["false", "true"])
    def test_failed_download_is_reported(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
        python: str,
    ) -> None:
        monkeypatch.setattr("sys.executable", python)  # fails; succeeds, but leaves nothing
        assert error_of(config(tmp_path)) == (
            "data.dataset: home_assistant is made from the wheel homeassistant==2026.11.0, which "
            "pip could not download; name a copy on disk with data.wheel (--set data.wheel=PATH)"
        )
        assert capfd.readouterr() == ("", "")

    def test_must_be_the_published_one(self, tmp_path: Path) -> None:
        other = write_wheel(tmp_path)
        message = error_of(config(tmp_path, wheel=str(other)))
        assert message.startswith(f"{other} is not homeassistant==2026.11.0 as published (SHA-256 ")
        assert home_assistant.SHA256 in message

    def test_must_exist(self, tmp_path: Path) -> None:
        message = error_of(config(tmp_path, wheel="/nowhere/at/all.whl"))
        assert message == (
            "/nowhere/at/all.whl cannot be read (No such file or directory); "
            "name homeassistant-2026.11.0-py3-none-any.whl on disk with data.wheel"
        )

    def test_is_returned_when_verified(self, wheel: Path) -> None:
        assert verified(wheel) == wheel


class TestAsCorpus:
    def test_needs_no_wheel_once_prepared(
        self, tmp_path: Path, wheel: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert list(read_pairs(config(tmp_path, wheel=str(wheel)), "train")) == [
            Pair(TRAIN, "Pinta")
        ]
        wheel.unlink()
        data = config(tmp_path)
        assert list(read_pairs(data, "validation")) == [Pair(VALIDATION, "Abre")]
        assert list(read_pairs(data, "test")) == [Pair(TEST, "Limpia")]
        assert capfd.readouterr().out == ""

    def test_reads_both_ways_and_slices(self, tmp_path: Path, wheel: Path) -> None:
        data = config(
            tmp_path,
            wheel=str(wheel),
            source_language="es",
            target_language="en",
            train="train+validation+test[:100%]",
        )
        assert set(read_pairs(data, "train")) == {
            Pair("Pinta", TRAIN),
            Pair("Abre", VALIDATION),
            Pair("Limpia", TEST),
        }

    def test_reads_array_records_too(self, tmp_path: Path, wheel: Path) -> None:
        pytest.importorskip("array_record")
        data = config(tmp_path, wheel=str(wheel))
        builder = tfds.builder("home_assistant/en_es", data_dir=data.dataset_folder, wheel=wheel)
        builder.download_and_prepare(file_format="array_record")
        assert list(read_pairs(data, "train")) == [Pair(TRAIN, "Pinta")]
        assert error_of(config(tmp_path, train="dev")).startswith(
            "data.train: home_assistant/en_es/1.0.0 has no pairs in 'dev'; "
        )

    @pytest.mark.parametrize("split", ["dev", "train[:", "train[:0]", "train[90%:80%]", ""])
    def test_unknown_split_is_refused(self, tmp_path: Path, wheel: Path, split: str) -> None:
        assert error_of(config(tmp_path, wheel=str(wheel), train=split)) == (
            f"data.train: home_assistant/en_es/1.0.0 has no pairs in '{split}'; its splits are "
            "test, train, validation, and slices of them such as test[:90%]"
        )

    @pytest.mark.parametrize(
        "damage", ["missing", "cut off", "no description", "no folder content"]
    )
    def test_damaged_files_are_refused(self, tmp_path: Path, wheel: Path, damage: str) -> None:
        data = config(tmp_path, wheel=str(wheel))
        list(read_pairs(data, "train"))
        folder = tmp_path / "sets/home_assistant/en_es/1.0.0"
        (records,) = folder.glob("*train*")
        match damage:
            case "missing":
                records.unlink()
            case "cut off":
                records.write_bytes(records.read_bytes()[:-3])
            case "no description":
                (folder / "dataset_info.json").write_text("{")
            case "no folder content":
                for path in folder.iterdir():
                    path.unlink()
        message = error_of(data)
        assert "damaged" in message
        assert "to prepare it again" in message

    def test_unknown_language_pair_is_refused(self, tmp_path: Path) -> None:
        assert error_of(config(tmp_path, source_language="de", target_language="fr")).startswith(
            "data.dataset: home_assistant/en_de/1.0.0 has no 'fr', only de, en; "
        )
        assert error_of(config(tmp_path, target_language="tlh")).startswith(
            "data.dataset: there is no 'home_assistant/en_tlh'; "
        )

    def test_fingerprint_depends_on_direction(self, tmp_path: Path) -> None:
        there = fingerprint(config(tmp_path), "train")
        back = fingerprint(config(tmp_path, source_language="es", target_language="en"), "train")
        assert there["dataset"] == back["dataset"] == "home_assistant/en_es/1.0.0"
        assert there != back


def test_a_builder_keeps_its_wheel_when_pickled(tmp_path: Path) -> None:
    builder = HomeAssistant(config="en_es", data_dir=tmp_path, wheel="a.whl")
    assert pickle.loads(pickle.dumps(builder))._wheel == Path("a.whl")


def test_works_as_a_builder_of_tensorflow_datasets(tmp_path: Path, wheel: Path) -> None:
    builder = tfds.builder("home_assistant/en_es", data_dir=tmp_path, wheel=wheel)
    builder.download_and_prepare()
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
        "train": 1,
        "validation": 1,
        "test": 1,
    }
    (example,) = tfds.as_numpy(builder.as_dataset(split="test"))
    assert example == {"en": TEST.encode(), "es": b"Limpia"}
    assert sorted(builder.info.features.keys()) == ["en", "es"]
    assert builder.info.redistribution_info.license == "Apache-2.0"


class TestWithTheTestCaseOfTensorFlowDatasets(tfds.testing.DatasetBuilderTestCase):
    """The checks of tfds for every set: registration, keys, types, disjoint splits, reading."""

    DATASET_CLASS = HomeAssistant
    BUILDER_CONFIG_NAMES_TO_TEST = ["en_es"]  # noqa: RUF012  (as tfds wants it)
    SPLITS = {"train": 1, "validation": 1, "test": 1}  # noqa: RUF012
    EXAMPLE_DIR = Path(__file__).parent
    SKIP_CHECKSUMS = True
    MOCK_OUT_FORBIDDEN_OS_FUNCTIONS = False

    def _make_builder(self, config: str | None = None) -> HomeAssistant:
        wheel = write_wheel(Path(self.tmp_dir))
        sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
        self.enter_context(mock.patch.object(home_assistant, "SHA256", sha256))
        return HomeAssistant(data_dir=self.tmp_dir, config=config or "en_es", wheel=wheel)
