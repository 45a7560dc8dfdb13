"""Versions of the configuration's schema, and how an older configuration is read today.

A recorded configuration has every key of its version. A key that was added later is missing, and
means the behaviour of that time, which may differ from today's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translator.config.keys import parts
from translator.errors import ConfigError

KEY = "schema_version"
"""Key of a recorded configuration that holds its version."""

CURRENT = 3
"""Version that this program writes."""

FIRST = 1
"""Version of recorded configurations that name none."""

OLD_VALUES: Mapping[int, Mapping[str, Any]] = {
    2: {
        "tokenizer.split_by_unicode_script": True,
        "tokenizer.split_digits": False,
        "tokenizer.split_by_whitespace": True,
        "decoding.max_length_ratio": 2.0,
        "decoding.max_length_extra": 10,
    },
    3: {"model.attention_block_size": None},
}
"""By version: dotted keys that it added or gave another default, with the value that means the
earlier behaviour."""


def upgrade(values: dict[str, Any], unnamed: int, place: str) -> None:
    """Convert nested values of any known version to the current one, in place.

    The key that names the version is removed. `unnamed` is the version of values without that key.
    Errors call its line `place`. Raises ConfigError if the version is unknown.
    """
    version = values.pop(KEY, unnamed)
    if not isinstance(version, int) or isinstance(version, bool) or version < FIRST:
        raise ConfigError(
            f"{place}: {KEY} should be a whole number from {FIRST} to {CURRENT}, not {version!r}."
        )
    if version > CURRENT:
        raise ConfigError(
            f"{place}: {KEY} is {version}, and this version of translator reads at most {CURRENT}. "
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
            return  # validation refuses such a section
    values.setdefault(name, default)
