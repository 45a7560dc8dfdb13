"""The metrics that `eval` prints, and by which training chooses the best weights.

To add a metric, write a function like those of score.py and register it here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from statistics import fmean
from typing import NamedTuple, TypeAlias

from translator.config.schema import Config, EvaluationConfig
from translator.errors import ConfigError
from translator.evaluation.rouge import check_rouge, rouge
from translator.evaluation.score import bleu, check_tokenizer, chrf, ter
from translator.training.results import Score

ScoreFunction: TypeAlias = Callable[[Sequence[str], Sequence[str], EvaluationConfig, str], Score]
"""(hypotheses, references, configuration, target language) → the score of a corpus."""

MetricFunction: TypeAlias = Callable[
    [Sequence[str], Sequence[str], EvaluationConfig, str], list[Score]
]
"""The same for a metric that gives several scores."""

CheckFunction: TypeAlias = Callable[[EvaluationConfig, str, Sequence[str]], None]
"""(configuration, target language, references) → raises ConfigError if a metric cannot score such
text. Without references, before the text is read, it checks the rest."""


class Metric(NamedTuple):
    """How translations are scored, and which scores are better."""

    score: MetricFunction
    keys: tuple[str, ...]
    """What each of its scores is called in files."""
    lower_is_better: bool = False
    check: CheckFunction = lambda *_: None

    def by_key(
        self,
        hypotheses: Sequence[str],
        references: Sequence[str],
        config: EvaluationConfig,
        target_language: str,
    ) -> dict[str, Score]:
        """The scores of a corpus by their keys."""
        found = self.score(hypotheses, references, config, target_language)
        return dict(zip(self.keys, found, strict=True))

    def rank(self, scores: Iterable[Score]) -> float:
        """The mean of its scores, negated if lower is better."""
        mean = fmean(score.value for score in scores)
        return -mean if self.lower_is_better else mean


def _single(function: ScoreFunction) -> MetricFunction:
    """A metric function with a single score."""
    return lambda *arguments: [function(*arguments)]


METRICS = {
    "bleu": Metric(_single(bleu), ("bleu",), check=check_tokenizer),
    "chrf": Metric(_single(chrf), ("chrf",)),
    "ter": Metric(_single(ter), ("ter",), lower_is_better=True),
    "rouge": Metric(rouge, ("rouge1", "rouge2", "rougeL"), check=check_rouge),
}


def scores(
    hypotheses: Sequence[str],
    references: Sequence[str],
    config: EvaluationConfig,
    target_language: str,
) -> list[Score]:
    """The scores of a corpus by evaluation.metrics, in that order.

    Raises ConfigError if a metric is unknown, not installed, or does not suit the text.
    """
    _check_known("evaluation.metrics", config.metrics)
    return [
        score
        for name in config.metrics
        for score in METRICS[name].score(hypotheses, references, config, target_language)
    ]


def validation_metrics(config: Config) -> dict[str, Metric]:
    """The metrics of a validation by name: BLEU always, and what training.best_by names."""
    names = dict.fromkeys(("bleu", config.training.best_by))
    return {name: METRICS[name] for name in names if name != "loss"}


def check_metrics(config: Config, references: Sequence[str] = ()) -> None:
    """Check evaluation.metrics.

    Raises ConfigError if a metric is unknown, not installed, or does not suit the language or the
    references, if they are given.
    """
    _check_known("evaluation.metrics", config.evaluation.metrics)
    _check(config, (METRICS[name] for name in config.evaluation.metrics), references)


def check_training_metrics(config: Config, references: Sequence[str] = ()) -> None:
    """`check_metrics`, and the same for the metrics of a validation."""
    check_metrics(config, references)
    _check_known("training.best_by", [config.training.best_by], "loss")
    _check(config, validation_metrics(config).values(), references)


def _check(config: Config, metrics: Iterable[Metric], references: Sequence[str]) -> None:
    for metric in metrics:
        metric.check(config.evaluation, config.data.target_language, references)


def _check_known(key: str, names: Sequence[str], *more: str) -> None:
    for name in names:
        if name not in METRICS and name not in more:
            known = [*METRICS, *more]
            nearest = get_close_matches(name.lower(), known, n=1)
            hint = (
                f"; did you mean {nearest[0]}?" if nearest else f"; choose from {', '.join(known)}."
            )
            raise ConfigError(f"{key}: there is no metric {name}{hint}")
