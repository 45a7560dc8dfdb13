"""A configuration from YAML and back, with errors that name the file, the line and the key.

YAML is read by the rules of YAML 1.2: `5e-3` is a number and `no` a string. A key that stands
twice is refused, and so are tags and aliases: a configuration is data.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from translator.config import versions
from translator.config.keys import Key, dotted, parts
from translator.config.schema import Config
from translator.errors import ConfigError
from translator.files import write_whole

PATH_KEYS = ("folder", "dataset_folder", "wheel")
LARGEST_FILE = 2**20
"""Bytes of a configuration: reading YAML takes time, and who wrote it may be a stranger."""


class _Loader(yaml.SafeLoader):
    """A safe loader with YAML 1.2's idea of numbers and truth, and without aliases."""

    yaml_implicit_resolvers = {}  # noqa: RUF012

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed", mark)
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
        list("-+0123456789."),
    ),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first
    )
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))


def parse_yaml(text: str, name: str) -> tuple[Any, dict[Key, int]]:
    """The value of a YAML text, and the line on which each key stands.

    `name` is what errors call the text. Raises ConfigError.
    """
    lines: dict[Key, int] = {}

    def build(node: yaml.Node, key: Key) -> Any:
        lines[key] = node.start_mark.line + 1
        is_plain = getattr(node, "style", None) is None
        implied = loader.resolve(  # type: ignore[no-untyped-call]
            type(node), node.value, (is_plain, True)
        )
        if node.tag != implied:
            raise yaml.constructor.ConstructorError(
                None, None, f"the tag {node.tag} is not allowed", node.start_mark
            )
        if isinstance(node, yaml.SequenceNode):
            return [build(item, (*key, i)) for i, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return loader.construct_object(node)
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            child, line = str(key_node.value), key_node.start_mark.line + 1
            if child in mapping:
                first = lines[(*key, child)]
                raise ConfigError(
                    f"{name}, line {line}: {dotted((*key, child))} stands here for the second "
                    f"time (first on line {first}); keep one of them."
                )
            mapping[child] = build(value_node, (*key, child))
            lines[(*key, child)] = line
        return mapping

    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return (None if node is None else build(node, ())), lines
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{name}{line}: this is not valid YAML: {error.problem}.") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{name}: this is not valid YAML: {reason}.") from None
    except ValueError:
        raise ConfigError(f"{name}: a number in it cannot be read.") from None
    except RecursionError:
        raise ConfigError(f"{name}: the YAML is nested too deeply.") from None


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration of a user's YAML file, with `section.key=value` overrides applied.

    Folders in the file are relative to the file, in an override to the working directory; both are
    absolute in the result. Raises ConfigError.
    """
    return _load(path, overrides, versions.CURRENT)


def load_recorded(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration that `save_config` wrote into a run, a bundle or an export, at any version
    of this program. Raises ConfigError."""
    return _load(path, overrides, versions.FIRST)


def _load(path: Path, overrides: Sequence[str], unnamed_version: int) -> Config:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigError(f"{path}: it is larger than any configuration.")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: this is not UTF-8 text, so it is no configuration.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error.strerror}.") from None
    values, lines = parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a configuration starts with sections, such as 'data:'.")
    if isinstance(values.get("data"), dict):
        _make_absolute(values["data"], path.absolute().parent)
        values["data"].setdefault("folder", str(path.absolute().parent))
    if "model" not in values:
        values.setdefault("preset", "auto")
    line = lines.get((versions.KEY,))
    versions.upgrade(values, unnamed_version, f"{path}, line {line}" if line else str(path))
    apply_overrides(values, overrides)
    return validate(values, str(path), lines, {override.split("=")[0] for override in overrides})


def override(config: Config, overrides: Sequence[str]) -> Config:
    """The configuration with `section.key=value` overrides applied. Raises ConfigError."""
    values = config.model_dump()
    apply_overrides(values, overrides)
    return validate(values, "--set", {}, set())


def apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> None:
    """Put each `section.key=value` into nested values, read by the rules of the file."""
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
                raise ConfigError(f"--set {text}: {parent} is no list that has a [{child}].")
            if isinstance(child, str) and not isinstance(section, dict):
                raise ConfigError(f"--set {text}: {parent} holds a value, not keys.")
        section[path[-1]], _ = parse_yaml(value, f"--set {text}")
        if path[:-1] == ("data",):
            _make_absolute(section, Path.cwd(), only=str(path[-1]))


def _make_absolute(data: dict[str, Any], base: Path, only: str | None = None) -> None:
    for key in PATH_KEYS if only is None else {only} & set(PATH_KEYS):
        if isinstance(data.get(key), str):
            try:
                data[key] = str((base / Path(data[key]).expanduser()).resolve())
            except (RuntimeError, ValueError) as error:
                raise ConfigError(f"data.{key}: this is no path: {error}.") from None


def save_config(config: Config, path: Path) -> None:
    """Write every key, defaults included, and the version of the schema, as YAML."""
    values = {versions.KEY: versions.CURRENT, **config.model_dump(mode="json")}
    write_whole(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def check(config: Config, name: str) -> Config:
    """The configuration, if its values go together. Raises ConfigError."""
    validate(config.model_dump(), name, {}, set())
    return config


def validate(values: Any, name: str, lines: dict[Key, int], overridden: set[str]) -> Config:
    """A Config of plain values; the first thing wrong with them becomes one sentence."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        errors = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        first = errors[0]
    key = tuple(part for part in first["loc"] if part not in _BRANCHES)
    if first["type"] == "value_error":  # of several keys: its sentence begins with one of them
        key = parts(str(first["ctx"]["error"]).split()[0].rstrip(":"))
    found = dotted(key)
    settings = sorted(overridden, key=lambda setting: (setting != found, setting))
    settings = [
        setting
        for setting in settings
        if f"{found}.".startswith(f"{setting}.") or (_is_in(setting, found) and key not in lines)
    ]
    if settings:
        place = f"--set {settings[0]}"
    else:
        line = next((lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines), None)
        place = f"{name}, line {line}" if line else name
    raise ConfigError(f"{place}: {_sentence(first, key, errors)}")


_BRANCHES = {"str", "TextFiles", "TsvFiles", "NamedSplit", "corpus", "list"}
_BRANCHES |= {"list[str]", "literal['auto']", "constrained-int", "int", "float", "bool"}


def _is_in(key: str, section: str) -> bool:
    return key.startswith(f"{section}.")


def _sentence(error: Any, key: Key, errors: list[Any]) -> str:
    name, kind = dotted(key), error["type"]
    if kind == "extra_forbidden":
        return f"there is no key {name}{_nearest(key)}"
    if kind == "missing":
        return f"the key {name} is missing."
    if kind == "value_error":
        return f"{error['ctx']['error']}."
    alternatives = [e for e in errors if tuple(p for p in e["loc"] if p not in _BRANCHES) == key]
    expected = " or ".join(
        dict.fromkeys(
            "a mapping, such as {key: value}"
            if e["type"] == "model_type"
            else e["msg"].removeprefix("Input should be ")
            for e in alternatives
        )
    )
    found = error["input"]
    shown = json.dumps(found) if found is None or isinstance(found, bool) else repr(found)
    return f"{name} should be {expected}, not {shown}."


def _nearest(key: Key) -> str:
    *parents, last = [part for part in key if isinstance(part, str)]
    known: dict[str, Key] = {}
    for parent, name in _all_keys(Config, ()):
        known.setdefault(name, parent)
    siblings = [name for parent, name in _all_keys(Config, ()) if parent == tuple(parents)]
    if last in known:
        return f"; did you mean {dotted((*known[last], last))}?"
    close = difflib.get_close_matches(last, siblings, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {dotted((*key[:-1], close[0]))}?"
    close = difflib.get_close_matches(last, list(known), n=1, cutoff=0.75)
    if close:
        return f"; did you mean {dotted((*known[close[0]], close[0]))}?"
    choice = ", ".join(dict.fromkeys(siblings))
    return f"; {dotted(key[:-1]) or 'the file'} may hold {choice}."


def _all_keys(section: type[BaseModel], parents: tuple[str, ...]) -> Iterator[tuple[Key, str]]:
    for name, field in section.model_fields.items():
        yield parents, name
        for inner in _sections(field.annotation):
            yield from _all_keys(inner, (*parents, name))


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a type may be, however deep it names them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)
