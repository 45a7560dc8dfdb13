"""ROUGE that can be computed in the head, and as the package computes it."""

import sys

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer

from translator.config.schema import EvaluationConfig
from translator.errors import ConfigError
from translator.evaluation.metrics import METRICS, scores
from translator.evaluation.rouge import check_rouge, rouge
from translator.evaluation.validation import rank

ROUGE = EvaluationConfig(metrics=["rouge"])


def values(hypotheses: list[str], references: list[str], language: str = "en") -> list[float]:
    return [one.value for one in rouge(hypotheses, references, ROUGE, language)]


@pytest.mark.parametrize("language", ["en", "de"])
def test_scores_are_f1_of_words_pairs_and_the_longest_common_subsequence(language: str) -> None:
    # 2 of 2 and 2 of 3 words: F1 4/5. 1 of 1 and 1 of 2 pairs: 2/3. "the cat": 4/5.
    assert values(["the cat"], ["the cat sat"], language) == [80, 66.6667, 80]
    # All 3 words, no pair, one word in order.
    assert values(["c b a"], ["a b c"], language) == [100, 0, 33.3333]
    assert values(["", "?"], ["a", ""], language) == [0, 0, 0]


def test_scores_are_means_of_sentences() -> None:
    assert values(["the cat", "x"], ["the cat sat", "y z"]) == [40, 33.3333, 40]


def test_english_is_stemmed_and_other_languages_keep_their_letters() -> None:
    assert values(["meetings"], ["Meeting"])[0] == 100
    assert values(["meetings"], ["Meeting"], "nl")[0] == 0
    # The tokenizer of the package would split müde into m and de.
    assert values(["müde für"], ["Müde, für"], "de") == [100, 100, 100]
    assert values(["m de f r"], ["Müde, für"], "de") == [0, 0, 0]
    assert values(["привет мир"], ["Привет, мир!"], "ru") == [100, 100, 100]


def test_english_scores_are_those_of_the_package() -> None:
    references = ["Meeting on Monday, 9:00", "Re: gas prices rising", "hi", "Analyst interviews"]
    hypotheses = ["monday's meetings", "gas price rises again", "", "Interviews needed: analysts"]
    package = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    found = [package.score(*pair) for pair in zip(references, hypotheses, strict=True)]
    expected = [
        100 * np.mean([one[kind].fmeasure for one in found])
        for kind in ("rouge1", "rouge2", "rougeL")
    ]
    assert values(hypotheses, references) == pytest.approx(expected, abs=1e-4)
    assert 0 < expected[1] < expected[2] < expected[0] < 100


def test_signatures_name_tokenizer_and_stemmer() -> None:
    english, german = (scores(["a"], ["a"], ROUGE, code) for code in ("en-GB", "de"))
    assert [one.name for one in english] == ["ROUGE-1", "ROUGE-2", "ROUGE-L"]
    assert english[2].signature == (
        "nrefs:1|case:lc|tok:default|stem:porter|type:rougeL|score:f1|mean:sentences|version:0.1.2"
    )
    assert "|tok:unicode|stem:no|type:rouge1|" in german[0].signature


def test_best_weights_have_the_highest_mean_of_the_three() -> None:
    found = METRICS["rouge"].by_key(["the cat"], ["the cat sat"], ROUGE, "en")
    assert list(found) == ["rouge1", "rouge2", "rougeL"]
    assert rank("rouge", found, loss=1.0) == pytest.approx((80 + 200 / 3 + 80) / 3, abs=1e-4)


@pytest.mark.parametrize(
    ("language", "references", "reason"),
    [
        ("ja", [], "data.target_language ja is written without spaces between words;"),
        ("zh-Hant", [], "data.target_language zh-Hant is written without spaces"),
        ("de", ["北京 ist groß"], "but 22.2% of the letters of the references are of scripts"),
        ("en", ["Müde"], "25.0% of the letters of the references; correct data.target_language en"),
    ],
)
def test_text_that_it_does_not_suit_is_refused(
    language: str, references: list[str], reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_rouge(ROUGE, language, references)
    assert reason in str(caught.value)
    assert str(caught.value).endswith("use chrf in place of rouge.")


def test_a_foreign_name_in_english_is_accepted() -> None:
    check_rouge(ROUGE, "en", ["an e-mail to " + 20 * "everyone " + "and to José"])


def test_missing_package_is_refused_with_the_extra_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rouge_score", None)
    with pytest.raises(ConfigError) as caught:
        rouge(["a"], ["a"], ROUGE, "en")
    assert str(caught.value) == (
        "ROUGE's package rouge-score is not installed; install the extra [rouge] (pip install "
        "'.[rouge]' in the checkout), or use chrf in place of rouge."
    )
