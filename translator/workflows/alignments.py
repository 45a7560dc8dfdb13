"""The word aligner of a run: made from its text when it is first needed, then kept in the run."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from translator.alignment.lexicon import Lexicon, WordPair, normalized_words, split_words, thinned
from translator.alignment.links import pharaoh
from translator.alignment.run_files import load_lexicon, load_reading, save_lexicon, save_reading
from translator.config.schema import DataConfig
from translator.data.corpus import Pair, read_pairs
from translator.data.tags import split_tag
from translator.decoding import engine as engines
from translator.decoding.engine import Engine, Translation
from translator.errors import ConfigError, UserError
from translator.export.load import LoadedExport
from translator.workflows.progress import Progress, counting

if TYPE_CHECKING:
    from translator.alignment.aligner import Aligner, AttentionReader
    from translator.alignment.run_files import Reading
    from translator.decoding.loaded_run import LoadedRun
    from translator.decoding.translator import Translator

log = logging.getLogger(__name__)

VALIDATION_PAIRS = 500
"""Pairs on which the reading is chosen."""

LARGEST_TABLE = 10_000
"""Words of the source times words of the target in such a pair. All heads of all layers are in
memory at once."""

SHOW_EVERY = 10_000
"""Pairs between two reports of progress."""


def open_aligner(run: LoadedRun | LoadedExport, engine: Engine, progress: Progress) -> Aligner:
    """The aligner of a run. What the run does not keep yet is made, and kept if possible.

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
    if run.directory.is_bundle and (lexicon is None or reading is None):
        raise ConfigError(
            "This bundle has no word alignments. Use `translator translate --alignments` with the "
            "run that it was made from, then export that run again; with training.keep_text: "
            "false, no bundle has them"
        )
    if lexicon is None:
        lexicon = _learn_lexicon(run.config.data, progress)
        _keep(run, lambda: save_lexicon(run.directory, lexicon))
    if reading is None:
        reading, agreement = _choose_reading(run.config.data, engine, attention, lexicon)
        _keep(run, lambda: save_reading(run.directory, run.digest, reading, agreement))
    return Aligner(attention, lexicon, reading)


def _keep(run: LoadedRun, save: Callable[[], None]) -> None:
    """Save something in the run, if it was made from the run's own text and settings."""
    if not run.config.training.keep_text or run.config.data != run.recorded.data:
        return
    try:
        save()
    except OSError as error:
        log.warning(f"The word alignments are not kept: {error.filename}: {error.strerror}.")


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
            block.extend(islice(results, engines.LINES_AT_ONCE))
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


def _learn_lexicon(data: DataConfig, progress: Progress) -> Lexicon:
    """Learn the lexicon from the training text."""
    num_pairs = 0
    with counting(progress, "Learning which words translate each other") as show:

        def watched() -> Iterator[Pair]:
            nonlocal num_pairs
            for num_pairs, (source, target) in enumerate(read_pairs(data, "train"), start=1):
                yield Pair(split_tag(source, data.tags)[1], target)
                if num_pairs % SHOW_EVERY == 0:
                    show(num_pairs)

        sample = thinned(watched())
        if len(sample) < num_pairs:
            log.info(f"Words are learnt from {len(sample):,} of {num_pairs:,} training pairs.")
        return Lexicon.learn(
            [WordPair(normalized_words(one), normalized_words(other)) for one, other in sample]
        )


def _choose_reading(
    data: DataConfig, engine: Translator, attention: AttentionReader, lexicon: Lexicon
) -> tuple[Reading, float]:
    """Where attention is read, and how well it agrees with the lexicon, on validation text."""
    from translator.alignment.aligner import TranslatedLine, choose_reading

    pairs = list(islice(read_pairs(data, "validation"), VALIDATION_PAIRS))
    rows = engine.tokenizer.target.encode([pair.target for pair in pairs])
    texts = engine.tokenizer.target.decode(rows)
    lines = [
        TranslatedLine(pair.source, text, row)
        for pair, text, row in zip(pairs, texts, rows, strict=True)
        if len(split_words(pair.source)) * len(split_words(text)) <= LARGEST_TABLE
    ]
    read = [one for _, one in attention.read(lines)]
    if not read:
        raise ConfigError(
            "Words are aligned by means of the validation text, in which no pair has words on both "
            f"sides and at most {LARGEST_TABLE:,} pairs of them. Set data.validation to another "
            "text."
        )
    reading, agreement = choose_reading(read, lexicon)
    heads = ", ".join(map(str, reading.heads))
    log.info(
        f"Words are aligned by decoder layer {reading.layer}, heads {heads}, read at the "
        f"{reading.at}; on validation text it agrees with the lexicon by {agreement:.0%}."
    )
    return reading, round(agreement, 4)
