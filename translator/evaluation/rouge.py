"""ROUGE as Google's package rouge-score computes it (Lin 2004).

The package keeps only the letters a to z and digits. That is right for English alone, and figures
for English are published that way. For other languages with spaces between words, ROUGE compares
the words of words.py instead. The signature names the tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from translator.config.schema import EvaluationConfig
from translator.errors import ConfigError
from translator.evaluation.words import (
    UNSPACED_LANGUAGES,
    base_language,
    is_unspaced,
    share_of_letters,
    words,
)
from translator.training.results import Score

KINDS = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}
"""Names of scores by the package's names. rougeL compares whole texts, without their sentences."""

ENGLISH = ("en", "eng", "english")

MOST_UNFIT = 0.01
"""Share of the letters of the references that the tokenizer may drop, or that may belong to a
script without spaces. English text has 0 to 0.2 % of letters beyond a to z, German has 1.5 to 2 %
and Spanish 3.3 % (Multi30k, Anki, EuTrans)."""


class _Words:
    """A tokenizer for the package."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


def rouge(
    hypotheses: Sequence[str],
    references: Sequence[str],
    config: EvaluationConfig,
    target_language: str,
) -> list[Score]:
    """ROUGE-1, ROUGE-2 and ROUGE-L: means over the sentences of F1, times 100.

    Case never counts. Raises ConfigError as `check_rouge` does.
    """
    check_rouge(config, target_language, references)
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(KINDS), tokenizer=_tokenizer(target_language))
    found = [scorer.score(*pair) for pair in zip(references, hypotheses, strict=True)]
    return [
        Score(
            name,
            round(100 * float(np.mean([one[kind].fmeasure for one in found])), 4),
            _signature(kind, target_language),
        )
        for kind, name in KINDS.items()
    ]


def check_rouge(
    config: EvaluationConfig, target_language: str, references: Sequence[str] = ()
) -> None:
    """Raise ConfigError if the package is not installed, or ROUGE does not suit the text."""
    try:
        import rouge_score  # noqa: F401
    except ImportError:
        raise ConfigError(
            "ROUGE's package rouge-score is not installed; install the extra [rouge] (pip install "
            "'.[rouge]' in the checkout), or use chrf in place of rouge."
        ) from None
    if base_language(target_language) in UNSPACED_LANGUAGES:
        raise ConfigError(
            f"ROUGE compares words, but data.target_language {target_language} is written without "
            "spaces between words; use chrf in place of rouge."
        )
    share = share_of_letters(references, is_unspaced)
    if share > MOST_UNFIT:
        raise ConfigError(
            f"ROUGE compares words, but {share:.1%} of the letters of the references are of "
            "scripts without spaces between words; use chrf in place of rouge."
        )
    share = share_of_letters(references, lambda letter: not "a" <= letter <= "z")
    if _is_english(target_language) and share > MOST_UNFIT:
        raise ConfigError(
            "ROUGE's tokenizer for English drops all letters but a to z, which are "
            f"{share:.1%} of the letters of the references; correct data.target_language "
            f"{target_language}, or use chrf in place of rouge."
        )


def _is_english(language: str) -> bool:
    return base_language(language) in ENGLISH


def _tokenizer(language: str) -> Any:
    """For English the one that published figures use, with a stemmer."""
    if not _is_english(language):
        return _Words()
    from rouge_score.tokenizers import DefaultTokenizer

    return DefaultTokenizer(use_stemmer=True)


def _signature(kind: str, language: str) -> str:
    """What decides a score, in the manner of sacreBLEU."""
    from importlib.metadata import version

    kept = "tok:default|stem:porter" if _is_english(language) else "tok:unicode|stem:no"
    package = version("rouge-score")
    return f"nrefs:1|case:lc|{kept}|type:{kind}|score:f1|mean:sentences|version:{package}"
