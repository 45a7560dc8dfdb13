"""Sentences in, sentences out, whatever searches for the translations."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from translator.corpora.lines import one_line
from translator.data.tokenizer import Tokenizer
from translator.errors import ConfigError, RunError, UserError

LINES_AT_ONCE = 2048
"""Lines of a stream that are sorted by length together."""


class Translation(NamedTuple):
    """A translation of a sentence, and facts about how it was made."""

    text: str
    score: float
    """Log-probability over length penalty."""
    length: int = 0
    """Pieces, end included."""
    num_unread: int = 0
    """Pieces of the source beyond data.max_length, which were not read."""
    at_limit: bool = False
    """Whether it is as long as it may be: the search cut it, unless it just fits."""
    num_stray_bytes: int = 0
    """Byte pieces that spell no character; the text does not contain them."""
    ids: Sequence[int] = ()
    """Its pieces, without the end."""
    links: str | None = None
    """Its word links in Pharaoh format, if they were asked for."""


class Found(NamedTuple):
    """What a search found for one sentence, best first."""

    number: int
    """Which sentence it is."""
    ids: list[list[int]]
    """Pieces of each translation, without the end."""
    scores: list[float]


class Search(Protocol):
    """Finds translations of sources in ids; every engine has one."""

    beam_size: int

    def find(self, sources: Mapping[int, Sequence[int]], num_returned: int) -> Iterator[Found]:
        """The best translations of each source, in any order; it may work ahead of the caller."""

    def longest(self, num_pieces: int) -> int | None:
        """Maximal pieces, end included, of the translation of so many source pieces; None if it is
        not known."""


class Begun(NamedTuple):
    """Sentences whose search has begun."""

    sources: dict[int, list[int]]
    """Ids by the sentence's number; sentences without pieces are missing."""
    num_unread: list[int]
    """For each sentence."""
    found: Iterator[Found]


class Engine:
    """Translates sentences; the result for one does not depend on the others."""

    def __init__(self, tokenizer: Tokenizer, search: Search, max_length: int) -> None:
        """max_length: source pieces that are read."""
        self.tokenizer = tokenizer
        self.search = search
        self.max_length = max_length

    def translate(self, sentences: Sequence[str]) -> list[str]:
        """The best translation of each sentence, in order; an empty one for an empty sentence."""
        if isinstance(sentences, str):
            raise TypeError("translate takes a list of sentences; put the one you have in brackets")
        return [hypotheses[0].text for hypotheses in self.hypotheses(sentences)]

    def hypotheses(
        self, sentences: Sequence[str], num_returned: int = 1
    ) -> list[list[Translation]]:
        """The num_returned best translations of each sentence, best first.

        Several may spell the same text, of which only the best is kept, so there may be fewer.
        Raises ConfigError if the beam cannot give so many; RunError if the model gives no numbers.
        """
        return self._finish(self._begin(sentences, num_returned))

    def stream(self, lines: Iterable[str], num_returned: int = 1) -> Iterator[list[Translation]]:
        """`hypotheses` of a stream of lines that need not fit into memory.

        The search of the next lines begins before the results of the first ones are awaited. If the
        stream raises UserError, the lines before it are translated first.
        """
        iterator = iter(lines)
        begun: deque[Begun] = deque()
        error: UserError | None = None
        while True:
            chunk: list[str] = []
            try:
                chunk.extend(islice(iterator, 0 if error else LINES_AT_ONCE))
            except UserError as raised:
                error = raised
            if chunk:
                begun.append(self._begin(chunk, num_returned))
            if not begun:
                break
            if len(begun) == 2 or not chunk:
                yield from self._finish(begun.popleft())
        if error is not None:
            raise error

    def _begin(self, sentences: Sequence[str], num_returned: int) -> Begun:
        """Begin the search for translations."""
        beam_size = self.search.beam_size
        if not 1 <= num_returned <= beam_size:
            raise ConfigError(
                f"A beam of decoding.beam_size {beam_size} gives 1 to {beam_size} translations of "
                f"a sentence, not {num_returned}; --set decoding.beam_size=… makes it larger."
            )
        sources, num_unread = self._read(sentences)
        return Begun(sources, num_unread, self.search.find(sources, num_returned))

    def _finish(self, begun: Begun) -> list[list[Translation]]:
        """Wait for a search; of translations with the same text keep the best."""
        return [_with_different_texts(found) for found in self._written(begun)]

    def _read(self, sentences: Sequence[str]) -> tuple[dict[int, list[int]], list[int]]:
        """`Begun.sources` and `Begun.num_unread`."""
        vocabulary = self.tokenizer.source
        rows = vocabulary.encode_visible(sentences)
        sources = {i: row[: self.max_length] for i, row in enumerate(rows) if row}
        return sources, [max(0, len(row) - self.max_length) for row in rows]

    def _written(self, begun: Begun) -> list[list[Translation]]:
        """The results of a search as text, in order; an empty text where nothing was read.

        A call of SentencePiece takes longer than its work, so there is one for all. Raises
        RunError.
        """
        found = list(begun.found)
        spelt = iter(self.tokenizer.target.spell([row for one in found for row in one.ids]))
        results = [[Translation("", 0.0)] for _ in begun.num_unread]
        for number, ids, scores in found:
            longest, written = self.search.longest(len(begun.sources[number])), []
            for row, score in zip(ids, scores, strict=True):
                text, num_stray = next(spelt)
                length = len(row) + 1
                at_limit = longest is not None and length >= longest
                num_unread = begun.num_unread[number]
                written.append(
                    Translation(one_line(text), score, length, num_unread, at_limit, num_stray, row)
                )
            results[number] = [one for one in written if math.isfinite(one.score)]
            if not results[number]:
                raise RunError(
                    "The model gives no finite scores: its weights are damaged, or too large for "
                    "the precision."
                )
        return results


def _with_different_texts(found: list[Translation]) -> list[Translation]:
    """The first, and so the best, of those with the same text."""
    different: dict[str, Translation] = {}
    for one in found:
        different.setdefault(one.text, one)
    return list(different.values())
