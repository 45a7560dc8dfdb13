"""The values of a configuration by their dotted keys, such as training.optimizer.learning_rate."""

from __future__ import annotations

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


def parts(key: str) -> Key:
    """data.train[1].weight → data, train, 1, weight"""
    found = re.findall(r"\[([0-9]+)\]|([^.\[]+)", key)
    return tuple(int(index) if index else name for index, name in found)


def value(config: Config, key: str) -> Any:
    """What stands at a key."""
    return reduce(getattr, key.split("."), config)


def is_set(config: Config, key: str) -> bool:
    """Whether someone has given a value for a key: a user, or `replaced`."""
    *sections, name = key.split(".")
    section: Any = config
    for inner in sections:
        if inner not in section.model_fields_set:
            return False
        section = getattr(section, inner)
    return name in section.model_fields_set


def replaced(config: Config, values: Mapping[str, Any]) -> Config:
    """The configuration with other values at some keys."""
    for key, new in values.items():
        config = _replaced(config, key.split("."), new)
    return config


def _replaced(section: Any, names: list[str], new: Any) -> Any:
    name, *inner = names
    if inner:
        new = _replaced(getattr(section, name), inner, new)
    return section.model_copy(update={name: new})


def differences(one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    """The dotted keys at which two nested values, or two configurations, differ; with both."""

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
