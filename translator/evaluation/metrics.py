"""The metrics that `eval` prints, and by which training chooses the best weights.

To add a metric, write a function like those of score.py and register it here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import NamedTuple, TypeAlias

from translator.config.schema import Config, EvaluationConfig
from translator.errors import ConfigError
from translator.evaluation.score import bleu, check_tokenizer, chrf, ter
from translator.training.results import Score

MetricFunction: TypeAlias = Callable[[Sequence[str], Sequence[str], EvaluationConfig, str], Score]
"""(hypotheses, references, configuration, target language) → the score of a corpus."""


class Metric(NamedTuple):
    """How translations are scored, and which scores are better."""

    score: MetricFunction
    lower_is_better: bool = False


METRICS = {
    "bleu": Metric(bleu),
    "chrf": Metric(chrf),
    "ter": Metric(ter, lower_is_better=True),
}


def scores(
    hypotheses: Sequence[str],
    references: Sequence[str],
    config: EvaluationConfig,
    target_language: str,
) -> list[Score]:
    """The scores of a corpus by evaluation.metrics, in that order.

    Raises ConfigError if a metric is unknown, or BLEU's tokenizer is not installed.
    """
    _check_known("evaluation.metrics", config.metrics)
    return [
        METRICS[name].score(hypotheses, references, config, target_language)
        for name in config.metrics
    ]


def check_metrics(config: Config) -> None:
    """Raise ConfigError if a metric is unknown, or BLEU's tokenizer is not installed."""
    _check_known("evaluation.metrics", config.evaluation.metrics)
    _check_known("training.best_by", [config.training.best_by], "loss")
    check_tokenizer(config.evaluation, config.data.target_language)


def _check_known(key: str, names: Sequence[str], *more: str) -> None:
    for name in names:
        if name not in METRICS and name not in more:
            known = [*METRICS, *more]
            nearest = get_close_matches(name.lower(), known, n=1)
            hint = (
                f"; did you mean {nearest[0]}?" if nearest else f"; choose from {', '.join(known)}."
            )
            raise ConfigError(f"{key}: there is no metric {name}{hint}")
