"""A configuration from YAML and back, with errors that name the file, the line and the key.

YAML is read by the rules of YAML 1.2: `5e-3` is a number and `no` a string. A key that stands
twice is refused, and so are tags and aliases: a configuration is data.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, Tag, ValidationError

from translator.config import versions
from translator.config.keys import Key, dotted, parts
from translator.config.schema import CONFLICT, Config
from translator.errors import ConfigError
from translator.files import check_name, write_whole

PATH_KEYS = ("folder", "dataset_folder", "wheel")
LARGEST_FILE = 2**20
"""Bytes of a configuration: reading YAML takes time, and who wrote it may be a stranger."""

LONGEST_SHOWN = 80
"""Characters of a wrong value that an error repeats."""


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
            _check_scalar(node)
            return loader.construct_object(node)
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            _check_scalar(key_node)
            child, line = key_node.value, key_node.start_mark.line + 1
            if child in mapping:
                first = lines[(*key, child)]
                raise ConfigError(
                    f"{name}, line {line}: {_shown((*key, child))} stands here for the second "
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


def _check_scalar(scalar: yaml.Node) -> None:
    """Refuse a key or value that neither a file name nor a text in UTF-8 can hold."""
    problem = None
    if not isinstance(scalar, yaml.ScalarNode):
        problem = "a key must be a word"
    elif "\0" in scalar.value:
        problem = "a NUL character is not allowed"
    elif re.search("[\ud800-\udfff]", scalar.value):
        problem = "half of a surrogate pair is not allowed"
    if problem:
        raise yaml.constructor.ConstructorError(None, None, problem, scalar.start_mark)


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
    check_name(path, ConfigError)
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
    _make_absolute(values.get("data"), path.absolute().parent)
    if "model" not in values:
        values.setdefault("preset", "auto")
    line = lines.get((versions.KEY,))
    versions.upgrade(values, unnamed_version, f"{path}, line {line}" if line else str(path))
    apply_overrides(values, overrides)
    return validate(values, str(path), lines, [text.partition("=")[0] for text in overrides])


def override(config: Config, overrides: Sequence[str]) -> Config:
    """The configuration with `section.key=value` overrides applied. Raises ConfigError."""
    values = config.model_dump()
    apply_overrides(values, overrides)
    return validate(values, "--set", {})


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
        if path == ("data",):
            _make_absolute(values["data"], Path.cwd())
        elif path[:-1] == ("data",):
            _make_key_absolute(section, str(path[-1]), Path.cwd())


def _make_absolute(data: Any, base: Path) -> None:
    """Make the folders of a section `data` absolute; one that names no folder is in `base`."""
    if isinstance(data, dict):
        data.setdefault("folder", ".")
        for key in PATH_KEYS:
            _make_key_absolute(data, key, base)


def _make_key_absolute(data: dict[str, Any], key: str, base: Path) -> None:
    if key in PATH_KEYS and isinstance(data.get(key), str):
        try:
            data[key] = str((base / Path(data[key]).expanduser()).resolve())
        except RuntimeError:
            raise ConfigError(
                f"data.{key}: no home directory is known for {Path(data[key]).parts[0]}; write "
                "the whole path."
            ) from None
        except ValueError as error:
            raise ConfigError(f"data.{key}: this is no path: {error}.") from None


def save_config(config: Config, path: Path) -> None:
    """Write every key, defaults included, and the version of the schema, as YAML."""
    values = {versions.KEY: versions.CURRENT, **config.model_dump(mode="json")}
    write_whole(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def check(config: Config, name: str) -> Config:
    """The configuration, if its values go together. Raises ConfigError."""
    validate(config.model_dump(), name, {})
    return config


def validate(
    values: Any, name: str, lines: dict[Key, int], overridden: Iterable[str] = ()
) -> Config:
    """A Config of plain values; the first thing wrong with them becomes one sentence."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        errors = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        first = errors[0]
    is_conflict = first["type"] == CONFLICT
    key = parts(first["ctx"]["key"]) if is_conflict else _place(first["loc"])[0]

    def is_cause(setting: Key) -> bool:
        is_above, is_below = setting == key[: len(setting)], key == setting[: len(key)]
        return is_above or (is_below and key not in lines)

    settings = sorted(filter(is_cause, map(parts, overridden)), key=lambda s: (s != key, dotted(s)))
    if settings:
        place = f"--set {dotted(settings[0])}"
    else:
        line = next((lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines), None)
        place = f"{name}, line {line}" if line else name
    raise ConfigError(f"{place}: {_sentence(first, key, errors)}")


def _place(location: Key) -> tuple[Key, Any]:
    """The key that a pydantic error is about, and the type of what holds that key.

    The location of an error names the branch of each union on its way, by words that may be keys
    of a user's, too. The types of the schema show which part is what.
    """
    key: list[str | int] = []
    kind: Any = Config
    parent: Any = None
    for part in location:
        types = _types(kind)
        if len(types) > 1:
            kind = next((t for t in types if Tag(str(part)) in get_args(t)), None)
        else:
            key.append(part)
            [parent] = types
            kind = _inner(parent, part)
    return tuple(key), parent


def _types(kind: Any) -> list[Any]:
    """The types that a value may have, but for null."""
    if get_origin(kind) is Annotated:
        return _types(get_args(kind)[0])
    if get_origin(kind) not in (Union, UnionType):
        return [kind]
    found = [inner for inner in get_args(kind) if inner is not type(None)]
    return _types(found[0]) if len(found) == 1 else found


def _inner(kind: Any, part: str | int) -> Any:
    """The type of a field of a section, or of an item of a list."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return field.annotation if field else None
    return next(iter(get_args(kind)), None)


def _sentence(error: Any, key: Key, errors: list[Any]) -> str:
    name, kind = _shown(key), error["type"]
    if kind == "extra_forbidden":
        return f"there is no key {name}{_nearest(key, _place(error['loc'])[1])}"
    if kind == "missing":
        return f"the key {name} is missing."
    if kind == CONFLICT:
        return f"{error['msg']}."
    alternatives = [e for e in errors if _place(e["loc"])[0] == key]
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
    if len(shown) > LONGEST_SHOWN:
        shown = f"{shown[:LONGEST_SHOWN]}…"
    return f"{name} should be {expected}, not {shown}."


def _shown(key: Key) -> str:
    """A key as messages name it: what is no plain word stands in quotes."""
    return dotted(
        tuple(
            part
            if isinstance(part, int) or re.fullmatch(r"[^\s\0-\x1f.\[\]]+", part)
            else json.dumps(part, ensure_ascii=False)
            for part in key
        )
    )


def _nearest(key: Key, section: type[BaseModel]) -> str:
    """What may have been meant by a key that `section` does not have."""
    *parents, last = key
    assert isinstance(last, str)
    above = tuple(part for part in parents if isinstance(part, str))
    keys = list(_all_keys(Config, ()))
    known: dict[str, Key] = {}
    for parent, name in keys:
        known.setdefault(name, parent)
    siblings = [name for parent, name in keys if parent == above]
    *inner, innermost = parts(last) or [last]
    if inner and ((*above, *inner), str(innermost)) in keys:
        nested = "".join(f"{part}: {{" for part in inner)
        return f"; write {nested}{innermost}: …{'}' * len(inner)}."
    if last in siblings:  # in another kind of this section
        siblings = list(section.model_fields)
    else:
        if last in known:
            return f"; did you mean {dotted((*known[last], last))}?"
        close = difflib.get_close_matches(last, siblings, n=1, cutoff=0.6)
        if close:
            return f"; did you mean {dotted((*parents, close[0]))}?"
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
