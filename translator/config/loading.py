"""A configuration from YAML and back; every error names the file, the line and the key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from translator.config import versions
from translator.config.keys import parts, replaced
from translator.config.schema import Config, DataConfig
from translator.config.schema_errors import validate
from translator.config.yaml_text import parse_yaml
from translator.corpora.corpus import Corpus
from translator.errors import ConfigError
from translator.files import check_name, write_whole

LARGEST_FILE = 2**20
"""Largest configuration, in bytes. YAML is slow to read, and a file may be a stranger's."""

OWN_FOLDER = "<run>/"
"""Prefix, in a recorded configuration, of paths inside the run's own folder, so that the run can be
renamed."""


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration in a user's YAML file, with `section.key=value` overrides applied.

    Folders in the file are relative to the file, and in overrides to the working directory; in the
    result they are absolute. Raises ConfigError.
    """
    return _load(path, overrides, versions.CURRENT)


def load_recorded(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration that `save_config` wrote into a run, a bundle or an export.

    Any earlier version of this program may have written it. Raises ConfigError.
    """
    return _load(path, overrides, versions.FIRST)


def _load(path: Path, overrides: Sequence[str], unnamed_version: int) -> Config:
    values, lines = parse_yaml(_read(path), str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a configuration starts with sections, such as 'data:'.")
    _make_absolute(values.get("data"), path.absolute().parent)
    if "model" not in values:
        values.setdefault("preset", "auto")
    line = lines.get((versions.KEY,))
    versions.upgrade(values, unnamed_version, f"{path}, line {line}" if line else str(path))
    apply_overrides(values, overrides)
    overridden = [text.partition("=")[0] for text in overrides]
    folder = path.absolute().parent.resolve()

    def found(name: str) -> str:
        is_own = name.startswith(OWN_FOLDER)
        return str(folder / name.removeprefix(OWN_FOLDER)) if is_own else name

    return _with_renamed_text(validate(values, str(path), lines, overridden), found)


def _read(path: Path) -> str:
    check_name(path, ConfigError)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigError(f"{path}: it is too large for a configuration.")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(
            f"{path}: this is not UTF-8 text, so it is not a configuration."
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error.strerror}.") from None


def override(config: Config, overrides: Sequence[str]) -> Config:
    """A copy with `section.key=value` overrides applied. Raises ConfigError."""
    values = config.model_dump()
    apply_overrides(values, overrides)
    return validate(values, "--set", {})


def apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> None:
    """Set each `section.key=value`, read as YAML, in nested values. Raises ConfigError."""
    for text in overrides:
        key, equals, value = text.partition("=")
        path = parts(key)
        if not equals or not path or not isinstance(path[0], str):
            raise ConfigError(f"--set {text}: write it as section.key=value.")
        section: Any = values
        for parent, child in pairwise(path):
            if isinstance(section, dict):
                section.setdefault(parent, {})
            section = section[parent]
            if isinstance(child, int) and not (isinstance(section, list) and child < len(section)):
                raise ConfigError(f"--set {text}: {parent} is not a list with an item [{child}].")
            if isinstance(child, str) and not isinstance(section, dict):
                raise ConfigError(f"--set {text}: {parent} has a value, not keys.")
        section[path[-1]], _ = parse_yaml(value, f"--set {text}")
        if path == ("data",):
            _make_absolute(values["data"], Path.cwd())
        elif path[:-1] == ("data",):
            _make_key_absolute(section, str(path[-1]), Path.cwd())


def _make_absolute(data: Any, base: Path) -> None:
    """Make the paths of a section `data` absolute. Its folder is `base` if it names none."""
    if isinstance(data, dict):
        data.setdefault("folder", ".")
        for key in DataConfig.path_keys():
            _make_key_absolute(data, key, base)


def _make_key_absolute(data: dict[str, Any], key: str, base: Path) -> None:
    if key in DataConfig.path_keys() and isinstance(data.get(key), str):
        try:
            data[key] = str((base / Path(data[key]).expanduser()).resolve())
        except RuntimeError:
            raise ConfigError(
                f"data.{key}: the home directory of {Path(data[key]).parts[0]} is unknown; write "
                "the whole path."
            ) from None
        except ValueError as error:
            raise ConfigError(f"data.{key}: this is not a path: {error}.") from None


def save_config(config: Config, path: Path) -> None:
    """Write every key as YAML, defaults included, with the version of the schema."""
    folder = path.absolute().parent.resolve()

    def shown(name: str) -> str:
        is_own = folder in Path(name).parents
        return OWN_FOLDER + str(Path(name).relative_to(folder)) if is_own else name

    values = _with_renamed_text(config, shown).model_dump(mode="json")
    values = {versions.KEY: versions.CURRENT, **values}
    write_whole(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def _with_renamed_text(config: Config, rename: Callable[[str], str]) -> Config:
    """A copy in which `rename` has been applied to the paths of a list of training corpora."""
    corpora = config.data.train
    if not isinstance(corpora, list):
        return config
    renamed = [one.with_paths(rename) if isinstance(one, Corpus) else one for one in corpora]
    return replaced(config, {"data.train": renamed})
