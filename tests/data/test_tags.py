"""The tag in front of a sentence."""

import pytest

from translator.data.tags import is_empty, split_tag


@pytest.mark.parametrize(
    ("sentence", "split"),
    [
        ("<2de> Good.", ("<2de>", "Good.")),
        ("<2de>Good.", ("<2de>", "Good.")),
        ("<2fr> Good.", ("", "<2fr> Good.")),
        (" <2de> Good.", ("", " <2de> Good.")),
        ("Good <2de>.", ("", "Good <2de>.")),
    ],
)
def test_tag_must_be_known_and_at_the_very_beginning(sentence: str, split: tuple[str, str]) -> None:
    assert split_tag(sentence, ("<2en>", "<2de>")) == split


@pytest.mark.parametrize(
    ("sentence", "empty"),
    [("", True), ("<2de>", True), ("<2de> \u200b", True), ("<2fr> ", False), ("<2de> .", False)],
)
def test_sentence_of_only_a_tag_is_empty(sentence: str, empty: bool) -> None:
    assert is_empty(sentence, ("<2en>", "<2de>")) == empty
