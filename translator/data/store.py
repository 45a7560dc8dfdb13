"""A split as pieces on disk, memory-mapped: made once, then opened in no time and little memory.

A store is a folder whose name is a hash of all that made it. It is written beside its place and
renamed when whole, so a half-written one is never taken for a store.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from translator.data.corpus import Pair
from translator.data.tokenizer import Tokenizer, Vocabulary
from translator.errors import DataError

FORMAT = 2
CHUNK = 20_000


class Facts(NamedTuple):
    """What is known of a store without opening its arrays."""

    num_pairs: int
    num_empty: int
    """Pairs left out because a side was empty."""
    num_long: int
    """Pairs left out because a side had more than max_length pieces."""
    digest: str
    """SHA-256 of the pieces kept, in order."""


class Side:
    """One language of a store: rows of ids and, if kept, their text."""

    def __init__(self, folder: Path, name: str, num_rows: int) -> None:
        self.offsets = _open(folder / f"{name}.offsets", np.int64)
        self._ids = _open(folder / f"{name}.ids", np.int32)
        if len(self.offsets) != num_rows + 1 or self.offsets[-1] != len(self._ids):
            raise ValueError
        text = folder / f"{name}.text"
        self._text = self._text_offsets = None
        if text.exists():
            self._text = _open(text, np.uint8)
            self._text_offsets = _open(folder / f"{name}.text_offsets", np.int64)

    @property
    def lengths(self) -> np.ndarray:
        """Pieces of each row, without end."""
        return np.diff(self.offsets)

    def ids(self, row: int) -> np.ndarray:
        return self._ids[self.offsets[row] : self.offsets[row + 1]]

    def text(self, row: int) -> str:
        assert self._text is not None and self._text_offsets is not None
        start, end = self._text_offsets[row], self._text_offsets[row + 1]
        return self._text[start:end].tobytes().decode()


class Store:
    """A prepared split."""

    def __init__(self, folder: Path) -> None:
        try:
            self.facts = Facts(**json.loads((folder / "facts.json").read_text()))
            self.source = Side(folder, "source", len(self))
            self.target = Side(folder, "target", len(self))
        except (OSError, ValueError, TypeError):
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
) -> Store:
    """The store in `folder`, made from `pairs` first if it is not there yet.

    With `max_length`, pairs with an empty or a longer side are left out; without, every pair stays.
    Raises DataError when no pair is left, or the disk is full.
    """
    if not (folder / "facts.json").exists():
        _make(folder, pairs(), tokenizer, max_length, keep_text)
    return Store(folder)


def _make(
    folder: Path,
    pairs: Iterable[Pair],
    tokenizer: Tokenizer,
    max_length: int | None,
    keep_text: bool,
) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder.parent))
    except OSError as error:
        raise DataError(
            f"{folder.parent}: cannot keep prepared text here: {error.strerror}."
        ) from None
    try:
        facts = _write(unfinished, pairs, tokenizer, max_length, keep_text)
        if facts.num_pairs == 0:
            raise DataError(
                f"No pair is left to train on: {facts.num_empty:,} have an empty side and "
                f"{facts.num_long:,} a side of more than data.max_length {max_length} pieces."
            )
        (unfinished / "facts.json").write_text(json.dumps(facts._asdict()))
        try:
            unfinished.rename(folder)
        except OSError:
            if not (folder / "facts.json").exists():  # unless another process was faster
                raise
    except OSError as error:
        raise DataError(
            f"{folder.parent}: cannot write the prepared text: {error.strerror}. Free some space, "
            "or set XDG_CACHE_HOME to a folder on another disk."
        ) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(
    folder: Path,
    pairs: Iterable[Pair],
    tokenizer: Tokenizer,
    max_length: int | None,
    keep_text: bool,
) -> Facts:
    digest = hashlib.sha256()
    num_pairs = num_empty = num_long = 0
    with (
        _SideWriter(folder, "source", tokenizer.source, keep_text) as source,
        _SideWriter(folder, "target", tokenizer.target, keep_text) as target,
    ):
        iterator = iter(pairs)
        while chunk := list(islice(iterator, CHUNK)):
            kept = [
                p for p in chunk if max_length is None or (p.source.strip() and p.target.strip())
            ]
            num_empty += len(chunk) - len(kept)
            sides = [
                side.vocabulary.encode([pair[i] for pair in kept])
                for i, side in enumerate((source, target))
            ]
            for pair, source_ids, target_ids in zip(kept, *sides, strict=True):
                if max_length is not None and max(len(source_ids), len(target_ids)) > max_length:
                    num_long += 1
                    continue
                for side, text, ids in zip(
                    (source, target), pair, (source_ids, target_ids), strict=True
                ):
                    digest.update(side.add(text, ids))
                num_pairs += 1
    return Facts(num_pairs, num_empty, num_long, digest.hexdigest())


class _SideWriter:
    def __init__(self, folder: Path, name: str, vocabulary: Vocabulary, keep_text: bool) -> None:
        self.vocabulary = vocabulary
        suffixes = ["ids", "offsets", *(["text", "text_offsets"] if keep_text else [])]
        self._files: dict[str, BinaryIO] = {
            s: (folder / f"{name}.{s}").open("wb") for s in suffixes
        }
        self._ends = dict.fromkeys(suffixes[::2], 0)
        for suffix in suffixes[1::2]:
            self._files[suffix].write(np.int64(0).tobytes())

    def add(self, text: str, ids: Sequence[int]) -> bytes:
        """Append a row; returns the bytes of its ids."""
        raw = np.asarray(ids, np.int32).tobytes()
        self._append("ids", "offsets", raw, len(ids))
        if "text" in self._files:
            encoded = text.encode()
            self._append("text", "text_offsets", encoded, len(encoded))
        return raw

    def _append(self, name: str, offsets: str, raw: bytes, length: int) -> None:
        self._files[name].write(raw)
        self._ends[name] += length
        self._files[offsets].write(np.int64(self._ends[name]).tobytes())

    def __enter__(self) -> _SideWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
            file.close()


def _open(path: Path, dtype: type) -> np.ndarray:
    if path.stat().st_size == 0:
        return np.zeros(0, dtype)
    return np.memmap(path, dtype, mode="r")
