"""A split as pieces on disk, memory-mapped: made once, then opened in no time and little memory.

A store is a folder whose name is a hash of all that made it; writing.py makes it.
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
from translator.data.sides import Side
from translator.data.tokenizer import Tokenizer
from translator.data.writing import Recipe, is_whole, read_facts, write_store
from translator.errors import DataError

FORMAT = 4


class Store:
    """A prepared split."""

    def __init__(self, folder: Path) -> None:
        try:
            self.facts = read_facts(folder)
            self.source = Side(folder, "source", len(self))
            self.target = Side(folder, "target", len(self))
        except (OSError, ValueError):
            raise DataError(
                f"{folder}: this prepared text is damaged; delete the folder to have it made again."
            ) from None

    def __len__(self) -> int:
        return self.facts.num_pairs

    @property
    def lengths(self) -> np.ndarray:
        """Pieces of the longer side of each pair, its end included."""
        return np.maximum(self.source.lengths, self.target.lengths) + 1

    def pairs(self) -> Iterator[Pair]:
        """The sentences themselves, if the store was made with them."""
        return (Pair(self.source.text(i), self.target.text(i)) for i in range(len(self)))


def store_key(fingerprint: dict[str, Any], tokenizer: Tokenizer, **settings: Any) -> str:
    """The name of a store: a hash of its text's fingerprint, its tokenizer and its settings."""
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
    show: Callable[[int], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Store:
    """The store in `folder`, made from `pairs` first if it is not there yet.

    The folder's name must be another when anything that made the store is (`store_key`). With
    `max_length`, pairs with an empty or a longer side are left out; without, every pair stays.
    Empty is what shows nothing, or with `keep_blank` white space alone.
    `show` hears how many pairs have been read, `say` what a user should know. Raises DataError when
    no pair is left, or the disk is full. What is interrupted goes on at the next call; what lacks
    files, or parts of them, is made anew.
    """
    recipe = Recipe(pairs, tokenizer, max_length, keep_text, keep_blank)
    make_once(folder, lambda unfinished: write_store(unfinished, recipe, show), say, is_whole)
    return Store(folder)
