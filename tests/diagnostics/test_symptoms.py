"""Symptoms of bad translations, with shares that can be counted."""

import pytest

from translator.diagnostics.symptoms import (
    MIN_SHARE,
    Symptoms,
    describe_symptoms,
    search_symptoms,
    symptoms,
)

WELL = Symptoms(0.0, 0.0, 0.0, 0.0)
SOURCES = ["The house.", "A dog.", "The cat sleeps.", "Zigbee"]
REFERENCES = ["Das Haus.", "Ein Hund.", "Die Katze schläft.", "Zigbee"]


def of(*translations: str) -> Symptoms:
    return symptoms(SOURCES, translations, REFERENCES)


def test_good_translations_have_no_symptoms() -> None:
    assert of(*REFERENCES) == WELL
    assert of("Das Gebäude.", "Hund.", "Katze.", "ZigBee") == WELL


def test_no_translations_have_no_symptoms() -> None:
    assert symptoms([], [], []) == WELL


def test_empty_counts_translations_without_text() -> None:
    assert of("", " ", "Die Katze schläft.", "Zigbee") == WELL._replace(empty=0.5)


@pytest.mark.parametrize(("source", "reference"), [("", "Ein Hund."), ("A dog.", " ")])
def test_empty_is_right_if_source_or_reference_is_empty(source: str, reference: str) -> None:
    assert symptoms([source], [""], [reference]) == WELL


def test_copied_counts_sources_that_are_not_the_reference() -> None:
    copied = of("the house. ", "A DOG.", "Die Katze schläft.", "zigbee")
    assert copied == WELL._replace(copied=0.5)


@pytest.mark.parametrize(
    "translation",
    [
        "Die Katze Katze Katze Katze",
        "Die Katze und die Katze und die Katze und die.",
        "ein Mann ein Mann ein Mann.",
        "abrakadabrakadabrakadab",  # akadabr three times
        "na na na na na na",
        "我们我们我们我们我们我们",
        "ein Hund und ein Mann und ein Hund , ein Mann , ein Hund , ein",  # 5 of 15
    ],
)
def test_repeating_counts_loops_and_few_distinct_words(translation: str) -> None:
    assert symptoms(["x"], [translation], ["Die Katze."]).repeating == 1
    assert symptoms(["x"], [translation], [translation]).repeating == 0


@pytest.mark.parametrize(
    "translation",
    [
        "Laden...",
        "nein, nein, nein",
        "Die Katze und die Katze.",
        "sehr sehr gut",
        "我们我们我们我们我们",
        "eins zwei eins zwei eins",
        "ein Hund und ein Mann und ein Hund , ein Mann , ein",  # 5 of 13
    ],
)
def test_ordinary_sentences_are_not_repeating(translation: str) -> None:
    assert symptoms(["x"], [translation], ["Die Katze."]).repeating == 0


def test_ignoring_counts_the_same_text_for_different_sources() -> None:
    ignoring = of("Ich weiß.", "Ich weiß.", "ich weiß.", "Zigbee")
    assert ignoring == WELL._replace(ignoring=0.75)


def test_same_text_is_right_if_sources_or_references_are_the_same() -> None:
    sources = ["Off", "Disabled", "Bank", "bank"]
    references = ["Aus", "aus", "Ufer", "Geldhaus"]
    assert symptoms(sources, ["Aus", "Aus", "Ufer", "Ufer"], references) == WELL


def test_ignoring_needs_another_source_and_another_reference() -> None:
    """The first shares its source with the second and its reference with the third. Only these two
    differ in both."""
    found = symptoms(["a", "a", "b"], ["x", "x", "x"], ["1", "2", "1"])
    assert found.ignoring == pytest.approx(2 / 3)


def test_description_names_frequent_symptoms_the_most_frequent_first() -> None:
    found = Symptoms(empty=0.12, copied=MIN_SHARE, repeating=0.38, ignoring=0.049)
    assert describe_symptoms(found._asdict()) == (
        "38% of the translations repeat themselves, 12% are empty and 5% copy their source."
    )
    assert describe_symptoms(WELL._replace(ignoring=1.0)._asdict()) == (
        "100% of the translations are the same for different sources."
    )
    assert describe_symptoms(WELL._asdict()) is None


def test_description_includes_symptoms_of_the_search() -> None:
    assert search_symptoms([], []) == {"at_limit": 0, "stray_bytes": 0}
    found = search_symptoms([False, True, False, True], [0, 0, 3, 0])
    assert found == {"at_limit": 0.5, "stray_bytes": 0.25}
    assert describe_symptoms(WELL._asdict() | found) == (
        "50% of the translations end at the length limit and 25% contain bytes that form no "
        "character."
    )
