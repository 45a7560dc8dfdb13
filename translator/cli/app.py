"""The command line: what is typed becomes a call, and what goes wrong becomes a sentence.

Nothing here imports TensorFlow; a command imports its module when it runs, so that help comes at
once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from translator import __version__
from translator.cli.streams import message_stream
from translator.environment import freeze_weights
from translator.errors import Stopped, UserError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Run = Annotated[Path, typer.Argument(help="Directory of the run, or a bundle.", metavar="RUN")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. decoding.beam_size=8."),
]
EngineName = Literal["ctranslate2", "savedmodel"]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"translator {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Train a translator on parallel text, use it, and know how good it is."""


@app.command()
def train(
    config: Annotated[
        Path,
        typer.Argument(
            help="YAML configuration; config.yaml of a run continues it.", metavar="CONFIG"
        ),
    ],
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="PATH",
            help="Directory of the run.",
            show_default="runs/NAME of the config",
        ),
    ] = None,
    settings: Settings = None,
    start_from: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="Begin with weights and tokenizer of a run."),
    ] = None,
) -> None:
    """Train a model, or continue a run that stopped."""
    from translator.cli.log_filter import filter_native_logs
    from translator.cli.train import train

    filter_native_logs()
    train(config, run, settings or [], start_from)


@app.command()
def translate(
    run: Annotated[
        Path,
        typer.Argument(help="Directory of the run, a bundle, or an export.", metavar="RUN"),
    ],
    source: Annotated[
        Path | None, typer.Option("--input", "-i", help="Text to translate, a sentence a line.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            readable=False,  # as the end of a pipe that is written to
            help="Where translations go, a line a line.",
        ),
    ] = None,
    n_best: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Give up to N different translations a line, as: line number, tab, score, tab, "
            "text.",
        ),
    ] = None,
    engine: Annotated[
        EngineName | None,
        typer.Option(
            help="Translate with the run's export for CTranslate2, or with a SavedModel you trust."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an --output that is half done.")
    ] = False,
    settings: Settings = None,
) -> None:
    """Translate text, from standard input to standard output unless told otherwise."""
    from translator.cli.log_filter import filter_native_logs
    from translator.cli.translate import translate
    from translator.runs import is_export
    from translator.workflows.resumable_output import is_half_done

    filter_native_logs()
    _leave_at_ctrl_c(
        lambda: (
            "Stopped; with --resume it goes on."
            if source and output and is_half_done(output)
            else "Stopped."
        )
    )
    freeze_weights(True)
    if engine == "savedmodel" or (engine is None and not is_export(run)):
        _share_processors()
    translate(run, source, output, n_best, settings or [], engine, resume)
    _leave()


@app.command()
def tune(
    run: Run,
    beam_sizes: Annotated[
        list[int] | None,
        typer.Option("--beam", min=1, max=1000, help="A beam size to try; may be repeated."),
    ] = None,
    penalties: Annotated[
        list[float] | None,
        typer.Option("--penalty", min=0, max=10, help="A length penalty; may be repeated."),
    ] = None,
    settings: Settings = None,
) -> None:
    """Find the search and the mean of weights that translate the validation split best.

    This gains a little on text that resembles the validation split in length and style, the more
    surely the larger that split is. On other text it may lose: on Multi30k, whose test references
    are shorter, it cost 0.4 BLEU. Delete tuned.json and averaged.safetensors to undo it.
    """
    from translator.cli.log_filter import filter_native_logs
    from translator.cli.tune import tune

    filter_native_logs()
    _leave_at_ctrl_c()
    _share_processors()
    tune(run, beam_sizes or (), penalties or (), settings or [])
    _leave()


@app.command(name="eval")
def evaluate(
    run: Run,
    split: Annotated[
        str | None, typer.Option(help="Split of the run's data.", show_default="test")
    ] = None,
    source: Annotated[Path | None, typer.Option(help="File to translate.")] = None,
    target: Annotated[Path | None, typer.Option(help="File of its reference translations.")] = None,
    hypotheses: Annotated[
        Path | None, typer.Option(help="Score these translations instead of making them.")
    ] = None,
    settings: Settings = None,
) -> None:
    """Score translations with BLEU, chrF and TER."""
    from translator.cli.evaluate import evaluate
    from translator.cli.log_filter import filter_native_logs

    filter_native_logs()
    _leave_at_ctrl_c()
    freeze_weights(True)
    _share_processors()
    evaluate(run, split, source, target, hypotheses, settings or [])
    _leave()


@app.command()
def export(
    run: Run,
    format: Annotated[
        Literal["ctranslate2", "savedmodel", "bundle"],
        typer.Option(help="For CTranslate2, for TensorFlow, or the run as one file."),
    ] = "ctranslate2",
    quantization: Annotated[
        Literal["float32", "float16", "int16", "int8"],
        typer.Option(help="How CTranslate2 stores matrices and computes with them."),
    ] = "float32",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder or file to make.", show_default="exports/ of the run"
        ),
    ] = None,
    max_loss: Annotated[
        float, typer.Option(min=0, help="BLEU that it may lose on the validation split.")
    ] = 0.5,
    notes: Annotated[str, typer.Option(help="What the card of a bundle is to say.")] = "",
    settings: Settings = None,
) -> None:
    """Write the model for another program or as one file, and prove that it is the same."""
    from translator.cli.export import export
    from translator.cli.log_filter import filter_native_logs

    filter_native_logs()
    export(run, format, quantization, output, max_loss, settings or [], notes)


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="The export, a folder or a file.", metavar="EXPORT")],
    engine: Annotated[
        EngineName | None,
        typer.Option(help="What the export is for; a SavedModel, a program, must be named."),
    ] = None,
) -> None:
    """Prove again that an export is what it was when it was made."""
    from translator.cli.export import verify
    from translator.cli.log_filter import filter_native_logs

    filter_native_logs()
    verify(path, engine)


def main() -> None:
    """Run the command; the one place where an error becomes a sentence and an exit code."""
    if sys.stderr is sys.__stderr__:  # not where another program has put its own in place
        sys.stderr = message_stream(os.dup(2))
    try:
        try:
            app()
        except SystemExit:
            _flush_output()
            raise
    except UserError as error:
        _fail(str(error))
    except Stopped as stopped:
        sys.exit(128 + stopped.signal_number)
    except OSError as error:
        if error.strerror is None:
            raise
        _fail(f"{error.filename or 'Reading or writing failed'}: {error.strerror}.")


def _share_processors() -> None:
    """This process does nothing but translate, a batch on every processor; the operations of one
    sentence alone are too small to be shared."""
    from translator.cli.device import warn_of_unusable_gpu
    from translator.environment import num_threads
    from translator.processors import has_gpu, share_processors

    share_processors(num_threads())
    warn_of_unusable_gpu(has_gpu())


def _leave_at_ctrl_c(last_word: Callable[[], str] = lambda: "Stopped.") -> None:
    """Translating and scoring have nothing to save. An exception could get lost in a library."""

    def leave(number: int, _: object) -> None:
        with suppress(Exception):
            _flush_output()
        with suppress(Exception):
            sys.stderr.write(f"{last_word()}\n")
            sys.stderr.flush()
        os._exit(128 + number)

    signal.signal(signal.SIGINT, leave)


def _leave() -> NoReturn:
    """All is done and written; TensorFlow would need a second to take itself apart."""
    from translator.cli.log_filter import finish

    _flush_output()
    sys.stderr.flush()
    finish()
    os._exit(0)


def _flush_output() -> None:
    """Raises UserError if standard output cannot take all that was printed."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        raise UserError(f"Standard output: {error.strerror}.") from None


def _fail(message: str) -> None:
    end = "" if message.endswith((".", "?")) else "."
    print(f"Error: {message}{end}", file=sys.stderr)
    try:
        _flush_output()
    except UserError:  # what is left in its buffer would be tried again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(2)
