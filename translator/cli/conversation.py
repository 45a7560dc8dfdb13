"""`translator translate` at a terminal: the user types sentences and reads translations."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from translator.cli.terminal import progress
from translator.corpora.lines import decode_line
from translator.diagnostics.input_checks import InputChecks
from translator.diagnostics.output_checks import OutputChecks
from translator.errors import DataError
from translator.workflows.alignments import open_aligner, stream_translations
from translator.workflows.open_run import open_run
from translator.workflows.standard_streams import input_stream
from translator.workflows.translate import (
    check_paths,
    log_warnings,
    open_output,
    write_translations,
)


def converse(
    run: Path,
    output: Path | None,
    n_best: int | None,
    overrides: Sequence[str],
    engine_name: str | None,
    alignments: bool = False,
) -> None:
    """Ask for sentences and translate each at once, until the input ends. Raises UserError."""
    check_paths(None, output)
    opened = open_run(run, overrides, engine_name)
    checks = InputChecks(opened.config.data, opened.tokenizer.source.tags)
    output_checks = OutputChecks()
    engine = opened.engine()
    aligner = open_aligner(opened, engine, progress()) if alignments else None
    engine.hypotheses(["."], n_best or 1)  # traces the graphs, so that the user need not wait later
    has_warned = False
    with open_output(output) as file:
        print("Type a sentence and press Enter; exit with Ctrl-D.", file=sys.stderr)
        for number, sentence in enumerate(checks.watch(_typed()), start=1):
            if not has_warned and (warnings := checks.warnings("the input")):
                log_warnings(warnings)
                has_warned = True
            found = stream_translations(engine, aligner, [sentence], n_best or 1)
            [translations] = output_checks.watch(found)
            write_translations(file, number, translations, n_best)
            file.flush()
    log_warnings(output_checks.warnings())


def _typed() -> Iterator[str]:
    """Yield the lines that the user types, each after a prompt on stderr."""
    number, stream = 1, input_stream()
    while True:
        print("> ", end="", file=sys.stderr, flush=True)
        line = stream.readline()
        if not line:
            print(file=sys.stderr)
            return
        try:
            yield decode_line(line.rstrip(b"\r\n"), "standard input", number)
            number += 1
        except DataError as error:
            print(f"Error: {error}.", file=sys.stderr)
