"""`translate`: lines in, lines out, from a file or a stream."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from translator.corpora.lines import is_gzip, read_lines, read_stream
from translator.decoding import engine as engines
from translator.diagnostics.input_checks import InputChecks
from translator.diagnostics.output_checks import OutputChecks
from translator.errors import ConfigError, UserError
from translator.files import check_name
from translator.workflows.alignments import open_aligner, stream_translations
from translator.workflows.open_run import open_run
from translator.workflows.progress import LOG_LINES, Progress, counting
from translator.workflows.resumable_output import ResumableOutput, is_half_done
from translator.workflows.standard_streams import input_stream, is_terminal, text_output

if TYPE_CHECKING:
    from translator.decoding.engine import Translation

log = logging.getLogger(__name__)

Results = Iterator[list["Translation"]]
"""The translations of each line, best first."""

MAX_LINKS = 40
"""Symbolic links that are followed, as in Linux."""


def translate(
    run: str | Path,
    source: str | Path | None = None,
    output: str | Path | None = None,
    n_best: int | None = None,
    overrides: Sequence[str] = (),
    engine: str | None = None,
    resume: bool = False,
    progress: Progress = LOG_LINES,
    alignments: bool = False,
) -> None:
    """Translate text, one sentence per line.

    run: a run, a bundle or an export; `overrides` and `engine` as in `open_run`.
    source, output: files; by default standard input and standard output.
    n_best: write up to this many translations per line, each as line number, score and text,
    separated by tabs.
    resume: continue a translation from file to file that was interrupted.
    alignments: write behind each translation a tab and its word links in Pharaoh format, such as
    "0-0 1-2". Words are counted between spaces and tabs, from 0, the source's first.

    Raises UserError.
    """
    source, output = (None if path is None else Path(path) for path in (source, output))
    check_paths(source, output, resume)
    lines = read_lines(source) if source else read_stream(input_stream(), "standard input")
    opened = open_run(run, overrides, engine)
    checks = InputChecks(opened.config.data, opened.tokenizer.source.tags)
    decided_by = {"--n-best": n_best, **opened.decided_by()}
    loaded = opened.engine()
    aligner = open_aligner(opened, loaded, progress) if alignments else None
    if aligner:
        decided_by |= {"--alignments": True, **aligner.decided_by()}
    del opened  # The engine holds the weights now.
    if source and output and _is_plain(source) and _is_plain(output):
        resumable = ResumableOutput(source, output, decided_by)
        remaining = resumable.start(checks.watch(lines), resume)
        results = stream_translations(loaded, aligner, remaining, n_best or 1)
        output_checks = _to_file(results, resumable, n_best, progress)
    elif resume:
        raise ConfigError("--resume needs plain files as --input and --output.")
    else:
        results = stream_translations(loaded, aligner, checks.watch(lines), n_best or 1)
        output_checks = _to_stream(results, output, n_best, progress)
    log_warnings([*checks.warnings("the input"), *output_checks.warnings()])


def check_paths(source: Path | None, output: Path | None, resume: bool = False) -> None:
    """Raise ConfigError unless these can be read from and written to; None is a standard stream."""
    if resume and not (source and output):
        raise ConfigError("--resume needs files: name --input and --output.")
    if (source is None and sys.stdin is None) or (output is None and sys.stdout is None):
        raise ConfigError("Standard input or output is closed. Name --input and --output.")
    if output is None:
        return
    check_name(output, ConfigError)
    if source and source.exists() and output.exists() and output.samefile(source):
        raise ConfigError(f"{output}: the output would overwrite the input. Name another file.")
    if is_gzip(output):
        raise ConfigError(f"{output}: the output is plain text. Name it without .gz.")


def _to_file(
    results: Results, output: ResumableOutput, n_best: int | None, progress: Progress
) -> OutputChecks:
    """Write the rest of a file, and save the state after every block of lines."""
    checks = OutputChecks(lines_before=output.lines_done)

    def write(file: TextIO, number: int, translations: Sequence[Translation]) -> None:
        write_translations(file, number, translations, n_best)

    with _with_resume_hint(output.path):
        results = checks.watch(_started(results))
        with (
            _named_errors(output.path),
            counting(progress, "Translating", output.num_lines, "lines") as show,
        ):
            output.write(results, write, show)
    return checks


def _to_stream(
    results: Results, output: Path | None, n_best: int | None, progress: Progress
) -> OutputChecks:
    """Write into a file, a device, a pipe or standard output."""
    checks = OutputChecks()
    results = checks.watch(_started(results))
    is_shown = output is not None or not is_terminal(sys.stdout)
    task = counting(progress, "Translating", unit="lines") if is_shown else nullcontext(_ignore)
    with open_output(output) as file, task as show:
        for number, translations in enumerate(results, start=1):
            write_translations(file, number, translations, n_best)
            if number % engines.LINES_AT_ONCE == 0:
                show(number)
    return checks


def _ignore(_: int) -> None:
    """Show no progress: it would be mixed with the translations."""


def _started(results: Results) -> Results:
    """Compute the first result now, so that errors appear before the output is opened."""
    first = list(islice(results, 1))
    return chain(first, results)


def write_translations(
    file: TextIO, number: int, translations: Sequence[Translation], n_best: int | None
) -> None:
    """Write the translations of line `number` (from 1), and warn if that line was truncated."""
    if translations[0].num_unread:
        log.warning(
            f"Line {number} is too long. Its last {translations[0].num_unread} pieces (beyond "
            "data.max_length) were not read."
        )
    for one in translations[: n_best or 1]:
        position = [] if n_best is None else [str(number), f"{one.score:.6f}"]
        links = [] if one.links is None else [one.links]
        print(*position, one.text, *links, sep="\t", file=file)


def log_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        log.warning(warning)


@contextmanager
def open_output(path: Path | None) -> Iterator[TextIO]:
    """A file, or standard output; devices and pipes are appended to. Raises UserError."""
    with _named_errors(path):
        if path is None:
            yield (file := text_output())
            file.flush()
        else:
            mode: Literal["w", "a"] = "w" if _is_plain(path) else "a"
            with path.open(mode, encoding="utf-8", newline="\n") as file:
                yield file


def _is_plain(path: Path) -> bool:
    """Whether this is a file that can be read twice and truncated, or does not exist yet.

    A path through /dev or /proc, such as /dev/stdout, is not: another process may have opened its
    file.
    """
    if path.exists() and not path.is_file():
        return False
    for _ in range(MAX_LINKS):
        folder = path.parent.resolve()
        if folder == Path("/dev") or Path("/proc") in folder.parents:
            return False
        if not path.is_symlink():
            break
        path = folder / path.readlink()
    return True


@contextmanager
def _named_errors(path: Path | None) -> Iterator[None]:
    """Inside, errors of writing become UserErrors that name the output."""
    name = str(path or "Standard output")
    try:
        yield
    except BrokenPipeError:
        raise UserError(f"{name} was closed by its reader before all was translated.") from None
    except OSError as error:
        if path and not path.parent.exists():
            raise UserError(f"{path}: there is no folder {path.parent}; make it first.") from None
        raise UserError(f"{error.filename or name}: {error.strerror or error}.") from None


@contextmanager
def _with_resume_hint(output: Path) -> Iterator[None]:
    """Inside, UserErrors get a hint that the translation can be resumed."""
    try:
        yield
    except UserError as error:
        if isinstance(error, ConfigError) or not is_half_done(output):
            raise
        reason = str(error).rstrip(".")
        raise UserError(f"{reason}. Once this is fixed, --resume continues.") from None
