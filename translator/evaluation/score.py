"""BLEU, chrF and TER as sacreBLEU computes them (Post 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric

from translator.config.schema import EvaluationConfig
from translator.errors import ConfigError
from translator.evaluation.words import base_language
from translator.training.results import Score

TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}
"""BLEU's tokenizers for languages written without spaces."""
EXTRAS = {"ja-mecab": "ja", "ko-mecab": "ko"}
"""Extras of this package that install them."""


def check_tokenizer(
    config: EvaluationConfig, target_language: str, references: Sequence[str] = ()
) -> None:
    """Raise ConfigError if BLEU's tokenizer for this language is not installed."""
    bleu_metric(config, target_language)


def bleu(
    hypotheses: Sequence[str],
    references: Sequence[str],
    config: EvaluationConfig,
    target_language: str,
) -> Score:
    """Corpus BLEU. Raises ConfigError if its tokenizer is not installed."""
    return _score(bleu_metric(config, target_language), hypotheses, references)


def chrf(
    hypotheses: Sequence[str],
    references: Sequence[str],
    config: EvaluationConfig,
    target_language: str,
) -> Score:
    """Corpus chrF2, which is the same for all languages."""
    return _score(CHRF(lowercase=config.lowercase), hypotheses, references)


def ter(
    hypotheses: Sequence[str],
    references: Sequence[str],
    config: EvaluationConfig,
    target_language: str,
) -> Score:
    """Corpus TER. Languages written without spaces are compared by character."""
    is_asian = base_language(target_language) in TOKENIZERS
    metric = TER(case_sensitive=not config.lowercase, normalized=is_asian, asian_support=is_asian)
    return _score(metric, hypotheses, references)


class BleuCounts:
    """Corpus BLEU of many translations of the same sentences, and of samples of them.

    N-grams are counted once per sentence. Corpus BLEU follows from sums of these counts.
    """

    def __init__(
        self, references: Sequence[str], config: EvaluationConfig, target_language: str
    ) -> None:
        """Raises ConfigError if BLEU's tokenizer is not installed."""
        self._metric = bleu_metric(config, target_language)
        self._by_sentence = bleu_metric(config, target_language, of_sentences=True)
        self._references = references
        self._known: dict[tuple[int, str], list[int]] = {}

    def count(self, translations: Sequence[str]) -> np.ndarray:
        """[sentences, 10] counts of each sentence: its length, the length of its reference, the
        number of matching 1- to 4-grams, and the number of all 1- to 4-grams."""
        counts = [self._count(*numbered) for numbered in enumerate(translations)]
        return np.array(counts, np.int32)

    def _count(self, i: int, translation: str) -> list[int]:
        known = self._known.get((i, translation))
        if known is None:
            found = self._by_sentence.sentence_score(translation, [self._references[i]])
            known = [found.sys_len, found.ref_len, *found.counts, *found.totals]
            self._known[i, translation] = known
        return known

    def bleu(self, counts: np.ndarray) -> float:
        """BLEU of some sentences, from the sum [10] of their counts."""
        length, reference_length, *grams = counts.tolist()
        matching, total = grams[: len(grams) // 2], grams[len(grams) // 2 :]
        smoothing = self._metric.smooth_method
        found = self._metric.compute_bleu(matching, total, length, reference_length, smoothing)
        return round(found.score, 4)

    @property
    def signature(self) -> str:
        self._metric.corpus_score(["-"], [["-"]])  # sets the number of references
        return str(self._metric.get_signature())


def bleu_metric(config: EvaluationConfig, target_language: str, of_sentences: bool = False) -> BLEU:
    """sacreBLEU's metric. Raises ConfigError if its tokenizer is not installed."""
    tokenize: str = config.tokenize
    if tokenize == "auto":
        tokenize = TOKENIZERS.get(base_language(target_language), "13a")
    try:
        # force: no warning if the text is tokenized already; the signature shows it.
        return BLEU(
            tokenize=tokenize,
            lowercase=config.lowercase,
            force=True,
            effective_order=of_sentences,
        )
    except (RuntimeError, ImportError):
        extra = EXTRAS.get(tokenize, tokenize)
        raise ConfigError(
            f"BLEU's tokenizer {tokenize} is not installed; install the extra [{extra}] "
            f"(pip install '.[{extra}]' in the checkout), or set evaluation.tokenize."
        ) from None


def _score(metric: Metric, hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    result = metric.corpus_score(list(hypotheses), [list(references)])
    return Score(result.name, round(result.score, 4), str(metric.get_signature()))
