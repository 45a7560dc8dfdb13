"""What is odd about sentences that are to be translated, and would otherwise go unsaid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from translator.config.schema import DataConfig
from translator.data.lines import is_blank
from translator.data.tags import TAG_IN_FRONT


class InputChecks:
    """Counts the sentences whose tag is missing, where a run always had one, or is none, and those
    with a NUL."""

    def __init__(self, data: DataConfig, tags: Iterable[str]) -> None:
        """`tags` are those of the source's vocabulary."""
        self._tags = sorted(tags)
        self._always = all(corpus.tag for corpus in data.corpora("train").values())
        self._num_seen = self._num_bare = self._num_strange = 0
        self._first_bare = 0
        self._first_strange = ""
        self._num_nul = self._first_nul = 0

    def watch(self, sentences: Iterable[str]) -> Iterator[str]:
        """Pass sentences on, having seen them."""
        for sentence in sentences:
            self._see(sentence)
            yield sentence

    def warnings(self, text: str) -> list[str]:
        """A sentence on each kind of what was seen so far; `text` is what they call it."""
        found = self.tag_warnings(text)
        if self._num_nul:
            found.append(
                f"Lines in {text} with a NUL character: {self._num_nul:,}, the first of them line "
                f"{self._first_nul:,}. It is read like any other; is this text, and in UTF-8?"
            )
        return found

    def tag_warnings(self, text: str) -> list[str]:
        """Those of `warnings` that are about tags."""
        found = []
        if self._num_bare:
            found.append(
                f"Lines without a tag in {text}: {self._num_bare:,}, the first of them line "
                f"{self._first_bare:,}. Every sentence that this run learnt from had one; write "
                f"{' or '.join(self._tags)} in front."
            )
        if self._num_strange:
            found.append(
                f"Lines in {text} that begin with a word in angle brackets that is no tag of this "
                f"run: {self._num_strange:,}, the first of them {self._first_strange}. Such a word "
                f"is read as text; the tags are {', '.join(self._tags)}."
            )
        return found

    def _see(self, sentence: str) -> None:
        self._num_seen += 1
        if "\0" in sentence:
            self._num_nul += 1
            self._first_nul = self._first_nul or self._num_seen
        if not self._tags or is_blank(sentence):
            return
        begin = TAG_IN_FRONT.match(sentence)
        if begin is None:
            if self._always:
                self._num_bare += 1
                self._first_bare = self._first_bare or self._num_seen
        elif begin[1] not in self._tags:
            self._num_strange += 1
            self._first_strange = self._first_strange or f"line {self._num_seen:,} with {begin[1]}"
