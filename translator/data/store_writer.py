"""Write a store in bounded memory and on all cores. After a kill, writing can be continued.

Every few seconds, a journal in the folder records how much of each file is safely on the disk. The
next call continues from there, and the result has the same bits.
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
from translator.data.store_side import SideWriter, read_blocks
from translator.data.tokenizer import Mismatch, Tokenizer
from translator.data.vocabulary_coverage import VocabularyCoverage, vocabulary_coverage
from translator.errors import DataError
from translator.files import write_whole

CHUNK = 20_000
"""Largest number of pairs that are processed at a time."""

CHUNK_CHARACTERS = 5_000_000
"""Number of characters at which a chunk ends early."""

JOURNAL_EVERY = 5.0
"""Seconds between entries of the journal. A kill loses at most this much work."""

FACTS, JOURNAL = "facts.json", "journal.json"

NUM_EXAMPLES = 3
"""Number of examples of text that a vocabulary cannot produce."""

T = TypeVar("T")


class StoreFacts(NamedTuple):
    """The facts about a store that are known without opening its arrays."""

    num_pairs: int
    num_empty: int
    """Pairs left out because a side shows nothing or has no pieces."""
    num_long: int
    """Pairs left out because a side has more than max_length pieces."""
    digest: str
    """SHA-256 of the ids of all pairs kept, in order."""
    source: VocabularyCoverage
    target: VocabularyCoverage
    num_unreachable: int = 0
    """Number of targets kept that the vocabulary cannot produce: their ids decode to other text."""
    unreachable: Sequence[Mismatch] = ()
    """Excerpts from a few of them, each with a different character."""
    num_nul: int = 0
    """Number of pairs with a NUL character, including those left out."""
    first_nul: int = 0
    """Number of the first of them, from 1; 0 if there is none."""
    num_truncated: int = 0
    """Sources of which only the first max_length pieces were kept."""


class Journal(NamedTuple):
    """How far a store has been written."""

    num_read: int = 0
    num_pairs: int = 0
    num_empty: int = 0
    num_long: int = 0
    sizes: Mapping[str, int] = {}
    """Size of each file in bytes."""
    num_unreachable: int = 0
    unreachable: Sequence[Mismatch] = ()
    num_nul: int = 0
    first_nul: int = 0
    num_truncated: int = 0


class Recipe(NamedTuple):
    """What a store is made from. `pairs` returns the pairs from the start."""

    pairs: Callable[[], Iterable[Pair]]
    tokenizer: Tokenizer
    max_length: int | None
    keep_text: bool
    keep_blank: bool
    """Keep a side of invisible characters, as in older runs, which left out only white space."""
    truncate_sources: bool = False
    """Keep the first max_length pieces of longer sources."""


def write_store(folder: Path, recipe: Recipe, show: Callable[[int], None]) -> None:
    """Write a store into a folder, continuing what an interrupted call has left there.

    `show` gets the number of pairs read. Raises DataError if no pair is left.
    """
    journal = _write(folder, recipe, show)
    if journal.num_pairs == 0:
        raise DataError(
            f"No pair is left to train on. Pairs with an empty side: {journal.num_empty:,}; with a "
            f"side of more than data.max_length {recipe.max_length} pieces: {journal.num_long:,}."
        )
    facts = StoreFacts(
        journal.num_pairs,
        journal.num_empty,
        journal.num_long,
        *_reread(folder, recipe.tokenizer),
        journal.num_unreachable,
        journal.unreachable,
        journal.num_nul,
        journal.first_nul,
        journal.num_truncated,
    )
    write_whole(folder / FACTS, json.dumps(facts._asdict()))


def read_facts(folder: Path) -> StoreFacts:
    """The facts of a store. Raises OSError or ValueError if they are missing or damaged."""
    return TypeAdapter(StoreFacts).validate_json((folder / FACTS).read_bytes())


def is_whole(folder: Path) -> bool:
    """Whether a store has all its files, with the sizes that the journal records."""
    journal = _read_journal(folder)
    try:
        sizes = {name: (folder / name).stat().st_size for name in journal.sizes}
        num_pairs = read_facts(folder).num_pairs
    except (OSError, ValueError):
        return False
    return num_pairs == journal.num_pairs and sizes == journal.sizes


def _write(folder: Path, recipe: Recipe, show: Callable[[int], None]) -> Journal:
    """Write everything that the journal does not record as written."""
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
            journal = _add(chunk, recipe, sides, journal)
            show(journal.num_read)
            if time.monotonic() - saved > JOURNAL_EVERY:
                _save(folder, journal, sides)
                saved = time.monotonic()
        return _save(folder, journal, sides)


class _Encoded(NamedTuple):
    """The texts and ids of a chunk, without its empty pairs if the store leaves them out."""

    num_pairs: int
    texts: list[list[str]]
    rows: list[list[list[int]]]
    mismatches: Mapping[int, Mismatch]
    """The targets that the vocabulary cannot produce, by index."""
    nul: list[int]
    """Indices in the chunk, empty pairs included, of pairs with a NUL character."""


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
    rows = [
        vocabulary.encode(side) if recipe.keep_blank else vocabulary.encode_visible(side)
        for vocabulary, side in zip(recipe.tokenizer, texts, strict=True)
    ]
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


def _add(chunk: _Encoded, recipe: Recipe, sides: Sequence[SideWriter], journal: Journal) -> Journal:
    """Write those pairs of a chunk that are not too long; return the next journal."""
    limit, (sources, targets) = recipe.max_length, chunk.rows
    num_truncated = 0
    if limit is not None and recipe.truncate_sources:
        num_truncated = sum(
            len(source) > limit and len(target) <= limit
            for source, target in zip(sources, targets, strict=True)
        )
        sources = [source[:limit] for source in sources]
    kept = [
        limit is None or max(len(source), len(target)) <= limit
        for source, target in zip(sources, targets, strict=True)
    ]
    for side, side_texts, side_rows in zip(sides, chunk.texts, (sources, targets), strict=True):
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
        num_truncated=journal.num_truncated + num_truncated,
    )


def examples(mismatches: Iterable[Mismatch]) -> list[Mismatch]:
    """The first few mismatches, each with a different character."""
    by_character: dict[str, Mismatch] = {}
    for mismatch in mismatches:
        by_character.setdefault(mismatch.character, mismatch)
    return list(by_character.values())[:NUM_EXAMPLES]


def _ahead(items: Iterator[T]) -> Generator[T]:
    """Yield the items, computing each in a thread while the one before is in use.

    So reading, writing and SentencePiece, which releases the interpreter lock, run in parallel.
    """
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
    """The saved journal; an empty one if there is none or the files do not agree with it."""
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
    """SHA-256 of the ids of the first source, its target, the second source …; and the coverage
    of source and target."""
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
