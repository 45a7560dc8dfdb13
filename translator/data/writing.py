"""Writing a store: in bounded memory, on all cores, and to be taken up again after a kill.

A journal in the folder says every few seconds how much of each file is safely on the disk; whoever
is killed goes on from there, to the same bits.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import compress, islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from pydantic import TypeAdapter

from translator.data.corpus import Pair
from translator.data.sides import SideWriter, read_blocks
from translator.data.tags import is_empty
from translator.data.tokenizer import Mismatch, Tokenizer, Vocabulary
from translator.data.vocabulary_coverage import VocabularyCoverage, vocabulary_coverage
from translator.errors import DataError
from translator.files import write_whole

CHUNK = 20_000
"""Pairs that are worked on at a time; as many have been read ahead…"""

CHUNK_CHARACTERS = 5_000_000
"""…unless they are long."""

JOURNAL_EVERY = 5.0
"""Seconds of work that a kill may cost."""

FACTS, JOURNAL = "facts.json", "journal.json"

NUM_EXAMPLES = 3
"""Of what a vocabulary cannot produce."""


T = TypeVar("T")


class Facts(NamedTuple):
    """What is known of a store without opening its arrays."""

    num_pairs: int
    num_empty: int
    """Pairs left out because a side shows nothing, or has no pieces."""
    num_long: int
    """Pairs left out because a side had more than max_length pieces."""
    digest: str
    """SHA-256 of the pieces kept, in order."""
    source: VocabularyCoverage
    target: VocabularyCoverage
    num_unreachable: int = 0
    """Targets kept that the vocabulary cannot produce: their pieces give another text."""
    unreachable: Sequence[Mismatch] = ()
    """Excerpts from a few of them, each for another character."""
    num_nul: int = 0
    """Pairs with a NUL character, those left out included."""
    first_nul: int = 0
    """Number of the first of them, from 1 on."""


class Journal(NamedTuple):
    """How far a store has been written."""

    num_read: int = 0
    num_pairs: int = 0
    num_empty: int = 0
    num_long: int = 0
    sizes: Mapping[str, int] = {}
    """Bytes of each file."""
    num_unreachable: int = 0
    unreachable: Sequence[Mismatch] = ()
    num_nul: int = 0
    first_nul: int = 0


class Recipe(NamedTuple):
    """What a store is made from; `pairs` starts reading anew."""

    pairs: Callable[[], Iterable[Pair]]
    tokenizer: Tokenizer
    max_length: int | None
    keep_text: bool
    keep_blank: bool
    """Whether a side of invisible characters stays, as in runs that were begun when only white
    space was left out."""


def write_store(folder: Path, recipe: Recipe, show: Callable[[int], None]) -> None:
    """Fill a folder, which may hold what an interrupted call has left there.

    `show` hears how many pairs have been read. Raises DataError when no pair is left.
    """
    journal = _write(folder, recipe, show)
    if journal.num_pairs == 0:
        raise DataError(
            f"No pair is left to train on: {journal.num_empty:,} have an empty side and "
            f"{journal.num_long:,} a side of more than data.max_length {recipe.max_length} pieces."
        )
    facts = Facts(
        journal.num_pairs,
        journal.num_empty,
        journal.num_long,
        *_reread(folder, recipe.tokenizer),
        journal.num_unreachable,
        journal.unreachable,
        journal.num_nul,
        journal.first_nul,
    )
    write_whole(folder / FACTS, json.dumps(facts._asdict()))


def read_facts(folder: Path) -> Facts:
    """What `write_store` has written. Raises OSError or ValueError if it is missing or damaged."""
    return TypeAdapter(Facts).validate_json((folder / FACTS).read_bytes())


def is_whole(folder: Path) -> bool:
    """Whether a store has all its files, of the sizes that they had when it was written."""
    journal = _read_journal(folder)
    try:
        sizes = {name: (folder / name).stat().st_size for name in journal.sizes}
        num_pairs = read_facts(folder).num_pairs
    except (OSError, ValueError):
        return False
    return num_pairs == journal.num_pairs and sizes == journal.sizes


def _write(folder: Path, recipe: Recipe, show: Callable[[int], None]) -> Journal:
    """Write what the journal says is missing, or all."""
    journal = _read_journal(folder)
    with ExitStack() as stack:
        sides = [
            stack.enter_context(SideWriter(folder, name, recipe.keep_text, journal.sizes))
            for name in ("source", "target")
        ]
        missing = islice(recipe.pairs(), journal.num_read, None)
        chunks = stack.enter_context(closing(_ahead(_chunks(missing))))
        encoded = stack.enter_context(closing(_ahead(_encode(part, recipe) for part in chunks)))
        saved = time.monotonic()
        for chunk in encoded:
            journal = _add(chunk, recipe.max_length, sides, journal)
            show(journal.num_read)
            if time.monotonic() - saved > JOURNAL_EVERY:
                _save(folder, journal, sides)
                saved = time.monotonic()
        return _save(folder, journal, sides)


class _Encoded(NamedTuple):
    """How many pairs a chunk has, and those that are not left out as empty: texts and ids."""

    num_pairs: int
    texts: list[list[str]]
    rows: list[list[list[int]]]
    mismatches: Mapping[int, Mismatch]
    """What the vocabulary cannot produce of the targets, by their index."""
    nul: list[int]
    """Indices of the pairs, empty ones included, that hold a NUL character."""


def _chunks(pairs: Iterator[Pair]) -> Iterator[list[Pair]]:
    chunk, size = [], 0
    for pair in pairs:
        chunk.append(pair)
        size += len(pair.source) + len(pair.target)
        if len(chunk) == CHUNK or size >= CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _encode(chunk: list[Pair], recipe: Recipe) -> _Encoded:
    texts = [list(side) for side in zip(*chunk, strict=True)]
    rows = [_rows(v, t, recipe) for v, t in zip(recipe.tokenizer, texts, strict=True)]
    nul = [i for i, pair in enumerate(chunk) if "\0" in pair.source or "\0" in pair.target]
    if recipe.max_length is not None:
        if recipe.keep_blank:
            kept = [bool(pair.source.strip() and pair.target.strip()) for pair in chunk]
        else:
            kept = [bool(source and target) for source, target in zip(*rows, strict=True)]
        texts = [list(compress(side, kept)) for side in texts]
        rows = [list(compress(side, kept)) for side in rows]
    mismatches = recipe.tokenizer.target.mismatches(texts[1], rows[1])
    return _Encoded(len(chunk), texts, rows, mismatches, nul)


def _rows(vocabulary: Vocabulary, texts: list[str], recipe: Recipe) -> list[list[int]]:
    if not recipe.keep_blank:
        texts = ["" if is_empty(text, vocabulary.tags) else text for text in texts]
    return vocabulary.encode(texts)


def _add(
    chunk: _Encoded, limit: int | None, sides: Sequence[SideWriter], journal: Journal
) -> Journal:
    """Write the pairs that belong into the store."""
    kept = [
        limit is None or max(len(source), len(target)) <= limit
        for source, target in zip(*chunk.rows, strict=True)
    ]
    for side, side_texts, side_rows in zip(sides, chunk.texts, chunk.rows, strict=True):
        side.add(list(compress(side_texts, kept)), list(compress(side_rows, kept)))
    mismatches = [mismatch for i, mismatch in chunk.mismatches.items() if kept[i]]
    first_nul = journal.num_read + chunk.nul[0] + 1 if chunk.nul else 0
    return Journal(
        journal.num_read + chunk.num_pairs,
        journal.num_pairs + sum(kept),
        journal.num_empty + chunk.num_pairs - len(kept),
        journal.num_long + len(kept) - sum(kept),
        num_unreachable=journal.num_unreachable + len(mismatches),
        unreachable=examples(
            [*journal.unreachable, *(mismatch.excerpt() for mismatch in mismatches)]
        ),
        num_nul=journal.num_nul + len(chunk.nul),
        first_nul=journal.first_nul or first_nul,
    )


def examples(mismatches: Iterable[Mismatch]) -> list[Mismatch]:
    """The first few, each for another character."""
    by_character: dict[str, Mismatch] = {}
    for mismatch in mismatches:
        by_character.setdefault(mismatch.character, mismatch)
    return list(by_character.values())[:NUM_EXAMPLES]


def _ahead(items: Iterator[T]) -> Generator[T]:
    """The items, each made by a thread while the one before is in use: reading, writing, and
    SentencePiece, which needs no Python, go on side by side."""
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = maker.submit(next, items, None)
            yield item


def _save(folder: Path, journal: Journal, sides: Sequence[SideWriter]) -> Journal:
    sizes = {name: size for side in sides for name, size in side.save().items()}
    journal = journal._replace(sizes=sizes)
    write_whole(folder / JOURNAL, json.dumps(journal._asdict()))
    return journal


def _read_journal(folder: Path) -> Journal:
    """The last one saved; that of an empty store if there is none, or it cannot be true."""
    try:
        journal = TypeAdapter(Journal).validate_json((folder / JOURNAL).read_bytes())
        if all((folder / name).stat().st_size >= n for name, n in journal.sizes.items()):
            return journal
    except (OSError, ValueError):
        pass
    return Journal()


def _reread(
    folder: Path, tokenizer: Tokenizer
) -> tuple[str, VocabularyCoverage, VocabularyCoverage]:
    """SHA-256 of the ids: those of the first source, of its target, of the second source …

    And how either side is spelt.
    """
    digest = hashlib.sha256()
    num_source, num_target = (np.zeros(len(vocabulary), np.int64) for vocabulary in tokenizer)
    sides = (read_blocks(folder, name, CHUNK) for name in ("source", "target"))
    for (source_lengths, source), (target_lengths, target) in zip(*sides, strict=True):
        lengths = np.stack([source_lengths, target_lengths], axis=1).ravel()
        is_target = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
        both = np.empty(len(is_target), np.int32)
        both[~is_target], both[is_target] = source, target
        digest.update(both.data)
        num_source += np.bincount(source, minlength=len(num_source))
        num_target += np.bincount(target, minlength=len(num_target))
    return (
        digest.hexdigest(),
        vocabulary_coverage(num_source, tokenizer.source),
        vocabulary_coverage(num_target, tokenizer.target),
    )
