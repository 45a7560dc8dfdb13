"""User-interface texts of Home Assistant, as a TensorFlow Datasets set: `home_assistant/en_es`.

A parallel text of moderate size for first runs. Every Python package index serves it, so it is
available even where other downloads are not. The texts come from one wheel, pinned by version and
SHA-256, so the set is the same everywhere.

User interfaces repeat themselves. Each English sentence is kept once, and near-duplicates ("Zone 1
name", "Zone 2 name") fall into the same split, so that the test set measures translation and not
memory. The split of an English sentence does not depend on the other language.

The text is by the Home Assistant authors, under Apache-2.0: see NOTICE-home-assistant.txt here.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from translator.errors import DataError
from translator.files import sha256

REQUIREMENT = "homeassistant==2026.11.0"
WHEEL_NAME = "homeassistant-2026.11.0-py3-none-any.whl"
SHA256 = "7ca5fbde9dea879ac7723949fc84347aac5182e6309c357b2e4973fd391b00f7"

LANGUAGES = (
    *("cs", "de", "el", "es", "et", "fr", "ga", "gl", "hu", "it", "ja", "ko", "lt", "nl", "pt"),
    *("ru", "sk", "sr-Latn", "sv", "tr", "zh-Hans", "zh-Hant"),
)
"""Languages with more than 10,000 pairs (pt-BR has a quarter of those of pt)."""

NUM_WORDS = range(2, 26)
"""Number of words that an English sentence may have."""

HELD_OUT_ONE_IN = 40
"""One in this many sentences goes to validation, and as many to test."""

_MARKUP = re.compile(r"[{}\[\]<>|\\*%$`]|https?://|www\.", re.IGNORECASE)
_LINE_BREAK = re.compile(r"[\r\n]")
_NOT_LETTERS = re.compile(r"[\W\d_]+")

Key = tuple[str, ...]
Texts = dict[Key, str]


class HomeAssistant(tfds.core.GeneratorBasedBuilder):
    """English and one other language. `wheel` is a copy on disk; without it, pip downloads one."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": f"The texts of {REQUIREMENT}."}  # noqa: RUF012  (as tfds wants it)
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name=f"en_{language}", description=f"English and {language}.")
        for language in LANGUAGES
    ]

    # Where tfds looks for checksums of downloads (there are none). By default tfds 4.9.10 finds it
    # with importlib_resources, a package that it uses without requiring it.
    code_path = Path(__file__)

    def __init__(self, *, wheel: str | Path | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._original_state["wheel"] = wheel  # arguments from which a builder is unpickled
        self._wheel = None if wheel is None else Path(wheel)

    def _info(self) -> tfds.core.DatasetInfo:
        languages = ("en", self.builder_config.name.removeprefix("en_"))
        return tfds.core.DatasetInfo(
            builder=self,
            description="User-interface texts of Home Assistant and their translations.",
            features=tfds.features.Translation(languages=languages),
            supervised_keys=languages,
            homepage="https://www.home-assistant.io",
            license="Apache-2.0",
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[str, dict[str, str]]]]:
        wheel = verified(self._wheel or fetched(Path(dl_manager.download_dir)))
        language = self.builder_config.name.removeprefix("en_")
        english, other = read_texts(wheel, "en"), read_texts(wheel, language)
        splits = split_pairs(one_translation_each(usable_pairs(english, other)))
        return {name: self._generate_examples(language, pairs) for name, pairs in splits.items()}

    def _generate_examples(
        self, language: str, pairs: Mapping[str, str]
    ) -> Iterator[tuple[str, dict[str, str]]]:
        for english, other in pairs.items():
            yield english, {"en": english, language: other}


def fetched(folder: Path) -> Path:
    """The wheel in `folder`, downloaded by pip if it is not there. Raises DataError."""
    wheel = folder / WHEEL_NAME
    if not wheel.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
        # The wheel is read, not run, so the Python that it requires does not matter. It is kept
        # here, so pip need not cache a second copy.
        command += ["--only-binary=:all:", "--ignore-requires-python", "--no-cache-dir"]
        command += ["--dest", str(folder.resolve()), REQUIREMENT]
        # cwd: `python -m` would first import modules from the user's working directory.
        done = subprocess.run(command, capture_output=True, check=False, cwd=folder)
        if done.returncode != 0 or not wheel.exists():
            raise DataError(
                f"data.dataset: home_assistant is made from the wheel {REQUIREMENT}, which pip "
                "could not download; name a copy on disk with data.wheel (--set data.wheel=PATH)"
            )
    return wheel


def verified(wheel: Path) -> Path:
    """`wheel`, if it is the pinned file. Raises DataError."""
    try:
        digest = sha256(wheel)
    except OSError as error:
        raise DataError(
            f"{wheel} cannot be read ({error.strerror}); name {WHEEL_NAME} on disk with data.wheel"
        ) from error
    if digest != SHA256:
        raise DataError(
            f"{wheel} is not {REQUIREMENT} as published (SHA-256 {digest}, should be {SHA256}); "
            "name an intact copy with data.wheel, or delete the file to download it again"
        )
    return wheel


def read_texts(wheel: Path, language: str) -> Texts:
    """All texts of a language, by component and key path."""
    name = re.compile(rf"homeassistant/components/([^/]+)/translations/{re.escape(language)}\.json")
    with zipfile.ZipFile(wheel) as archive:
        return {
            key: text
            for match in map(name.fullmatch, archive.namelist())
            if match
            for key, text in flatten(json.loads(archive.read(match[0])), (match[1],))
        }


def flatten(tree: Mapping[str, Any], path: Key = ()) -> Iterator[tuple[Key, str]]:
    """Yield the texts in nested mappings, each with its path of keys."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, (*path, key))
        elif isinstance(value, str):
            yield (*path, key), value


def usable_pairs(english: Texts, other: Texts) -> Iterator[tuple[str, str]]:
    """Yield the usable pairs of texts with the same key, in sorted order of the keys."""
    for key in sorted(english.keys() & other.keys()):
        if is_usable(english[key], other[key]):
            yield english[key], other[key]


def is_usable(english: str, other: str) -> bool:
    """Whether a pair is a sentence and its translation, without placeholders or markup."""
    return (
        english != other
        and len(english.split()) in NUM_WORDS
        and bool(other.strip())
        and not any(_MARKUP.search(text) or _LINE_BREAK.search(text) for text in (english, other))
    )


def one_translation_each(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Each English sentence with its most frequent translation (the first of equals), sorted."""
    translations: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for english, other in pairs:
        translations[english][other] += 1
    # Counter.most_common keeps equals in order of insertion.
    return {english: translations[english].most_common(1)[0][0] for english in sorted(translations)}


def split_pairs(pairs: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The pairs by split, in the given order."""
    splits: dict[str, dict[str, str]] = {"train": {}, "validation": {}, "test": {}}
    for english, other in pairs.items():
        splits[split_name(english)][english] = other
    return splits


def split_name(english: str) -> str:
    """The split of a sentence, from a hash of its letters alone.

    Sentences that differ only in digits, case and punctuation are in the same split.
    """
    letters = _NOT_LETTERS.sub(" ", english.casefold()).strip()
    draw = int.from_bytes(hashlib.sha256(letters.encode()).digest()[:8], "big") % HELD_OUT_ONE_IN
    return {0: "validation", 1: "test"}.get(draw, "train")
