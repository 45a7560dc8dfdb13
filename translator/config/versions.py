"""Versions of the configuration's schema, and what an older one means today.

A recorded configuration holds every key of its version. A key that came later is missing there,
and stands for the behaviour of that time, which need not be today's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translator.config.keys import parts
from translator.errors import ConfigError

KEY = "schema_version"
"""The key of a recorded configuration that names its version."""

CURRENT = 2
"""The version that this program writes."""

FIRST = 1
"""The version of recorded configurations that name none."""

OLD_VALUES: Mapping[int, Mapping[str, Any]] = {
    2: {
        "tokenizer.split_by_unicode_script": True,
        "tokenizer.split_digits": False,
        "tokenizer.split_by_whitespace": True,
        "decoding.max_length_ratio": 2.0,
        "decoding.max_length_extra": 10,
    },
}
"""The keys that came, or got another default, with each version after the first, as dotted keys of
sections. The value of a key means the behaviour before."""


def upgrade(values: dict[str, Any], unnamed: int, place: str) -> None:
    """Turn nested values of any known version into values of the current one, without the key
    that names the version.

    `unnamed` is the version of values that name none; `place` is what errors call the line of the
    key. Raises ConfigError if the version is unknown.
    """
    version = values.pop(KEY, unnamed)
    if not isinstance(version, int) or isinstance(version, bool) or version < FIRST:
        raise ConfigError(
            f"{place}: {KEY} should be a whole number from {FIRST} to {CURRENT}, not {version!r}."
        )
    if version > CURRENT:
        raise ConfigError(
            f"{place}: {KEY} is {version}, and this version of translator reads {CURRENT} at most. "
            "Upgrade translator to use this configuration."
        )
    for later in range(version + 1, CURRENT + 1):
        for key, old in OLD_VALUES[later].items():
            _set_default(values, key, old)


def _set_default(values: dict[str, Any], key: str, default: Any) -> None:
    *sections, name = map(str, parts(key))
    for inner in sections:
        values = values.setdefault(inner, {})
        if not isinstance(values, dict):
            return  # Whoever checks the values refuses this.
    values.setdefault(name, default)
