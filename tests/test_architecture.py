"""A file imports from its own floor or from below, never from above."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "translator"
FLOORS = {
    **dict.fromkeys(
        ("errors", "environment", "files", "cache", "bundle_archive", "runs", "section"), 0
    ),
    **dict.fromkeys(("corpora", "config"), 0),
    **dict.fromkeys(("data", "diagnostics"), 1),
    **dict.fromkeys(("layers", "processors"), 2),
    "models": 3,
    **dict.fromkeys(("training", "decoding", "alignment"), 4),
    **dict.fromkeys(("evaluation", "export"), 5),
    "workflows": 6,
    "cli": 7,
}
SIBLINGS = {"training", "decoding"}
OUTSIDE = {"__init__", "__main__"}
FILES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    if room(path) in OUTSIDE:
        return
    names = [name for node in ast.walk(ast.parse(path.read_text())) for name in imported(node)]
    ours = [name.split(".") for name in names if name.startswith("translator.")]
    rooms = {name[1] for name in ours if not name[1].startswith("__")}
    above = {r for r in rooms if FLOORS[r] > FLOORS[room(path)]}
    beside = {r for r in rooms & SIBLINGS if room(path) in SIBLINGS and r != room(path)}
    assert above | beside == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_imports_the_command_line(path: Path) -> None:
    if room(path) not in ("cli", "__main__"):
        assert "translator.cli" not in path.read_text()


def imported(node: ast.AST) -> list[str]:
    """Modules that a statement imports, `from translator import x` as translator.x."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def test_every_room_has_its_floor() -> None:
    assert {room(path) for path in FILES} - OUTSIDE == FLOORS.keys()
