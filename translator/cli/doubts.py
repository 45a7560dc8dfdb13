"""What looks wrong with a run's text before the first step, each in a sentence with the way out."""

from __future__ import annotations

from collections.abc import Iterator

from translator.cli.prepare import Prepared
from translator.config import Config
from translator.data.source_check import SourceCheck
from translator.data.writing import Facts

UNKNOWN = 0.01
"""Share of the pieces that a vocabulary of this text has no need to lack."""

NEARLY_CHARACTERS = 1.7
"""Characters a piece, spaces included, below which a vocabulary hardly holds words. Measured: 4,000
pieces of Multi30k give 4 on its text and 2.3 on Tatoeba's German, 4,000 Spanish ones 1.4 on German
and English, 400 pieces of Multi30k 1.4 on its own text."""

LONG = 0.05
"""Share of the pairs that a limit may leave out in silence."""


def doubts(prepared: Prepared) -> Iterator[str]:
    """Sentences on the text of a run."""
    borrowed = prepared.start_weights is not None
    facts = prepared.training.facts, prepared.validation.facts
    yield from text_doubts(prepared.config, *facts, borrowed)
    check = SourceCheck(prepared.config.data, prepared.tokenizer.source.tags)
    for _ in check.watch(pair.source for pair in prepared.validation.pairs()):
        pass
    yield from check.complaints("the validation text")


def text_doubts(
    config: Config, training: Facts, validation: Facts, borrowed: bool
) -> Iterator[str]:
    """Sentences on vocabulary and length; `borrowed`: the vocabulary is that of another run."""
    learn_anew = "Begin a run without --from: it learns a vocabulary of its own text."
    for name, facts in (("training", training), ("validation", validation)):
        for side, spelling in (("source", facts.source), ("target", facts.target)):
            if spelling.unknown_share <= UNKNOWN:
                continue
            if borrowed:
                way_out = learn_anew
            elif not config.tokenizer.byte_fallback:
                way_out = "Begin a run with tokenizer.byte_fallback: true."
            else:
                way_out = (
                    "Begin a run with a higher tokenizer.character_coverage, or with such text in "
                    "data.train."
                )
            kind = "bytes" if config.tokenizer.byte_fallback else "unknown pieces"
            yield (
                f"{spelling.unknown_share:.1%} of the pieces in the {side} side of the {name} text "
                f"are {kind}: the vocabulary lacks its characters. {way_out}"
            )
    for side, spelling in (("source", training.source), ("target", training.target)):
        if spelling.characters_per_piece < NEARLY_CHARACTERS:
            yield (
                f"The vocabulary spells the {side} side of the training text nearly in characters, "
                f"{spelling.characters_per_piece:.1f} a piece: that is slow to train and hard to "
                "learn from. "
                + (learn_anew if borrowed else "Begin a run with more tokenizer.vocabulary_size.")
            )
    share = training.num_long / (training.num_pairs + training.num_long)
    if share > LONG:
        yield (
            f"{share:.0%} of the training pairs are left out, because a side has more than "
            f"{config.data.max_length} pieces. Begin a run with a higher data.max_length, or with "
            "shorter sentences."
        )
