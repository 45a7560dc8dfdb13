"""What looks wrong with the text of a run, found before its first step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from translator.config import Config
from translator.config.preset import LONGEST_SIDE
from translator.config.statistics import LengthLimit
from translator.data.length_limit import needed_limit, share_beyond
from translator.data.mixture import Mixture
from translator.data.store import Store
from translator.data.store_writer import StoreFacts
from translator.data.tokenizer import Tokenizer
from translator.diagnostics.input_checks import InputChecks

MAX_UNKNOWN_SHARE = 0.01
"""Share of unknown pieces up to which nothing is reported."""

MIN_CHARACTERS_PER_PIECE = 1.7
"""Characters per piece, spaces included, below which a vocabulary has hardly any words. Measured:
4,000 pieces of Multi30k give 4 on its own text and 2.3 on Tatoeba's German; 4,000 Spanish pieces
give 1.4 on German and English; 400 pieces of Multi30k give 1.4 on its own text."""

MAX_SHARE_BEYOND_LIMIT = 0.005
"""Share of targets beyond the length limit up to which nothing is reported. It is five times the
share that a limit chosen for this text leaves out."""

MAX_LONG_SHARE = 0.05
"""Share of pairs beyond data.max_length up to which nothing is reported."""

MAX_FILES = 4
"""Largest number of files of a corpus that a warning names."""

LEARN_VOCABULARY = "Start a run without --from, which learns a vocabulary of its own text."


def data_warnings(
    config: Config, tokenizer: Tokenizer, training: Mixture, validation: Store, is_borrowed: bool
) -> Iterator[str]:
    """Sentences about the text of a run. `is_borrowed`: its tokenizer comes from another run."""
    source, target = tokenizer
    sizes = {"source": len(source), "target": len(target)}
    vocabulary = VocabularyFacts(sizes, is_borrowed, target.is_exact)
    nul_places = {
        "training": nul_place(config, "train", [store.facts for store in training.stores]),
        "validation": nul_place(config, "validation", [validation.facts]),
    }
    yield from text_warnings(config, training.facts, validation.facts, vocabulary, nul_places)
    for name, text in (("training", training), ("validation", validation)):
        read = np.minimum(text.source.lengths, config.data.max_length)
        yield from limit_warnings(name, config.decoding.length_limit, read, text.target.lengths)
    check = InputChecks(config.data, source.tags)
    for _ in check.watch(pair.source for pair in validation.pairs()):
        pass
    yield from check.tag_warnings("the validation text")


class VocabularyFacts(NamedTuple):
    """Facts about the vocabulary, which decide what a warning advises."""

    sizes: Mapping[str, int]
    """Number of pieces of "source" and "target"."""
    is_borrowed: bool = False
    """Whether the vocabulary is that of another run."""
    is_exact: bool = True
    """Whether targets are encoded without normalization; not in older runs."""


def limit_warnings(
    name: str, limit: LengthLimit, sources: np.ndarray, targets: np.ndarray
) -> Iterator[str]:
    """Sentences about targets longer than any translation may be; lengths [N], in pieces."""
    share = share_beyond(limit, sources, targets)
    if share > MAX_SHARE_BEYOND_LIMIT:
        needed = needed_limit(sources, targets)
        yield (
            f"{share:.1%} of the targets of the {name} text are longer than a translation may be "
            f"({limit}), so their translations would be cut. Start a run with at least "
            f"decoding.max_length_ratio {needed.ratio:g} and max_length_extra {needed.extra}, or "
            "set them for `translate` and `eval`."
        )


def text_warnings(
    config: Config,
    training: StoreFacts,
    validation: StoreFacts,
    known: VocabularyFacts,
    nul_places: Mapping[str, str],
) -> Iterator[str]:
    """Sentences about vocabulary and length.

    nul_places: `nul_place` of "training" and "validation".
    """
    for name, facts in (("training", training), ("validation", validation)):
        yield from _unreachable(config, name, facts, known)
        if facts.num_nul:
            yield _nul(name, facts, nul_places[name])
        else:
            yield from _unknown(config, name, facts, known)
    yield from _nearly_characters(config, training, known)
    if training.num_truncated:
        share = training.num_truncated / training.num_pairs
        yield (
            f"Training reads only the first {config.data.max_length} pieces of "
            f"{training.num_truncated:,} sources ({share:.1%}), as data.truncate_sources asks. "
            "Translation truncates them, too. A higher data.max_length reads more."
        )
    share = training.num_long / (training.num_pairs + training.num_long)
    if share > MAX_LONG_SHARE:
        is_chosen = config.preset is not None and config.data.max_length == LONGEST_SIDE
        higher = "a higher data.max_length or "
        yield (
            f"{share:.0%} of the training pairs are left out, because a side has more than "
            f"{config.data.max_length} pieces. Start a run with {'' if is_chosen else higher}"
            "shorter sentences."
        )


def _unreachable(
    config: Config, name: str, facts: StoreFacts, known: VocabularyFacts
) -> Iterator[str]:
    if not facts.num_unreachable:
        return
    shown = [f"{wanted!r} (it writes {made!r})" for wanted, made in facts.unreachable]
    if known.is_borrowed or config.tokenizer.kind == "word":
        way_out = _better_vocabulary(config, "target", known)
    elif not known.is_exact:
        way_out = "Start another run: its vocabulary encodes targets exactly."
    elif not config.tokenizer.byte_fallback:
        way_out = _better_vocabulary(config, "target", known)
    else:
        way_out = "Replace these characters in the text."
    yield (
        f"{facts.num_unreachable / facts.num_pairs:.1%} of the targets of the {name} text "
        f"({facts.num_unreachable:,} of {facts.num_pairs:,}) contain text that this vocabulary "
        f"cannot produce, such as {', '.join(shown)}. {way_out}"
    )


def nul_place(config: Config, split: str, facts: Sequence[StoreFacts]) -> str:
    """Where the first NUL character is, such as: pair 12 of data.train (train.en, train.de).

    It is "" if there is none. `facts`: one for each corpus of the split, or one for all together.
    """
    corpora = config.data.corpora(split)
    places = list(corpora.items()) if len(corpora) == len(facts) else [(f"data.{split}", None)]
    for (key, corpus), one in zip(places, facts, strict=True):
        if one.num_nul:
            names = corpus.files if corpus else []
            shown = ", ".join(names[:MAX_FILES]) + (", …" if len(names) > MAX_FILES else "")
            return f"pair {one.first_nul:,} of {key}{f' ({shown})' if shown else ''}"
    return ""


def _nul(name: str, facts: StoreFacts, first: str) -> str:
    number = "1 pair" if facts.num_nul == 1 else f"{facts.num_nul:,} pairs"
    return (
        f"NUL characters in {number} of the {name} text; the first is in {first}. They usually "
        "come from a file in UTF-16 or from a damaged one. Convert the file, for example with: "
        r"iconv -f UTF-16LE -t UTF-8; or remove them with: tr -d '\000'"
    )


def _unknown(config: Config, name: str, facts: StoreFacts, known: VocabularyFacts) -> Iterator[str]:
    kind = "bytes" if config.tokenizer.spells_in_bytes else "unknown pieces"
    lacks = "words" if config.tokenizer.kind == "word" else "characters"
    for side, coverage in (("source", facts.source), ("target", facts.target)):
        if coverage.unknown_share > MAX_UNKNOWN_SHARE:
            yield (
                f"{coverage.unknown_share:.1%} of the pieces in the {side} side of the {name} text "
                f"are {kind}: the vocabulary lacks its {lacks}. "
                + _better_vocabulary(config, side, known)
            )


def _better_vocabulary(config: Config, side: str, known: VocabularyFacts) -> str:
    """How to start a run whose vocabulary lacks less."""
    tokenizer = config.tokenizer
    if known.is_borrowed:
        return LEARN_VOCABULARY
    if tokenizer.kind == "word":
        is_full = known.sizes[side] >= _wanted_size(config)
        more = "with a larger tokenizer.vocabulary_size, " if is_full else ""
        return (
            f"Start a run {more}with such text in data.train, or with tokenizer.kind: unigram, "
            "which can spell any word."
        )
    if not tokenizer.byte_fallback:
        return "Start a run with tokenizer.byte_fallback: true."
    if tokenizer.character_coverage == 1:
        return "Start a run with such text in data.train."
    return (
        "Start a run with a higher tokenizer.character_coverage, or with such text in data.train."
    )


def _nearly_characters(
    config: Config, training: StoreFacts, known: VocabularyFacts
) -> Iterator[str]:
    tokenizer = config.tokenizer
    if tokenizer.kind in ("word", "char"):
        return
    for side, coverage in (("source", training.source), ("target", training.target)):
        if coverage.characters_per_piece >= MIN_CHARACTERS_PER_PIECE:
            continue
        if known.is_borrowed:
            way_out = LEARN_VOCABULARY
        elif known.sizes[side] >= _wanted_size(config):
            way_out = "Start a run with a larger tokenizer.vocabulary_size."
        elif tokenizer.split_by_unicode_script:
            way_out = (
                "The text yields no more pieces. Start a run with tokenizer.kind: word, or with "
                "tokenizer.split_by_unicode_script: false, which allows pieces of letters and "
                "signs, such as I_TURN."
            )
        else:
            way_out = "The text yields no more pieces. Start a run with tokenizer.kind: word."
        yield (
            f"The vocabulary splits the {side} side of the training text nearly into characters, "
            f"{coverage.characters_per_piece:.1f} per piece, which is slow to train and hard to "
            f"learn from. {way_out}"
        )


def _wanted_size(config: Config) -> int:
    assert isinstance(config.tokenizer.vocabulary_size, int)
    return config.tokenizer.vocabulary_size
