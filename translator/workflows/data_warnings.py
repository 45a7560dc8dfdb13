"""What looks wrong with a run's text before the first step, each in a sentence with the way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from translator.config import Config
from translator.config.preset import LONGEST_SIDE
from translator.config.statistics import LengthLimit
from translator.data.length_limit import needed_limit, share_beyond
from translator.data.writing import Facts
from translator.diagnostics.input_checks import InputChecks
from translator.workflows.preparation import Prepared

UNKNOWN = 0.01
"""Share of the pieces that a vocabulary of this text has no need to lack."""

NEARLY_CHARACTERS = 1.7
"""Characters a piece, spaces included, below which a vocabulary hardly holds words. Measured: 4,000
pieces of Multi30k give 4 on its text and 2.3 on Tatoeba's German, 4,000 Spanish ones 1.4 on German
and English, 400 pieces of Multi30k 1.4 on its own text."""

BEYOND = 0.005
"""Share of the targets beyond the length limit of translations from which on it is said: five times
what the limit leaves out by itself, when it follows from the training text."""

LONG = 0.05
"""Share of the pairs that a limit may leave out in silence."""

LEARN_ANEW = "Begin a run without --from: it learns a vocabulary of its own text."


def data_warnings(prepared: Prepared) -> Iterator[str]:
    """Sentences on the text of a run."""
    facts = prepared.training.facts, prepared.validation.facts
    yield from text_warnings(prepared.config, *facts, VocabularyFacts.of(prepared))
    limit, most = prepared.config.decoding.length_limit, prepared.config.data.max_length
    for name, text in (("training", prepared.training), ("validation", prepared.validation)):
        read = np.minimum(text.source.lengths, most)
        yield from limit_warnings(name, limit, read, text.target.lengths)
    check = InputChecks(prepared.config.data, prepared.tokenizer.source.tags)
    for _ in check.watch(pair.source for pair in prepared.validation.pairs()):
        pass
    yield from check.tag_warnings("the validation text")


class VocabularyFacts(NamedTuple):
    """What the ways out depend on beside the configuration."""

    sizes: Mapping[str, int]
    """Pieces of either side."""
    is_borrowed: bool = False
    """Whether the vocabulary is that of another run."""
    is_exact: bool = True
    """Whether targets are read as they are; not in older runs."""

    @classmethod
    def of(cls, prepared: Prepared) -> VocabularyFacts:
        source, target = prepared.tokenizer
        return cls(
            {"source": len(source), "target": len(target)},
            is_borrowed=prepared.start_weights is not None,
            is_exact=target.is_exact,
        )


def limit_warnings(
    name: str, limit: LengthLimit, sources: np.ndarray, targets: np.ndarray
) -> Iterator[str]:
    """A sentence on targets that no translation can be as long as; lengths [N], in pieces."""
    share = share_beyond(limit, sources, targets)
    if share > BEYOND:
        needed = needed_limit(sources, targets)
        yield (
            f"{share:.1%} of the targets of the {name} text are longer than translations may be "
            f"({limit}): those are cut there. Begin a run with decoding.max_length_ratio "
            f"{needed.ratio:g} and max_length_extra {needed.extra}, or more, or set them for "
            "`translate` and `eval`."
        )


def text_warnings(
    config: Config, training: Facts, validation: Facts, known: VocabularyFacts
) -> Iterator[str]:
    """Sentences on vocabulary and length."""
    for name, facts in (("training", training), ("validation", validation)):
        yield from _unreachable(config, name, facts, known)
        if facts.num_nul:
            yield _nul(name, facts)
        else:
            yield from _unknown(config, name, facts, known)
    yield from _nearly_characters(config, training, known)
    share = training.num_long / (training.num_pairs + training.num_long)
    if share > LONG:
        is_chosen = config.preset is not None and config.data.max_length == LONGEST_SIDE
        higher = "a higher data.max_length, or with "
        yield (
            f"{share:.0%} of the training pairs are left out, because a side has more than "
            f"{config.data.max_length} pieces. Begin a run with {'' if is_chosen else higher}"
            "shorter sentences."
        )


def _unreachable(config: Config, name: str, facts: Facts, known: VocabularyFacts) -> Iterator[str]:
    if not facts.num_unreachable:
        return
    shown = [f"{wanted!r} (it would write {made!r})" for wanted, made in facts.unreachable]
    if known.is_borrowed or config.tokenizer.kind == "word":
        way_out = _better_vocabulary(config, "target", known)
    elif not known.is_exact:
        way_out = "Begin another run: its vocabulary reads targets as they are."
    elif not config.tokenizer.byte_fallback:
        way_out = _better_vocabulary(config, "target", known)
    else:
        way_out = "Replace these characters in the text."
    yield (
        f"{facts.num_unreachable / facts.num_pairs:.1%} of the targets of the {name} text "
        f"({facts.num_unreachable:,} of {facts.num_pairs:,}) hold text that this vocabulary cannot "
        f"produce, such as {', '.join(shown)}. {way_out}"
    )


def _nul(name: str, facts: Facts) -> str:
    return (
        f"{facts.num_nul:,} pairs of the {name} text hold NUL characters, first pair "
        f"{facts.first_nul:,}: they are no text, and mostly come from a file in UTF-16 or from a "
        "damaged one. Convert the file, for example with: iconv -f UTF-16LE -t UTF-8; or remove "
        r"them with: tr -d '\000'"
    )


def _unknown(config: Config, name: str, facts: Facts, known: VocabularyFacts) -> Iterator[str]:
    kind = "bytes" if config.tokenizer.spells_in_bytes else "unknown pieces"
    lacks = "words" if config.tokenizer.kind == "word" else "characters"
    for side, coverage in (("source", facts.source), ("target", facts.target)):
        if coverage.unknown_share > UNKNOWN:
            yield (
                f"{coverage.unknown_share:.1%} of the pieces in the {side} side of the {name} text "
                f"are {kind}: the vocabulary lacks its {lacks}. "
                + _better_vocabulary(config, side, known)
            )


def _better_vocabulary(config: Config, side: str, known: VocabularyFacts) -> str:
    """How to begin a run whose vocabulary lacks less."""
    tokenizer = config.tokenizer
    if known.is_borrowed:
        return LEARN_ANEW
    if tokenizer.kind == "word":
        is_full = known.sizes[side] >= _size_asked_for(config)
        more = "with more tokenizer.vocabulary_size, " if is_full else ""
        return (
            f"Begin a run {more}with such text in data.train, or with tokenizer.kind: unigram, "
            "which spells any word."
        )
    if not tokenizer.byte_fallback:
        return "Begin a run with tokenizer.byte_fallback: true."
    if tokenizer.character_coverage == 1:
        return "Begin a run with such text in data.train."
    return (
        "Begin a run with a higher tokenizer.character_coverage, or with such text in data.train."
    )


def _nearly_characters(config: Config, training: Facts, known: VocabularyFacts) -> Iterator[str]:
    tokenizer = config.tokenizer
    if tokenizer.kind in ("word", "char"):
        return
    for side, coverage in (("source", training.source), ("target", training.target)):
        if coverage.characters_per_piece >= NEARLY_CHARACTERS:
            continue
        if known.is_borrowed:
            way_out = LEARN_ANEW
        elif known.sizes[side] >= _size_asked_for(config):
            way_out = "Begin a run with more tokenizer.vocabulary_size."
        elif tokenizer.split_by_unicode_script:
            way_out = (
                "The text gives no more pieces. Begin a run with tokenizer.kind: word, or with "
                "tokenizer.split_by_unicode_script: false, which lets a piece hold letters and "
                "signs, such as I_TURN."
            )
        else:
            way_out = "The text gives no more pieces. Begin a run with tokenizer.kind: word."
        yield (
            f"The vocabulary spells the {side} side of the training text nearly in characters, "
            f"{coverage.characters_per_piece:.1f} a piece: that is slow to train and hard to "
            f"learn from. {way_out}"
        )


def _size_asked_for(config: Config) -> int:
    assert isinstance(config.tokenizer.vocabulary_size, int)
    return config.tokenizer.vocabulary_size
