"""The word aligner of a run: made from its text when it is first needed, then kept in the run."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from translator.alignment.kept import load_lexicon, load_reading, save_lexicon, save_reading
from translator.alignment.lexicon import Lexicon, WordPair, normalized_words
from translator.alignment.links import pharaoh
from translator.config.schema import DataConfig
from translator.data.corpus import Pair, read_pairs
from translator.data.tags import split_tag
from translator.decoding.engine import LINES_AT_ONCE, Engine, Translation
from translator.errors import ConfigError, UserError
from translator.export.load import LoadedExport
from translator.workflows.progress import Progress, counting

if TYPE_CHECKING:
    from translator.alignment.aligner import Aligner, AttentionReader
    from translator.alignment.kept import Reading
    from translator.decoding.loaded_run import LoadedRun
    from translator.decoding.translator import Translator

log = logging.getLogger(__name__)

VALIDATION_PAIRS = 500
"""Pairs on which the reading is chosen."""

SHOW_EVERY = 10_000
"""Pairs between two reports of progress."""


def open_aligner(run: LoadedRun | LoadedExport, engine: Engine, progress: Progress) -> Aligner:
    """The aligner of a run. What the run does not keep yet is made and kept.

    engine: that of the run. Raises ConfigError for an export, DataError if the run's text is
    missing, and other UserErrors.
    """
    from translator.alignment.aligner import Aligner, AttentionReader
    from translator.decoding.translator import Translator

    if isinstance(run, LoadedExport) or not isinstance(engine, Translator):
        raise ConfigError(
            "--alignments needs the attention of our own model, which an export does not give. "
            "Name a run or a bundle, without --engine."
        )
    attention = AttentionReader(engine.model, engine.tokenizer, engine.max_length)
    lexicon, reading = load_lexicon(run.directory), load_reading(run.directory, run.digest)
    if lexicon is None:
        lexicon = _learn_lexicon(run, progress)
    if reading is None:
        reading = _choose_reading(run, engine, attention, lexicon)
    return Aligner(attention, lexicon, reading)


def stream_translations(
    engine: Engine, aligner: Aligner | None, lines: Iterable[str], num_returned: int
) -> Iterator[list[Translation]]:
    """`Engine.stream`; with an aligner, each translation has its word links.

    Links do not depend on where a resumed translation begins: it begins with a whole block.
    """
    if aligner is None:
        yield from engine.stream(lines, num_returned)
        return
    from translator.alignment.aligner import TranslatedLine

    read: deque[str] = deque()

    def remembered() -> Iterator[str]:
        for line in lines:
            read.append(line)
            yield line

    results = engine.stream(remembered(), num_returned)
    error: UserError | None = None
    while error is None:
        block: list[list[Translation]] = []
        try:
            block.extend(islice(results, LINES_AT_ONCE))
        except UserError as raised:  # the translations before it count
            error = raised
        if not block:
            break
        translated = [
            TranslatedLine(line, one.text, one.ids)
            for found, line in zip(block, [read.popleft() for _ in block], strict=True)
            for one in found
        ]
        links = map(pharaoh, aligner.align(translated))
        yield from ([one._replace(links=next(links)) for one in found] for found in block)
    if error is not None:
        raise error


def _learn_lexicon(run: LoadedRun, progress: Progress) -> Lexicon:
    """Learn the lexicon from the training text."""
    if run.directory.is_bundle:
        raise ConfigError(
            "This bundle cannot align words. Use `translator translate --alignments` with the run "
            "that it was made from, then export that run again."
        )
    data = run.config.data
    with counting(progress, "Learning which words translate each other") as show:

        def watched() -> Iterator[Pair]:
            for number, pair in enumerate(read_pairs(data, "train"), start=1):
                yield pair
                if number % SHOW_EVERY == 0:
                    show(number)

        pairs = _without_tags(data, watched())
        lexicon = Lexicon.learn(
            WordPair(normalized_words(source), normalized_words(target)) for source, target in pairs
        )
    if run.config.training.keep_text:
        save_lexicon(run.directory, lexicon)
    return lexicon


def _choose_reading(
    run: LoadedRun, engine: Translator, attention: AttentionReader, lexicon: Lexicon
) -> Reading:
    """Choose where attention is read, on validation text."""
    from translator.alignment.aligner import TranslatedLine, choose_reading

    pairs = list(islice(read_pairs(run.config.data, "validation"), VALIDATION_PAIRS))
    rows = engine.tokenizer.target.encode([pair.target for pair in pairs])
    texts = engine.tokenizer.target.decode(rows)
    lines = [
        TranslatedLine(pair.source, text, row)
        for pair, text, row in zip(pairs, texts, rows, strict=True)
    ]
    read = [one for _, one in attention.read(lines)]
    if not read:
        raise ConfigError(
            "Words are aligned by means of the validation text, in which no pair has words on both "
            "sides. Set data.validation to another text."
        )
    reading, agreement = choose_reading(read, lexicon)
    if not run.directory.is_bundle:
        save_reading(run.directory, run.digest, reading, round(agreement, 4))
    heads = ", ".join(map(str, reading.heads))
    log.info(
        f"Words are aligned by decoder layer {reading.layer}, heads {heads}, read at the "
        f"{reading.at}; on validation text it agrees with the lexicon by {agreement:.0%}."
    )
    return reading


def _without_tags(data: DataConfig, pairs: Iterable[Pair]) -> Iterator[Pair]:
    for source, target in pairs:
        yield Pair(split_tag(source, data.tags)[1], target)
