"""What looks wrong with sentences to translate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from translator.config.schema import DataConfig
from translator.corpora.lines import is_blank
from translator.data.tags import TAG_IN_FRONT


class InputChecks:
    """Counts sentences without a tag, with an unknown tag, or with a NUL character.

    A tag is missed only if every training corpus has one.
    """

    def __init__(self, data: DataConfig, tags: Iterable[str]) -> None:
        """tags: those of the source vocabulary."""
        self._tags = sorted(tags)
        self._needs_tag = all(corpus.tag for corpus in data.corpora("train").values())
        self._line = 0
        self._num_untagged = self._first_untagged = 0
        self._num_unknown = 0
        self._first_unknown = ""
        self._num_nul = self._first_nul = 0

    def watch(self, sentences: Iterable[str]) -> Iterator[str]:
        """Yield the sentences unchanged, and check each."""
        for sentence in sentences:
            self._check(sentence)
            yield sentence

    def warnings(self, text: str) -> list[str]:
        """A sentence for each kind of finding so far; `text` is a name such as "the input"."""
        found = self.tag_warnings(text)
        if self._num_nul:
            found.append(
                f"Lines with a NUL character in {text}: {self._num_nul:,}, the first is line "
                f"{self._first_nul:,}. Check that this is text in UTF-8."
            )
        return found

    def tag_warnings(self, text: str) -> list[str]:
        """Those of `warnings` that are about tags."""
        found = []
        if self._num_untagged:
            found.append(
                f"Lines without a tag in {text}: {self._num_untagged:,}, the first is line "
                f"{self._first_untagged:,}. Every training sentence of this run had a tag; put "
                f"{' or '.join(self._tags)} in front."
            )
        if self._num_unknown:
            found.append(
                f"Lines with an unknown tag in {text}: {self._num_unknown:,}, the first is "
                f"{self._first_unknown}. It is read as text. The tags of this run are "
                f"{', '.join(self._tags)}."
            )
        return found

    def _check(self, sentence: str) -> None:
        self._line += 1
        if "\0" in sentence:
            self._num_nul += 1
            self._first_nul = self._first_nul or self._line
        if not self._tags or is_blank(sentence):
            return
        tag = TAG_IN_FRONT.match(sentence)
        if tag is None:
            if self._needs_tag:
                self._num_untagged += 1
                self._first_untagged = self._first_untagged or self._line
        elif tag[1] not in self._tags:
            self._num_unknown += 1
            self._first_unknown = self._first_unknown or f"line {self._line:,} with {tag[1]}"
