"""Summaries from the repository alone: a model learns what matters in a message."""

from pathlib import Path

import pytest

from translator import evaluate, train

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_model_sums_up_much_better_than_the_first_words(workplace: Path) -> None:
    """In a quarter of the configured time it knows what the news is, but not yet all names."""
    settings = ["max_steps=300", "validate_every=300", "tokens_per_step=1536"]
    overrides = [f"training.{setting}" for setting in settings]
    train(ROOT / "configs/summarize.yaml", run="runs/summarize", overrides=overrides)
    scores = evaluate("runs/summarize", baseline=True)
    model, first_words, nearest_pair = (one.value for one in scores if one.name.endswith("ROUGE-1"))
    assert model > 2 * first_words > 0
    assert nearest_pair > first_words
