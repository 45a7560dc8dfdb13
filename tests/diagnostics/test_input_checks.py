"""Which lines have a tag, lack one, or have one that nobody knows; which have a NUL."""

import pytest

from translator.config.schema import DataConfig
from translator.diagnostics.input_checks import InputChecks

TAGS = {"<2en>": 5, "<2de>": 4}


def check(lines: list[str], *tags: str | None, known: dict[str, int] = TAGS) -> list[str]:
    """Complaints of a run whose training corpora have these tags."""
    files = {"source": "a", "target": "b"}
    train = [files | ({"tag": tag} if tag else {}) for tag in tags]
    data = DataConfig.model_validate(
        {"source_language": "en", "target_language": "de", "train": train, "validation": files}
    )
    checked = InputChecks(data, known)
    assert list(checked.watch(lines)) == lines
    return checked.warnings("the input")


LINES = ["<2de> Good.", "", "Good.", "<2De> Good.", "Well.", "<2en> Gut.", "<2En>"]


def test_lines_without_a_tag_are_missed_where_all_text_had_one() -> None:
    bare, _ = check(LINES, "<2de>", "<2en>")
    assert bare == (
        "Lines without a tag in the input: 2, the first is line 3. Every training sentence of this "
        "run had a tag; put <2de> or <2en> in front."
    )


@pytest.mark.parametrize("tags", [("<2de>", "<2en>"), ("<2de>", None)])
def test_tags_that_are_none_are_always_told(tags: tuple[str | None, ...]) -> None:
    assert check(LINES, *tags)[-1] == (
        "Lines with an unknown tag in the input: 2, the first is line 4 with <2De>. It is read as "
        "text. The tags of this run are <2de>, <2en>."
    )


def test_text_without_a_tag_is_well_where_some_text_had_none() -> None:
    assert check(["<2de> Good.", "Good."], "<2de>", None) == []


def test_where_there_are_no_tags_angle_brackets_are_text() -> None:
    assert check(["<b> Bold.", "Good."], None, known={}) == []


def test_a_nul_is_told_of_with_tags_and_without() -> None:
    told = (
        "Lines with a NUL character in the input: 2, the first is line 2. Check that this is text "
        "in UTF-8."
    )
    assert check(["Good.", "G\0o\0", "\0"], None, known={}) == [told]
    assert check(["<2de> Good.", "<2de> \0", "<2de>\0"], "<2de>") == [told]
