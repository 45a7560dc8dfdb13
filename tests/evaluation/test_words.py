"""Words of text in any language."""

import pytest

from translator.evaluation.words import (
    base_language,
    first_words,
    num_written_words,
    share_of_letters,
    words,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("The cat's 2 toys.", ["the", "cat", "s", "2", "toys"]),
        ("Über_Straße", ["über", "straße"]),
        ("cafe\u0301", ["caf\u00e9"]),  # an accent of its own
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs belong to words
        ("می\u200cخواهم", ["میخواهم"]),  # an invisible joiner does not separate
        ("Müll\u00adabfuhr", ["müllabfuhr"]),  # nor does a soft hyphen
        ("서울 시", ["서울", "시"]),
        ("北京 ok です", ["北", "京", "ok", "で", "す"]),
    ],
)
def test_words_are_lower_case_and_without_punctuation(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("", 2, ""),
        ("Hi, all:  see below", 0, ""),
        ("Hi, all:  see below", 3, "Hi, all:  see"),
        ("Hi", 3, "Hi"),
        ("北京很大。", 2, "北京"),
        ("北 ok 京", 2, "北 ok"),
    ],
)
def test_first_words_are_as_they_were_written(text: str, count: int, expected: str) -> None:
    assert first_words(text, count) == expected


def test_written_words_are_counted_with_their_punctuation() -> None:
    assert [num_written_words(text) for text in ("", " a b. - ", "北京 ok")] == [0, 3, 3]


def test_share_of_letters_ignores_case_and_what_is_no_letter() -> None:
    assert share_of_letters(["Äb, 12"], lambda letter: letter == "ä") == 0.5
    assert share_of_letters(["12!"], lambda letter: True) == 0


@pytest.mark.parametrize("language", ["zh", "zh-Hans", "ZH_tw"])
def test_base_language_has_no_script_or_region(language: str) -> None:
    assert base_language(language) == "zh"
