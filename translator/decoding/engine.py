"""Sentences in, sentences out: what can be asked of whatever translates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from translator.data.tokenizer import Tokenizer
from translator.errors import ConfigError

LINES_AT_ONCE = 2048
"""Lines of a stream that are sorted by length together."""


class Translation(NamedTuple):
    """A hypothesis, and what was made of its source."""

    text: str
    score: float
    """Log-probability over length penalty."""
    length: int = 0
    """In pieces, its end counted."""
    num_unread: int = 0
    """Pieces of the source beyond data.max_length, which were not read."""


class Engine:
    """Translates sentences; the result for one does not depend on those beside it."""

    tokenizer: Tokenizer
    beam_size: int

    def hypotheses(
        self, sentences: Sequence[str], num_returned: int = 1
    ) -> list[list[Translation]]:
        """The best num_returned translations of each sentence (or all that there are), best first.

        Raises ConfigError if the beam cannot give so many; RunError if the model gives no numbers.
        """
        if not 1 <= num_returned <= self.beam_size:
            raise ConfigError(
                f"A beam of decoding.beam_size {self.beam_size} gives 1 to {self.beam_size} "
                f"translations of a sentence, not {num_returned}."
            )
        return self._hypotheses(sentences, num_returned)

    def _hypotheses(self, sentences: Sequence[str], num_returned: int) -> list[list[Translation]]:
        raise NotImplementedError

    def translate(self, sentences: Sequence[str]) -> list[str]:
        """The best translation of each sentence, in order; an empty one for an empty one."""
        if isinstance(sentences, str):
            raise TypeError("translate takes a list of sentences; put the one you have in brackets")
        return [hypotheses[0].text for hypotheses in self.hypotheses(sentences)]

    def stream(self, lines: Iterable[str], num_returned: int = 1) -> Iterator[list[Translation]]:
        """`hypotheses` of a stream of lines that need not fit into memory."""
        iterator = iter(lines)
        while chunk := list(islice(iterator, LINES_AT_ONCE)):
            yield from self.hypotheses(chunk, num_returned)


def one_line(text: str) -> str:
    """Bytes that spell a line break must not make two lines of one."""
    return text.replace("\r", " ").replace("\n", " ")
