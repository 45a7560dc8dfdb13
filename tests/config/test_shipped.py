"""The JSON Schema, the files in configs/ and the examples of READMEs are valid and explained."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from translator.config import load_config
from translator.config.yaml_text import parse_yaml

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "translator/config/schema.json"
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))

READMES = [
    ROOT / "README.md",
    *(
        path
        for room in ("configs", "translator")
        for path in sorted((ROOT / room).rglob("README.md"))
    ),
]
EXAMPLES = [
    pytest.param(part.partition("```")[0], id=f"{path.relative_to(ROOT)}-{number}")
    for path in READMES
    for number, part in enumerate(path.read_text(encoding="utf-8").split("```yaml\n")[1:], start=1)
]

each_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.name))


def generated_schema() -> str:
    spec = importlib.util.spec_from_file_location("make_schema", ROOT / "scripts/make_schema.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.schema())


def validator() -> Any:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)


def test_configurations_exist() -> None:
    assert CONFIGS


def test_schema_file_is_up_to_date() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == generated_schema()


@each_config
def test_configuration_loads(path: Path) -> None:
    load_config(path)


@each_config
def test_configuration_fits_the_schema(path: Path) -> None:
    values, _ = parse_yaml(path.read_text(encoding="utf-8"), path.name)
    validator().validate(values)


def test_readmes_have_examples() -> None:
    texts = [example.values[0] for example in EXAMPLES]
    assert any("tag: <bt>, weight: 1" in str(text) for text in texts)
    assert "source_language" in str(texts[0]), "the first README shows how to begin"


@pytest.mark.parametrize("text", EXAMPLES)
def test_example_of_a_readme_loads_and_fits_the_schema(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
    load_config(tmp_path / "c.yaml")
    values, _ = parse_yaml(text, "README")
    validator().validate(values)


@each_config
def test_configuration_names_its_schema_for_editors(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    place = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / place).resolve() == SCHEMA


def several(corpus: dict[str, object]) -> dict[str, object]:
    languages = {"source_language": "en", "target_language": "de"}
    return languages | {"train": [{"tsv": "t"}, corpus], "validation": {"tsv": "v"}}


def test_schema_allows_several_corpora() -> None:
    values, _ = parse_yaml(CONFIGS[0].read_text(encoding="utf-8"), "config")
    validator().validate(values | {"data": several({"tsv": "a", "tag": "<2de>", "weight": 1})})


@pytest.mark.parametrize(
    "wrong",
    [
        {"modle": {}},
        {"model": {"num_layer": 3}},
        {"model": {"num_layers": "three"}},
        {"tokenizer": {"vocabulary_size": 3}},
        {"training": {"max_steps": 0}},
        {"decoding": {"precision": "half"}},
        {"data": several({"tsv": "a", "tag": "de"})},
        {"data": several({"tsv": "a", "weight": 0})},
        {"data": several({"tsv": "a", "wieght": 1})},
        {"data": several({"tsv": "a"}) | {"temperature": 0.5}},
    ],
    ids=str,
)
def test_schema_refuses_what_loading_refuses(wrong: dict[str, object]) -> None:
    values, _ = parse_yaml(CONFIGS[0].read_text(encoding="utf-8"), "config")
    validator().validate(values)
    assert not validator().is_valid(values | wrong)


@each_config
def test_every_key_has_a_comment(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    bare = [
        f"{path.name}, line {line}: {key}"
        for key, line in keys(path)
        if not has_comment(lines[line - 1]) and not lines[line - 2].lstrip().startswith("#")
    ]
    assert bare == []


def keys(path: Path) -> Iterator[tuple[str, int]]:
    """Every key with a value, and its line. A flow mapping `{…}` is a value."""

    def walk(node: yaml.Node, parents: str) -> Iterator[tuple[str, int]]:
        for key, value in node.value:
            if isinstance(value, yaml.MappingNode) and not value.flow_style:
                yield from walk(value, f"{parents}{key.value}.")
            else:
                yield parents + key.value, key.start_mark.line + 1

    top = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    assert top is not None
    yield from walk(top, "")


def has_comment(line: str) -> bool:
    return bool(line.partition(" # ")[2].strip())
