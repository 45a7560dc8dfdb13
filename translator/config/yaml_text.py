"""YAML to plain values, with the line of every key.

YAML is read by the rules of version 1.2: `5e-3` is a number and `no` a string. A configuration is
plain data, so tags and aliases are refused. Duplicate keys are refused, too.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from translator.config.keys import Key, quoted
from translator.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """A safe loader with the numbers and booleans of YAML 1.2, and without aliases."""

    yaml_implicit_resolvers = {}  # noqa: RUF012

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise _error("aliases are not allowed", mark)
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
    """The value of a YAML text, and the line of each key (from 1).

    Errors call the text `name`. Raises ConfigError.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        builder = _Builder(loader, name)
        return (None if node is None else builder.build(node, ())), builder.lines
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{name}{line}: this is not valid YAML: {error.problem}.") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{name}: this is not valid YAML: {reason}.") from None
    except ValueError:
        raise ConfigError(f"{name}: it contains a number that cannot be read.") from None
    except RecursionError:
        raise ConfigError(f"{name}: the YAML is nested too deeply.") from None


class _Builder:
    """Builds values from YAML nodes and notes their lines."""

    def __init__(self, loader: _Loader, name: str) -> None:
        self._loader = loader
        self._name = name
        self.lines: dict[Key, int] = {}

    def build(self, node: yaml.Node, key: Key) -> Any:
        """The value of the node at `key`."""
        self.lines[key] = node.start_mark.line + 1
        self._check_tag(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*key, i)) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._build_mapping(node, key)
        _check_scalar(node)
        return self._loader.construct_object(node)

    def _build_mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            _check_scalar(key_node)
            child, line = (*key, key_node.value), key_node.start_mark.line + 1
            if key_node.value in mapping:
                raise ConfigError(
                    f"{self._name}, line {line}: {quoted(child)} is set for the second time (first "
                    f"on line {self.lines[child]}); remove one of the two."
                )
            mapping[key_node.value] = self.build(value_node, child)
            self.lines[child] = line
        return mapping

    def _check_tag(self, node: yaml.Node) -> None:
        is_plain = getattr(node, "style", None) is None
        implied = self._loader.resolve(  # type: ignore[no-untyped-call]
            type(node), node.value, (is_plain, True)
        )
        if node.tag != implied:
            raise _error(f"the tag {node.tag} is not allowed", node.start_mark)


def _check_scalar(scalar: yaml.Node) -> None:
    """Refuse a key or value that no file name and no UTF-8 text can contain."""
    if not isinstance(scalar, yaml.ScalarNode):
        raise _error("a key must be a word", scalar.start_mark)
    if "\0" in scalar.value:
        raise _error("a NUL character is not allowed", scalar.start_mark)
    if re.search("[\ud800-\udfff]", scalar.value):
        raise _error("half of a surrogate pair is not allowed", scalar.start_mark)


def _error(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
