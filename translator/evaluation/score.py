"""BLEU, chrF and TER, as sacreBLEU computes them (Post 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric

from translator.config.schema import EvaluationConfig
from translator.errors import ConfigError

TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}
EXTRAS = {"ja-mecab": "ja", "ko-mecab": "ko"}


class Score(NamedTuple):
    """A figure and what it means."""

    name: str
    value: float
    signature: str

    def __str__(self) -> str:
        return f"{self.name} {self.value:.2f}  {self.signature}"


def check_tokenizer(config: EvaluationConfig, target_language: str) -> None:
    """Raise ConfigError if BLEU's tokenizer for this language is not installed."""
    _bleu_metric(config, target_language)


def bleu(
    hypotheses: Sequence[str],
    references: Sequence[str],
    config: EvaluationConfig,
    target_language: str,
) -> Score:
    """Corpus BLEU. Raises ConfigError if its tokenizer is not installed."""
    return _score(_bleu_metric(config, target_language), hypotheses, references)


def scores(
    hypotheses: Sequence[str],
    references: Sequence[str],
    config: EvaluationConfig,
    target_language: str,
) -> list[Score]:
    """BLEU, chrF and TER of a corpus. Raises ConfigError if BLEU's tokenizer is not installed."""
    metrics: list[Metric] = [
        _bleu_metric(config, target_language),
        CHRF(lowercase=config.lowercase),
        TER(
            case_sensitive=not config.lowercase,
            normalized=(asian := _base(target_language) in TOKENIZERS),
            asian_support=asian,
        ),
    ]
    return [_score(metric, hypotheses, references) for metric in metrics]


def _bleu_metric(config: EvaluationConfig, target_language: str) -> BLEU:
    tokenize: str = config.tokenize
    if tokenize == "auto":
        tokenize = TOKENIZERS.get(_base(target_language), "13a")
    try:
        # force: text that is tokenized already is scored as it is, and the signature tells.
        return BLEU(tokenize=tokenize, lowercase=config.lowercase, force=True)
    except (RuntimeError, ImportError):
        extra = EXTRAS.get(tokenize, tokenize)
        raise ConfigError(
            f"BLEU's tokenizer {tokenize} is not installed; install the extra [{extra}] "
            f"(pip install '.[{extra}]' in the checkout), or set evaluation.tokenize."
        ) from None


def _base(language: str) -> str:
    """zh of zh-Hans, pt of pt_BR."""
    return language.lower().replace("_", "-").partition("-")[0]


def _score(metric: Metric, hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    result = metric.corpus_score(list(hypotheses), [list(references)])
    return Score(result.name, round(result.score, 4), str(metric.get_signature()))
