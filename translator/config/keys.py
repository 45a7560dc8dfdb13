"""Values of a configuration by dotted keys, such as training.optimizer.learning_rate."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

from translator.config.schema import Config

Key = tuple[str | int, ...]


def dotted(key: Key) -> str:
    """data, train, 1, weight → data.train[1].weight"""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")


def quoted(key: Key) -> str:
    """`dotted` for messages: a part that is not a plain word is put in quotes."""
    return dotted(
        tuple(
            part
            if isinstance(part, int) or re.fullmatch(r"[^\s\0-\x1f.\[\]]+", part)
            else json.dumps(part, ensure_ascii=False)
            for part in key
        )
    )


def parts(key: str) -> Key:
    """data.train[1].weight → data, train, 1, weight"""
    found = re.findall(r"\[([0-9]+)\]|([^.\[]+)", key)
    return tuple(int(index) if index else name for index, name in found)


def value(config: Config, key: str) -> Any:
    """The value of a dotted key without indices."""
    return reduce(getattr, key.split("."), config)


def is_set(config: Config, key: str) -> bool:
    """Whether a key has been set by a user or by `replaced`, even if to its default."""
    *sections, name = key.split(".")
    section: Any = config
    for inner in sections:
        if inner not in section.model_fields_set:
            return False
        section = getattr(section, inner)
    return name in section.model_fields_set


def replaced(config: Config, values: Mapping[str, Any]) -> Config:
    """A copy with other values for some dotted keys. The values are not validated."""
    for key, new in values.items():
        config = _replaced(config, key.split("."), new)
    return config


def _replaced(section: Any, names: list[str], new: Any) -> Any:
    name, *inner = names
    if inner:
        new = _replaced(getattr(section, name), inner, new)
    return section.model_copy(update={name: new})


def differences(one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the dotted keys at which two configurations or nested values differ, with both values.

    Lists of different lengths differ as a whole.
    """

    def walk(key: Key, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
        if isinstance(one, dict) and isinstance(other, dict):
            for name in one | other:
                yield from walk((*key, name), one.get(name), other.get(name))
        elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            for i, items in enumerate(zip(one, other, strict=True)):
                yield from walk((*key, i), *items)
        elif one != other:
            yield dotted(key), one, other

    def plain(value: Any) -> Any:
        return value.model_dump() if isinstance(value, Config) else value

    yield from walk((), plain(one), plain(other))
