"""A split as pieces on disk: written once (store_writer.py), then memory-mapped.

A store is a folder. Its name is a hash of everything that determines its content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from translator.cache import make_once
from translator.data.corpus import Pair
from translator.data.store_side import Side
from translator.data.store_writer import Recipe, is_whole, read_facts, write_store
from translator.data.tokenizer import Tokenizer
from translator.errors import DataError

FORMAT = 4
"""Version of the files of a store; part of its name."""


class Store:
    """A prepared split."""

    def __init__(self, folder: Path) -> None:
        try:
            self.facts = read_facts(folder)
            self.source = Side(folder, "source", len(self))
            self.target = Side(folder, "target", len(self))
        except (OSError, ValueError):
            raise DataError(
                f"{folder}: this prepared text is damaged; delete the folder to prepare it again."
            ) from None

    def __len__(self) -> int:
        return self.facts.num_pairs

    @property
    def lengths(self) -> np.ndarray:
        """Length of the longer side of each pair in pieces, its end included: [pairs] int32."""
        return np.maximum(self.source.lengths, self.target.lengths) + 1

    def pairs(self) -> Iterator[Pair]:
        """Yield the sentences; only for a store written with `keep_text`."""
        return (Pair(self.source.text(i), self.target.text(i)) for i in range(len(self)))


def store_key(fingerprint: dict[str, Any], tokenizer: Tokenizer, **settings: Any) -> str:
    """The name of a store: a hash of the fingerprint of its text, its tokenizer and settings."""
    made_by = [FORMAT, fingerprint, tokenizer.digest, settings]
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:32]


def open_store(
    folder: Path,
    pairs: Callable[[], Iterable[Pair]],
    tokenizer: Tokenizer,
    *,
    max_length: int | None,
    keep_text: bool,
    keep_blank: bool = False,
    truncate_sources: bool = False,
    show: Callable[[int], None] = lambda _: None,
    report: Callable[[str], None] = lambda _: None,
) -> Store:
    """The store in `folder`, written from `pairs` first if it does not exist.

    The name of the folder must depend on everything that the content depends on (`store_key`).

    With `max_length`, pairs with an empty or longer side are left out; without it, all pairs stay.
    With `truncate_sources`, longer sources are cut instead.
    A side is empty if it shows nothing (`is_empty`), or with `keep_blank` if it is white space.
    With `keep_text`, the store also holds the sentences.

    `show` gets the number of pairs read, `report` messages for the user. An interrupted call is
    continued by the next one; a damaged store is written again. Raises DataError if no pair is left
    or the disk is full.
    """
    recipe = Recipe(pairs, tokenizer, max_length, keep_text, keep_blank, truncate_sources)
    make_once(folder, lambda unfinished: write_store(unfinished, recipe, show), report, is_whole)
    return Store(folder)
