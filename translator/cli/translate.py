"""`translator translate`: lines in, lines out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from translator.cli.export import need_ctranslate2
from translator.config import load_config
from translator.config.schema import DataConfig
from translator.data.lines import read_lines, read_stream
from translator.data.tags import TagCheck
from translator.errors import ConfigError
from translator.runs import RunDirectory

if TYPE_CHECKING:
    from translator.decoding.engine import Engine, Translation


def translate(
    run_path: str | Path,
    source: str | Path | None = None,
    output: str | Path | None = None,
    n_best: int | None = None,
    overrides: Sequence[str] = (),
    engine: str | None = None,
) -> None:
    """Translate a file (or standard input) to a file (or standard output), a line a line.

    The run may be an export, too; with engine "ctranslate2" it is the one in the run. With n_best,
    each line gives up to so many rows of line number, score and text, tab-separated.
    At a terminal it asks for sentences. Raises UserError.
    """
    source, output = (None if path is None else Path(path) for path in (source, output))
    interactive = source is None and sys.stdin.isatty()
    lines = read_lines(source) if source else read_stream(sys.stdin.buffer, "standard input")
    if source and output and source.exists() and output.exists() and output.samefile(source):
        raise ConfigError(f"{output}: the output would overwrite the input; name another file.")
    translator, data = _open(Path(run_path), engine, overrides)
    check = TagCheck(data, translator.tokenizer.source.tags)
    if interactive:
        with _output(output) as file:
            _converse(translator, file, n_best, check)
        return
    results = translator.stream(check.watch(lines), n_best or 1)
    # What is wrong with the input or the options shows before the output is opened.
    first = list(islice(results, 1))
    with _output(output) as file:
        for number, found in enumerate(chain(first, results), start=1):
            _write(file, number, found, n_best)
    _warn(check.complaints("the input"))


def _open(path: Path, engine: str | None, overrides: Sequence[str]) -> tuple[Engine, DataConfig]:
    """What translates, and the data that it was trained on."""
    is_export = (path / "export.json").exists()
    if engine is None and not is_export:
        from translator.decoding.translator import Translator, load_run_config

        return Translator.load(path, overrides), load_run_config(RunDirectory(path)).data
    need_ctranslate2()
    from translator.export.opening import export_of, open_export
    from translator.export.record import CONFIG

    folder = path if is_export else export_of(RunDirectory.existing(path))
    return open_export(folder, overrides), load_config(folder / CONFIG).data


def _converse(translator: Engine, file: TextIO, n_best: int | None, check: TagCheck) -> None:
    """Ask, translate, until the end of input."""
    print("Type a sentence and press Enter; leave with Ctrl-D.", file=sys.stderr)
    warned = False
    for number, sentence in enumerate(check.watch(_prompt()), start=1):
        if not warned and (complaints := check.complaints("the input")):
            _warn(complaints)
            warned = True
        [found] = translator.hypotheses([sentence], n_best or 1)
        _write(file, number, found, n_best)
        file.flush()


def _prompt() -> Iterator[str]:
    """What a person types, line by line; the prompt goes to stderr, beside what is translated."""
    while True:
        print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.buffer.readline()
        if not line:
            print(file=sys.stderr)
            return
        yield from read_stream([line], "standard input")


def _warn(complaints: list[str]) -> None:
    for complaint in complaints:
        print(f"Warning: {complaint}", file=sys.stderr)


def _write(file: TextIO, number: int, found: list[Translation], n_best: int | None) -> None:
    if found[0].num_unread:
        print(
            f"Warning: line {number} is too long; its last {found[0].num_unread} pieces (beyond "
            "data.max_length) were not read.",
            file=sys.stderr,
        )
    if n_best is None:
        print(found[0].text, file=file)
    else:
        for translation in found:
            print(number, f"{translation.score:.6f}", translation.text, sep="\t", file=file)


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        yield sys.stdout
        sys.stdout.flush()
    else:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield file
