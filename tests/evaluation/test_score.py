"""Scores that can be checked in the head, each with its signature."""

import importlib.util

import numpy as np
import pytest

from translator.config.schema import EvaluationConfig
from translator.errors import ConfigError
from translator.evaluation.metrics import scores
from translator.evaluation.score import BleuCounts, bleu
from translator.training.results import Score

REFERENCES = ["Das ist ein kleines Haus.", "Wo ist der Bahnhof?"]


def evaluation(**keys: object) -> EvaluationConfig:
    return EvaluationConfig.model_validate(keys)


def of(hypotheses: list[str], language: str = "de", **keys: object) -> dict[str, Score]:
    found = scores(hypotheses, REFERENCES, evaluation(**keys), language)
    return {score.name: score for score in found}


def test_translation_that_equals_the_reference_is_perfect() -> None:
    found = of(REFERENCES)
    assert {name: score.value for name, score in found.items()} == {
        "BLEU": 100,
        "chrF2": 100,
        "TER": 0,
    }


def test_empty_translations_have_the_worst_score() -> None:
    found = of(["", ""])
    assert found["BLEU"].value == 0
    assert found["TER"].value == 100


def test_bleu_is_corpus_bleu_and_not_a_mean_over_sentences() -> None:
    # 6 + 5 tokens, "Haus" wrong: precisions 10/11, 7/9, 5/7, 3/5 (counted by hand), no brevity.
    score = bleu(["Das ist ein kleines Tier.", REFERENCES[1]], REFERENCES, evaluation(), "de").value
    assert score == pytest.approx(100 * (10 / 11 * 7 / 9 * 5 / 7 * 3 / 5) ** 0.25, abs=1e-3)


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [("de", "13a"), ("en-GB", "13a"), ("zh", "zh"), ("zh_TW", "zh"), ("ZH", "zh")],
)
def test_the_signature_names_the_tokenizer_of_the_language(language: str, tokenizer: str) -> None:
    signature = bleu(REFERENCES, REFERENCES, evaluation(), language).signature
    assert f"|tok:{tokenizer}|" in signature
    assert signature.startswith("nrefs:1|case:mixed|")


@pytest.mark.parametrize("tokenizer", ["13a", "intl", "char", "none"])
def test_the_tokenizer_can_be_chosen(tokenizer: str) -> None:
    score = bleu(REFERENCES, REFERENCES, evaluation(tokenize=tokenizer), "zh")
    assert f"|tok:{tokenizer}|" in score.signature


@pytest.mark.parametrize("keys", [{}, {"tokenize": "char"}, {"lowercase": True}])
@pytest.mark.parametrize(
    "hypotheses",
    [
        ["Das ist ein kleines Tier.", "Wo ist der Zug"],
        ["das IST ein Haus", ""],
        ["Das Haus.", "Bahnhof"],  # without a 4-gram that is right, so smoothed
        ["", ""],
    ],
)
def test_summed_sentence_counts_give_corpus_bleu(
    hypotheses: list[str], keys: dict[str, object]
) -> None:
    counted = BleuCounts(REFERENCES, evaluation(**keys), "de")
    expected = bleu(hypotheses, REFERENCES, evaluation(**keys), "de")
    counts = counted.count(hypotheses)
    assert counts.shape == (2, 10)
    assert counted.bleu(counts.sum(axis=0)) == expected.value
    assert counted.signature == expected.signature
    np.testing.assert_equal(counted.count(hypotheses), counts)  # as it is known now
    alone = bleu(hypotheses[1:], REFERENCES[1:], evaluation(**keys), "de")
    assert counted.bleu(counts[1]) == alone.value


def test_case_counts_unless_lowercase_is_set() -> None:
    lower = [reference.lower() for reference in REFERENCES]
    assert of(lower)["BLEU"].value < 100
    found = of(lower, lowercase=True)
    assert found["BLEU"].value == 100
    assert found["TER"].value == 0
    assert "|case:lc|" in found["BLEU"].signature


@pytest.mark.parametrize(("language", "module"), [("ja", "MeCab"), ("ko", "mecab_ko")])
def test_missing_tokenizer_is_refused_with_the_extra_to_install(language: str, module: str) -> None:
    if importlib.util.find_spec(module) is not None:
        pytest.skip(f"{module} is installed")
    with pytest.raises(ConfigError) as caught:
        bleu(REFERENCES, REFERENCES, evaluation(), language)
    assert str(caught.value) == (
        f"BLEU's tokenizer {language}-mecab is not installed; install the extra [{language}] (pip "
        f"install '.[{language}]' in the checkout), or set evaluation.tokenize."
    )


def test_score_shows_its_signature() -> None:
    assert str(Score("BLEU", 12.345678, "s")) == "BLEU 12.35  s"


def test_tokenized_text_is_scored_without_a_warning(capfd: pytest.CaptureFixture[str]) -> None:
    tokenized = [f"{reference[:-1]} {reference[-1]}" for reference in REFERENCES] * 60
    bleu(tokenized, tokenized, evaluation(), "de")
    assert capfd.readouterr() == ("", "")
