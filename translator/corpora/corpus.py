"""What every kind of corpus has and does."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from translator.corpora.lines import file_errors
from translator.section import LocalPath, OptionalLocalPath, Positive, Section

TAG = r"<[A-Za-z0-9_.:-]+>"
"""Regular expression for a tag."""

RESERVED_TAGS = ("<s>", "<pad>", "<unk>")
"""Names of a vocabulary's own pieces, which no tag may have. Nor may a tag look like a byte, <0x00>
to <0xFF>; </s> is no tag by its form."""


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str


def _is_tag(text: str) -> str:
    if re.fullmatch(TAG, text) and text not in RESERVED_TAGS and not text.startswith("<0x"):
        return text
    raise PydanticCustomError("tag", "a word in angle brackets, such as <2de> or <bt>")


CorpusTag = Annotated[
    str, AfterValidator(_is_tag), WithJsonSchema({"type": "string", "pattern": f"^{TAG}$"})
]


class CorpusContext(Section):
    """The keys of `data` that a corpus may need to find its text."""

    source_language: str
    """Language code of the source, such as en."""
    target_language: str
    """Language code of the target, such as de. BLEU's tokenizer depends on it."""
    dataset: str | None = None
    """Name of a translation set of TensorFlow Datasets, such as ted_hrlr_translate/pt_to_en, or
    home_assistant. With it, a corpus may be a split of the set, such as train or train[:90%]."""
    dataset_folder: OptionalLocalPath = None
    """Folder of prepared TensorFlow Datasets. Default: the one that TensorFlow Datasets uses."""
    wheel: OptionalLocalPath = None
    """Path of the Home Assistant wheel. Set it to prepare the home_assistant set without network;
    by default pip downloads the wheel."""
    folder: LocalPath = "."
    """Folder that the file names of corpora are relative to. It is itself relative to the
    configuration file. Default: the folder of the configuration file."""


class Corpus(Section):
    """A corpus of sentence pairs; the keys that every kind has."""

    tag: CorpusTag | None = None
    """Word in angle brackets that is put in front of every source sentence, such as <2de> for
    translation into German or <bt> for back-translated text. To translate with it, type it in front
    of a sentence: <2de> Good morning"""
    weight: Positive | None = None
    """Share of training pairs that come from this corpus, relative to the weights of the others.
    Only in data.train, and for all of its corpora or none. Without weights, data.temperature
    decides."""

    needs_dataset: ClassVar[bool] = False
    """Whether the text is a part of data.dataset."""

    @classmethod
    def form(cls) -> str:
        """The keys that a corpus of this kind must have, as a user writes them."""
        required = [name for name, field in cls.model_fields.items() if field.is_required()]
        return f"{{{', '.join(f'{name}: …' for name in required)}}}"

    @property
    @abstractmethod
    def location(self) -> str:
        """The (first) file or split; empty if there is none."""

    @abstractmethod
    def read(self, context: CorpusContext, key: str) -> Iterator[Pair]:
        """Yield all pairs in order, empty lines included, without the tag.

        Errors call the corpus `key`, such as data.train[0]. Raises DataError, in some cases only
        after the last pair.
        """

    @abstractmethod
    def facts(self, context: CorpusContext) -> dict[str, object]:
        """JSON values that differ if the text may have changed, computed without reading it.

        Raises DataError.
        """

    @property
    def files(self) -> list[str]:
        """The files that hold the text, as the configuration names them; none for a split."""
        values = [getattr(self, key) for key in self.path_keys()]
        return [name for value in values for name in ([value] if isinstance(value, str) else value)]

    @property
    def name(self) -> str:
        """The tag, and the name of the (first) file or split."""
        name = Path(self.location).name
        return f"{self.tag} {name}" if self.tag else name


def resolve_paths(context: CorpusContext, names: str | Sequence[str]) -> list[Path]:
    """The files of a key that names one or several, relative to data.folder."""
    return [Path(context.folder, name) for name in ([names] if isinstance(names, str) else names)]


def first_path(names: str | Sequence[str]) -> str:
    """The first file of a key that names one or several; empty if there is none."""
    return names if isinstance(names, str) else next(iter(names), "")


def file_facts(path: Path) -> dict[str, object]:
    """Path, size and times of a file. They differ if its content may have changed."""
    with file_errors(path):
        if path.is_dir():
            raise IsADirectoryError
        facts = path.stat()
    return {
        "path": str(path.resolve()),
        "size": facts.st_size,
        "times": [facts.st_mtime_ns, facts.st_ctime_ns],
    }
