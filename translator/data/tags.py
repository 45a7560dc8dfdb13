"""The word in angle brackets that may stand in front of a source sentence, such as <2de>.

It counts at the very beginning of a sentence, and only if the vocabulary has it for a tag.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator

from translator.config.schema import TAG, DataConfig

_TAG = re.compile(f"({TAG}) ?")


def split_tag(sentence: str, tags: Container[str]) -> tuple[str, str]:
    """The one of `tags` that a sentence begins with ("" if none), and the text behind it."""
    found = _TAG.match(sentence)
    if found and found[1] in tags:
        return found[1], sentence[found.end() :]
    return "", sentence


class TagCheck:
    """Counts the sentences whose tag is missing, where a run always had one, or is none."""

    def __init__(self, data: DataConfig, tags: Iterable[str]) -> None:
        """`tags` are those of the source's vocabulary."""
        self._tags = sorted(tags)
        self._always = all(corpus.tag for corpus in data.corpora("train").values())
        self._num_seen = self._num_bare = self._num_strange = 0
        self._first_bare = 0
        self._first_strange = ""

    def watch(self, sentences: Iterable[str]) -> Iterator[str]:
        """Pass sentences on, having seen them."""
        for sentence in sentences:
            self._see(sentence)
            yield sentence

    def complaints(self, text: str) -> list[str]:
        """A sentence on each kind of what was seen so far; `text` is what they call it."""
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
        if not (self._tags and sentence.strip()):
            return
        begin = _TAG.match(sentence)
        if begin is None:
            if self._always:
                self._num_bare += 1
                self._first_bare = self._first_bare or self._num_seen
        elif begin[1] not in self._tags:
            self._num_strange += 1
            self._first_strange = self._first_strange or f"line {self._num_seen:,} with {begin[1]}"
