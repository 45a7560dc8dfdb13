"""Plain values to a Config; the first mistake in them becomes one sentence.

The sentence names the file, the line and the key, and what was probably meant. The location that
pydantic reports contains names of union members among the keys. Walking along the schema separates
the two.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from translator.config.keys import Key, dotted, parts, quoted
from translator.config.schema import Config
from translator.errors import ConfigError
from translator.section import CONFLICT

LONGEST_SHOWN = 80
"""Longest wrong value that an error repeats in full, in characters."""

SIMILAR_SIBLING, SIMILAR_ELSEWHERE = 0.6, 0.75
"""Similarity from which a key of the same section, or of another one, is suggested."""


def validate(
    values: Any, name: str, lines: Mapping[Key, int], overridden: Iterable[str] = ()
) -> Config:
    """The Config of plain values.

    `name` is what errors call the values, `lines` are the lines of their keys, and `overridden` the
    dotted keys that come from the command line. Raises ConfigError.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        mistakes = [_Mistake.of(one) for one in error.errors()]
    first = min(mistakes, key=lambda one: one.type != "extra_forbidden")
    place = _place(first.key, name, lines, [parts(key) for key in overridden])
    raise ConfigError(f"{place}: {_sentence(first, mistakes)}")


def check(config: Config, name: str) -> Config:
    """The same configuration, if its values are consistent. Raises ConfigError."""
    validate(config.model_dump(), name, {})
    return config


class _Mistake(NamedTuple):
    """An error of pydantic, with its key in the configuration."""

    type: str
    key: Key
    section: Any
    """Type of the section that holds the key."""
    message: str
    input: Any

    @classmethod
    def of(cls, error: Any) -> _Mistake:
        key, section = _key_of(error["loc"])
        if error["type"] == CONFLICT:
            key = parts(error["ctx"]["key"])
        return cls(error["type"], key, section, error["msg"], error["input"])


def _place(key: Key, name: str, lines: Mapping[Key, int], overridden: Sequence[Key]) -> str:
    """Where a key was set: an override, or a line of the file."""

    def is_cause(setting: Key) -> bool:
        is_above, is_below = setting == key[: len(setting)], key == setting[: len(key)]
        return is_above or (is_below and key not in lines)

    causes = sorted(filter(is_cause, overridden), key=lambda s: (s != key, dotted(s)))
    if causes:
        return f"--set {dotted(causes[0])}"
    line = next((lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines), None)
    return f"{name}, line {line}" if line else name


def _key_of(location: Key) -> tuple[Key, Any]:
    """The key at a location of pydantic, and the type of the section that holds it.

    A location also has a tag for each union on the way, which may look like a key.
    """
    key: list[str | int] = []
    kind: Any = Config
    section: Any = None
    for part in location:
        members = _members(kind)
        if len(members) > 1:
            kind = next((one for one in members if Tag(str(part)) in get_args(one)), None)
        else:
            key.append(part)
            [section] = members
            kind = _type_of(part, section)
    return tuple(key), section


def _members(kind: Any) -> list[Any]:
    """The members of a union, None aside; a list of one for any other type."""
    if get_origin(kind) is Annotated:
        return _members(get_args(kind)[0])
    if get_origin(kind) not in (Union, UnionType):
        return [kind]
    members = [inner for inner in get_args(kind) if inner is not type(None)]
    return _members(members[0]) if len(members) == 1 else members


def _type_of(part: str | int, container: Any) -> Any:
    """The type of a key of a section, or of an item of a list."""
    if isinstance(container, type) and issubclass(container, BaseModel):
        field = container.model_fields.get(str(part))
        return field.annotation if field else None
    return next(iter(get_args(container)), None)


def _sentence(first: _Mistake, mistakes: Sequence[_Mistake]) -> str:
    name = quoted(first.key)
    if first.type == "extra_forbidden":
        return f"there is no key {name}; {_suggestion(first.key, first.section)}"
    if first.type == "missing":
        return f"the key {name} is missing."
    if first.type == CONFLICT:
        return f"{first.message}."
    expected = dict.fromkeys(
        "a mapping, such as {key: value}"
        if one.type == "model_type"
        else "a list that is not empty"
        if one.type == "too_short"
        else one.message.removeprefix("Input should be ")
        for one in mistakes
        if one.key == first.key
    )
    found = first.input
    shown = json.dumps(found) if found is None or isinstance(found, bool) else repr(found)
    if len(shown) > LONGEST_SHOWN:
        shown = f"{shown[:LONGEST_SHOWN]}…"
    return f"{name} should be {' or '.join(expected)}, not {shown}."


def _suggestion(key: Key, section: type[BaseModel]) -> str:
    """What a user may have meant by a key that `section` does not have."""
    *parents, last = key
    assert isinstance(last, str)
    above = tuple(part for part in parents if isinstance(part, str))
    known = list(_all_keys(Config, ()))
    siblings = [name for parent, name in known if parent == above]
    *inner, innermost = parts(last) or [last]
    if inner and ((*above, *inner), str(innermost)) in known:
        nested = "".join(f"{part}: {{" for part in inner)
        return f"write {nested}{innermost}: …{'}' * len(inner)}."
    if last in siblings:  # a key of another kind of corpus
        siblings = list(section.model_fields)
    elif meant := _similar(last, tuple(parents), siblings, known):
        return f"did you mean {dotted(meant)}?"
    choice = ", ".join(dict.fromkeys(siblings))
    return f"{dotted(tuple(parents)) or 'the file'} may hold {choice}."


def _similar(
    name: str, parents: Key, siblings: Sequence[str], known: Sequence[tuple[Key, str]]
) -> Key | None:
    """The key with this name in another section, or the most similar key; None if there is none."""
    elsewhere: dict[str, Key] = {}
    for parent, other in known:
        elsewhere.setdefault(other, parent)
    if name in elsewhere:
        return (*elsewhere[name], name)
    if close := difflib.get_close_matches(name, siblings, n=1, cutoff=SIMILAR_SIBLING):
        return (*parents, close[0])
    if close := difflib.get_close_matches(name, list(elsewhere), n=1, cutoff=SIMILAR_ELSEWHERE):
        return (*elsewhere[close[0]], close[0])
    return None


def _all_keys(section: type[BaseModel], parents: tuple[str, ...]) -> Iterator[tuple[Key, str]]:
    """Yield every key of the schema as its parents and its name."""
    for name, field in section.model_fields.items():
        yield parents, name
        for inner in _sections(field.annotation):
            yield from _all_keys(inner, (*parents, name))


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the sections that a type names, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)
