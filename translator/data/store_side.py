"""One side (language) of a store on disk: rows of ids and, optionally, their text.

One file holds the concatenated rows. Another holds the offset at which each row ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

ID_BYTES, OFFSET_BYTES = 4, 8


class Side:
    """The rows of a side, memory-mapped. Raises ValueError if the files do not fit together."""

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
        """Length of each row in pieces, without end: [rows] int32."""
        return np.diff(self.offsets).astype(np.int32)

    def ids(self, row: int) -> np.ndarray:
        """The ids of a row, without end: int32."""
        return self._ids[self.offsets[row] : self.offsets[row + 1]]

    def text(self, row: int) -> str:
        """The sentence of a row; only for a store written with its text."""
        assert self._text is not None and self._text_offsets is not None
        start, end = self._text_offsets[row], self._text_offsets[row + 1]
        return self._text[start:end].tobytes().decode()


class SideWriter:
    """Writes the files of a side, continuing from the sizes that they had when last saved."""

    def __init__(self, folder: Path, name: str, keep_text: bool, sizes: Mapping[str, int]) -> None:
        kinds = ["ids", "offsets", *(["text", "text_offsets"] if keep_text else [])]
        self._files: dict[str, BinaryIO] = {}
        for kind in kinds:
            path = folder / f"{name}.{kind}"
            self._files[kind] = path.open("ab")
            os.truncate(path, sizes.get(path.name, 0))
        self._ends = {"ids": self._size("ids") // ID_BYTES}
        if keep_text:
            self._ends["text"] = self._size("text")
        for kind in kinds[1::2]:
            if self._size(kind) == 0:
                self._files[kind].write(bytes(OFFSET_BYTES))

    def add(self, texts: Sequence[str], rows: Sequence[Sequence[int]]) -> None:
        """Append rows of ids and their texts."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        ids = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
        self._append("ids", "offsets", ids.tobytes(), lengths)
        if "text" in self._files:
            encoded = [text.encode() for text in texts]
            lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
            self._append("text", "text_offsets", b"".join(encoded), lengths)

    def _append(self, kind: str, offsets: str, raw: bytes, lengths: np.ndarray) -> None:
        self._files[kind].write(raw)
        self._files[offsets].write((self._ends[kind] + np.cumsum(lengths)).tobytes())
        self._ends[kind] += int(lengths.sum())

    def save(self) -> dict[str, int]:
        """Flush all files to the disk, and return their sizes in bytes by name."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        return {Path(file.name).name: self._size(kind) for kind, file in self._files.items()}

    def _size(self, kind: str) -> int:
        return os.fstat(self._files[kind].fileno()).st_size

    def __enter__(self) -> SideWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()


def read_blocks(folder: Path, name: str, num_rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows of a side, `num_rows` at a time: their lengths, and their concatenated ids."""
    with (
        (folder / f"{name}.offsets").open("rb") as offsets,
        (folder / f"{name}.ids").open("rb") as ids,
    ):
        end = np.fromfile(offsets, np.int64, 1)
        while len(ends := np.fromfile(offsets, np.int64, num_rows)):
            lengths = np.diff(ends, prepend=end)
            end = ends[-1:]
            yield lengths, np.fromfile(ids, np.int32, int(lengths.sum()))


def _open(path: Path, dtype: type) -> np.ndarray:
    if path.stat().st_size == 0:
        return np.zeros(0, dtype)
    # A plain array: slicing a memmap takes several times as long.
    return np.memmap(path, dtype, mode="r").view(np.ndarray)
