"""Warnings about missing tags, unknown tags and NUL characters."""

import pytest

from translator.config.schema import DataConfig
from translator.diagnostics.input_checks import InputChecks

TAGS = {"<2en>": 5, "<2de>": 4}


def check(lines: list[str], *tags: str | None, known: dict[str, int] = TAGS) -> list[str]:
    """The warnings of a run whose training corpora have these tags."""
    files = {"source": "a", "target": "b"}
    train = [files | ({"tag": tag} if tag else {}) for tag in tags]
    data = DataConfig.model_validate(
        {"source_language": "en", "target_language": "de", "train": train, "validation": files}
    )
    checked = InputChecks(data, known)
    assert list(checked.watch(lines)) == lines
    return checked.warnings("the input")


LINES = ["<2de> Good.", "", "Good.", "<2De> Good.", "Well.", "<2en> Gut.", "<2En>"]


def test_missing_tags_are_reported_if_all_training_text_had_tags() -> None:
    bare, _ = check(LINES, "<2de>", "<2en>")
    assert bare == (
        "Lines without a tag in the input: 2, the first is line 3. Every training sentence of this "
        "run had a tag; put <2de> or <2en> in front."
    )


@pytest.mark.parametrize("tags", [("<2de>", "<2en>"), ("<2de>", None)])
def test_unknown_tags_are_always_reported(tags: tuple[str | None, ...]) -> None:
    assert check(LINES, *tags)[-1] == (
        "Lines with an unknown tag in the input: 2, the first is line 4 with <2De>. It is read as "
        "text. The tags of this run are <2de>, <2en>."
    )


def test_missing_tags_are_fine_if_some_training_text_had_none() -> None:
    assert check(["<2de> Good.", "Good."], "<2de>", None) == []


def test_angle_brackets_are_text_in_a_run_without_tags() -> None:
    assert check(["<b> Bold.", "Good."], None, known={}) == []


def test_nul_characters_are_reported_with_and_without_tags() -> None:
    warning = (
        "Lines with a NUL character in the input: 2, the first is line 2. Check that this is text "
        "in UTF-8."
    )
    assert check(["Good.", "G\0o\0", "\0"], None, known={}) == [warning]
    assert check(["<2de> Good.", "<2de> \0", "<2de>\0"], "<2de>") == [warning]
