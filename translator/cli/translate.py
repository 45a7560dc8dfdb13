"""`translator translate`: lines in, lines out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from translator.cli.streams import input_stream, is_terminal, text_output
from translator.data.lines import decode_line, is_gzip, read_lines, read_stream
from translator.decoding import engine as engines
from translator.decoding.loaded_run import LoadedRun, load_run_config
from translator.decoding.output_checks import OutputChecks
from translator.diagnostics.input_checks import InputChecks
from translator.errors import ConfigError, DataError, UserError
from translator.export.load import LoadedExport
from translator.files import check_name
from translator.runs import RunDirectory, is_export
from translator.workflows.opening import open_run
from translator.workflows.progress import show_progress
from translator.workflows.resumable_output import ResumableOutput, is_half_done

if TYPE_CHECKING:
    from translator.decoding.engine import Engine, Translation

MOST_LINKS = 40
"""From name to name, as Linux has it."""


def translate(
    run_path: str | Path,
    source: str | Path | None = None,
    output: str | Path | None = None,
    n_best: int | None = None,
    overrides: Sequence[str] = (),
    engine: str | None = None,
    resume: bool = False,
) -> None:
    """Translate a file (or standard input) to a file (or standard output), a line a line.

    The run may be an export, too; with engine "ctranslate2" it is the one in the run, and a
    SavedModel, which is a program, must be named as "savedmodel". With n_best, each line gives up
    to so many rows of line number, score and text, tab-separated. With resume, a translation from
    file to file that was killed goes on. At a terminal it asks for sentences. Raises UserError.
    """
    source, output = (None if path is None else Path(path) for path in (source, output))
    if resume and not (source and output):
        raise ConfigError("--resume goes from file to file: name --input and --output.")
    if (source is None and sys.stdin is None) or (output is None and sys.stdout is None):
        raise ConfigError("Standard input or output is closed; name --input and --output.")
    if output:
        check_name(output, ConfigError)
    interactive = source is None and is_terminal(sys.stdin)
    lines = read_lines(source) if source else read_stream(input_stream(), "standard input")
    if source and output and source.exists() and output.exists() and output.samefile(source):
        raise ConfigError(f"{output}: the output would overwrite the input; name another file.")
    if output and is_gzip(output):
        raise ConfigError(f"{output}: what is written is plain text; take .gz off its name.")
    opened = open_run(run_path, overrides, engine)
    decided_by = {"--n-best": n_best, **opened.decided_by()}
    check = InputChecks(opened.config.data, opened.tokenizer.source.tags)
    if engine == "ctranslate2":
        _warn(_differences(Path(run_path), opened, overrides))
    translator = opened.engine()
    del opened  # and its weights, which the engine holds now
    if interactive:
        translator.hypotheses(["."], n_best or 1)  # so that nobody waits for what is done but once
        with _writing(output), _output(output) as file:
            _converse(translator, file, n_best, check)
        return
    job = None
    if source and output and _is_plain(source) and _is_plain(output):
        job = ResumableOutput(source, output, decided_by)
    elif resume:
        raise ConfigError("--resume goes from file to file, and one of these is none.")
    watched = check.watch(lines)
    done = 0
    if job:
        watched, done = job.begin(watched, resume), job.lines_done
    results = translator.stream(watched, n_best or 1)
    total, shown = job.num_lines if job else None, output is not None or not is_terminal(sys.stdout)
    with _going_on(job.output) if job else nullcontext():
        # What is wrong with the input or the options shows before the output is opened.
        first = list(islice(results, 1))
        output_check = OutputChecks(lines_before=done)
        with (
            _writing(output),
            job.opened() if job else _output(output) as file,
            show_progress("Translating", total, "lines") if shown else nullcontext() as show,
        ):
            watched_results = output_check.watch(chain(first, results))
            for number, found in enumerate(watched_results, start=done + 1):
                _write(file, number, found, n_best)
                if number % engines.LINES_AT_ONCE == 0:
                    if job:
                        job.save(file, number)
                    if show:
                        show(number)
    _warn([*check.warnings("the input"), *output_check.warnings()])


def _differences(
    path: Path, export: LoadedRun | LoadedExport, overrides: Sequence[str]
) -> list[str]:
    """A sentence for each way in which a run would search otherwise than its export does."""
    if not isinstance(export, LoadedExport) or is_export(path):
        return []
    decoding = load_run_config(RunDirectory.existing(path)).decoding
    options = export.record.options
    compared: list[tuple[str, float, float]] = [
        ("beam_size", decoding.beam_size, options.beam_size)
    ]
    if decoding.length_penalty_kind == "power":
        compared.append(("length_penalty", decoding.length_penalty, options.length_penalty))
    return [
        f"{path} translates with decoding.{key} {own:g}, and {export.folder} with {its:g}; export "
        "it again to have the same."
        for key, own, its in compared
        if own != its and not any(text.startswith(f"decoding.{key}=") for text in overrides)
    ]


def _is_plain(path: Path) -> bool:
    """Whether it is a file that can be read twice and cut off, or none yet.

    A name that leads through /dev or /proc, such as /dev/stdout, is what others have opened, even
    if that is a file.
    """
    if path.exists() and not path.is_file():
        return False
    for _ in range(MOST_LINKS):
        folder = path.parent.resolve()
        if folder == Path("/dev") or Path("/proc") in folder.parents:
            return False
        if not path.is_symlink():
            break
        path = folder / path.readlink()
    return True


def _converse(translator: Engine, file: TextIO, n_best: int | None, check: InputChecks) -> None:
    """Ask, translate, until the end of input."""
    print("Type a sentence and press Enter; leave with Ctrl-D.", file=sys.stderr)
    warned, output_check = False, OutputChecks()
    for number, sentence in enumerate(check.watch(_prompt()), start=1):
        if not warned and (warnings := check.warnings("the input")):
            _warn(warnings)
            warned = True
        [found] = output_check.watch(translator.hypotheses([sentence], n_best or 1))
        _write(file, number, found, n_best)
        file.flush()
    _warn(output_check.warnings())


def _prompt() -> Iterator[str]:
    """What a person types, line by line; the prompt goes to stderr, beside what is translated."""
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


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        print(f"Warning: {warning}", file=sys.stderr)


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
def _writing(path: Path | None) -> Iterator[None]:
    """Says in one sentence why an output cannot be written."""
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
def _going_on(output: Path) -> Iterator[None]:
    """Says with what goes wrong that not all is lost."""
    try:
        yield
    except UserError as error:
        if isinstance(error, ConfigError) or not is_half_done(output):
            raise
        said = str(error).rstrip(".")
        raise UserError(f"{said}. After that is mended, --resume goes on.") from None


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file; what is a device or a pipe is written on, not cut off."""
    if path is None:
        yield (file := text_output())
        file.flush()
    else:
        mode: Literal["w", "a"] = "w" if _is_plain(path) else "a"
        with path.open(mode, encoding="utf-8", newline="\n") as file:
            yield file
