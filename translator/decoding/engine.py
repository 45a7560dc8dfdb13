"""Sentences in, sentences out: what can be asked of whatever translates."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from translator.config.statistics import LEAST_LIMIT
from translator.corpora.lines import one_line
from translator.data.tokenizer import Tokenizer
from translator.errors import ConfigError, RunError, UserError

LINES_AT_ONCE = 2048
"""Lines of a stream that are sorted by length together."""


LARGEST_LOGITS = 2**24
"""Numbers in the logits of one step of a search: short sentences make no boundless batch."""


class Translation(NamedTuple):
    """A hypothesis, and what was made of its source."""

    text: str
    score: float
    """Log-probability over length penalty."""
    length: int = 0
    """In pieces, its end counted."""
    num_unread: int = 0
    """Pieces of the source beyond data.max_length, which were not read."""
    at_limit: bool = False
    """Whether it is as long as it may be: the search cut it, unless it just fits."""
    num_stray_bytes: int = 0
    """Byte pieces that spell no character; the text is without them."""


class Engine:
    """Translates sentences; the result for one does not depend on those beside it."""

    tokenizer: Tokenizer
    beam_size: int
    max_length: int
    """Source pieces that are read."""
    tokens_per_batch: int
    """Source pieces, padding included, that are translated at once, each counted for every place in
    the beam."""

    def hypotheses(
        self, sentences: Sequence[str], num_returned: int = 1
    ) -> list[list[Translation]]:
        """The best num_returned translations of each sentence, best first; fewer where several
        spell the same text, of which only the best is kept, or where there are no more.

        Raises ConfigError if the beam cannot give so many; RunError if the model gives no numbers.
        """
        return self._begin(sentences, num_returned)()

    def _begin(
        self, sentences: Sequence[str], num_returned: int
    ) -> Callable[[], list[list[Translation]]]:
        """Begin with `hypotheses`; what is returned waits for them."""
        if not 1 <= num_returned <= self.beam_size:
            raise ConfigError(
                f"A beam of decoding.beam_size {self.beam_size} gives 1 to {self.beam_size} "
                f"translations of a sentence, not {num_returned}; --set decoding.beam_size=… makes "
                "it larger."
            )
        read, num_unread = self._read(sentences)
        searched = self._search(read, num_returned)

        def finish() -> list[list[Translation]]:
            written = self._written(searched, read, num_unread)
            return [_with_different_texts(found) for found in written]

        return finish

    def _search(
        self, read: Mapping[int, Sequence[int]], num_returned: int
    ) -> Iterator[tuple[int, list[list[int]], list[float]]]:
        """Ids of sources by number → in any order, the number of each, with the ids and scores of
        its best translations, without ends. May work ahead of whoever takes them."""
        raise NotImplementedError

    def _read(self, sentences: Sequence[str]) -> tuple[dict[int, list[int]], list[int]]:
        """The ids of those sentences that have any, by number; of all, how many are not read."""
        vocabulary = self.tokenizer.source
        rows = vocabulary.encode_visible(sentences)
        read = {i: row[: self.max_length] for i, row in enumerate(rows) if row}
        return read, [max(0, len(row) - self.max_length) for row in rows]

    def _written(
        self,
        searched: Iterable[tuple[int, list[list[int]], list[float]]],
        read: Mapping[int, Sequence[int]],
        num_unread: Sequence[int],
    ) -> list[list[Translation]]:
        """What `_search` has found in what was read, as text, in order; an empty one where nothing
        was read.

        A call of SentencePiece takes longer than its work, so there is one for all. Raises
        RunError.
        """
        found = list(searched)
        spelt = iter(self.tokenizer.target.spell([row for _, ids, _ in found for row in ids]))
        results = [[Translation("", 0.0)] for _ in num_unread]
        for i, ids, scores in found:
            longest, written = self._longest(len(read[i])), []
            for row, score in zip(ids, scores, strict=True):
                text, num_stray = next(spelt)
                length = len(row) + 1
                at_limit = longest is not None and length >= longest
                written.append(
                    Translation(one_line(text), score, length, num_unread[i], at_limit, num_stray)
                )
            results[i] = [one for one in written if math.isfinite(one.score)]
            if not results[i]:
                raise RunError(
                    "The model gives no finite scores: its weights are damaged, or too large for "
                    "the precision."
                )
        return results

    def _longest(self, num_pieces: int) -> int | None:
        """Pieces, its end included, that a translation of so many source pieces may have; None if
        that is not known."""
        return None

    def _size(self, num_pieces: int) -> float:
        """What a source of so many pieces counts for in a batch: its pieces and its end, times as
        much as its translation may be longer than that of ordinary text."""
        longest = self._longest(num_pieces) or 0
        return (num_pieces + 1) * max(1.0, longest / LEAST_LIMIT.of(num_pieces))

    def _batches(
        self, read: Mapping[int, Sequence[int]], beam_size: int, num_workers: int = 1
    ) -> list[list[int]]:
        """Sentences of like length together, longest first; as many batches for each worker as for
        any other, and these of like size."""
        most_sentences = max(1, LARGEST_LOGITS // (beam_size * len(self.tokenizer.target)))
        order = sorted(read, key=lambda i: -len(read[i]))

        def packed(num_pieces: int) -> list[list[int]]:
            """Of so many pieces at most, but of one sentence at least."""
            batches: list[list[int]] = []
            for i in order:
                largest = self._size(len(read[batches[-1][0]])) if batches else math.inf
                most = min(num_pieces // (beam_size * largest), most_sentences)
                if not batches or len(batches[-1]) >= most:
                    batches.append([])
                batches[-1].append(i)
            return batches

        at_least = len(packed(self.tokens_per_batch))
        count = num_workers * math.ceil(at_least / num_workers)
        sizes = range(1, self.tokens_per_batch + 1)
        return packed(1 + bisect_left(sizes, True, key=lambda size: len(packed(size)) <= count))

    def translate(self, sentences: Sequence[str]) -> list[str]:
        """The best translation of each sentence, in order; an empty one for an empty one."""
        if isinstance(sentences, str):
            raise TypeError("translate takes a list of sentences; put the one you have in brackets")
        return [hypotheses[0].text for hypotheses in self.hypotheses(sentences)]

    def stream(self, lines: Iterable[str], num_returned: int = 1) -> Iterator[list[Translation]]:
        """`hypotheses` of a stream of lines that need not fit into memory.

        While the first lines are waited for, the next are begun with. Where the stream raises
        UserError, what came before is translated first.
        """
        iterator = iter(lines)
        begun: deque[Callable[[], list[list[Translation]]]] = deque()
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
                yield from begun.popleft()()
        if error is not None:
            raise error


def _with_different_texts(found: list[Translation]) -> list[Translation]:
    """Of those with the same text the first, so the best."""
    different: dict[str, Translation] = {}
    for one in found:
        different.setdefault(one.text, one)
    return list(different.values())
