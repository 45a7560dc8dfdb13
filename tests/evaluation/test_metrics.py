"""Metrics are chosen by name, for `eval` and for the best weights."""

import pytest

from translator.config.schema import Config, EvaluationConfig
from translator.errors import ConfigError
from translator.evaluation.metrics import (
    METRICS,
    Metric,
    check_metrics,
    check_training_metrics,
    scores,
)
from translator.evaluation.validation import rank
from translator.training.results import Score

CHRF = EvaluationConfig(metrics=["chrf"])
REFERENCES = ["Das ist ein kleines Haus.", "Wo ist der Bahnhof?"]


def config(**keys: object) -> Config:
    data = {
        "source_language": "en",
        "target_language": "de",
        "train": {"tsv": "a.tsv"},
        "validation": {"tsv": "b.tsv"},
    }
    return Config.model_validate({"data": data, "training": {"max_steps": 1}} | keys)


def names(evaluation: EvaluationConfig) -> list[str]:
    return [score.name for score in scores(REFERENCES, REFERENCES, evaluation, "de")]


def test_scores_are_those_configured_in_that_order() -> None:
    assert names(EvaluationConfig()) == ["BLEU", "chrF2", "TER"]
    assert names(EvaluationConfig(metrics=["ter", "bleu"])) == ["TER", "BLEU"]


def test_metric_is_added_by_one_entry_of_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    def exact(*_: object) -> list[Score]:
        return [Score("exact", 50.0, "by line"), Score("almost", 100.0, "by line")]

    monkeypatch.setitem(METRICS, "exact", Metric(exact, ("exact", "almost")))
    evaluation = {"metrics": ["exact"]}
    training = {"best_by": "exact", "max_steps": 1}
    check_training_metrics(config(evaluation=evaluation, training=training))
    assert names(EvaluationConfig(metrics=["bleu", "exact"])) == ["BLEU", "exact", "almost"]
    found = METRICS["exact"].by_key(REFERENCES, REFERENCES, EvaluationConfig(), "de")
    assert {key: score.value for key, score in found.items()} == {"exact": 50, "almost": 100}
    assert rank("exact", found, loss=1.5) == 75


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            {"evaluation": {"metrics": ["bleu", "comet"]}},
            "evaluation.metrics: there is no metric comet; choose from bleu, chrf, ter, rouge.",
        ),
        (
            {"evaluation": {"metrics": ["loss"]}},
            "evaluation.metrics: there is no metric loss; choose from bleu, chrf, ter, rouge.",
        ),
        (
            {"training": {"best_by": "BLEU", "max_steps": 1}},
            "training.best_by: there is no metric BLEU; did you mean bleu?",
        ),
    ],
)
def test_unknown_metric_is_refused_with_a_list_of_known_ones(
    keys: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_training_metrics(config(**keys))
    assert str(caught.value) == sentence


def test_eval_does_not_need_the_metric_that_chose_the_weights() -> None:
    chosen_by = {"best_by": "rouge", "max_steps": 1}
    thai = config(training=chosen_by).model_copy(update={"evaluation": CHRF})
    thai = thai.model_copy(update={"data": thai.data.model_copy(update={"target_language": "th"})})
    check_metrics(thai)
    with pytest.raises(ConfigError, match=r"target_language th is written without spaces"):
        check_training_metrics(thai)


def test_scores_refuse_an_unknown_metric() -> None:
    with pytest.raises(ConfigError, match="there is no metric comet"):
        scores(REFERENCES, REFERENCES, EvaluationConfig(metrics=["comet"]), "de")


@pytest.mark.parametrize(
    ("best_by", "expected"), [("bleu", 30.0), ("chrf", 50.0), ("ter", -60.0), ("loss", -1.5)]
)
def test_the_rank_of_a_validation_is_higher_if_it_is_better(best_by: str, expected: float) -> None:
    found = {"bleu": 30.0, "chrf": 50.0, "ter": 60.0}
    each = {name: Score(name, value, "signature") for name, value in found.items()}
    assert rank(best_by, each, loss=1.5) == expected
