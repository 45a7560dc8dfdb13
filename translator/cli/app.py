"""The commands: their options, their workflows, and their errors as one sentence.

A command imports its workflow only when it runs, so that help appears at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from translator import __version__
from translator.cli.process import flush_output, inference_process, training_process
from translator.cli.streams import message_stream
from translator.errors import Stopped, UserError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

TRAIN, USE, SHIP = "Train", "Translate and evaluate", "Ship"
"""Panels of the help."""

Run = Annotated[Path, typer.Argument(help="Directory of the run, or a bundle.", metavar="RUN")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a key, e.g. decoding.beam_size=8. Repeatable."
    ),
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
    """Train translation models on parallel text, use them, and measure how good they are."""


@app.command(rich_help_panel=TRAIN)
def train(
    config: Annotated[
        Path,
        typer.Argument(help="YAML configuration, or a run to continue.", metavar="CONFIG"),
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
        typer.Option(
            "--from", metavar="RUN", help="Start with the weights and tokenizer of a run."
        ),
    ] = None,
) -> None:
    """Train a model, or continue a run that stopped."""
    with training_process():
        from translator.cli.terminal import progress
        from translator.workflows.train import train

        train(config, run, settings or [], start_from, progress())


@app.command(rich_help_panel=TRAIN)
def distill(
    config: Annotated[
        Path, typer.Argument(help="YAML configuration of the student.", metavar="CONFIG")
    ],
    teacher: Annotated[
        Path, typer.Option(metavar="RUN", help="Directory of a run, a bundle, or an export.")
    ],
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="PATH",
            help="Directory of the student's run.",
            show_default="runs/NAME of the config",
        ),
    ] = None,
    text: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Translate these sentences, one per line, instead of the training text. "
            "Repeatable.",
        ),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(
            help="Share of training pairs that come from translated text; 1 for all.",
            show_default="by size or weight",
        ),
    ] = None,
    tag: Annotated[
        str | None, typer.Option(help="Tag of the translated text, such as <bt>.")
    ] = None,
    engine: Annotated[
        EngineName | None,
        typer.Option(help="Use the teacher's export for CTranslate2, or a SavedModel."),
    ] = None,
    settings: Settings = None,
) -> None:
    """Train a student on the translations of a teacher.

    Distillation: a trained model of the same direction translates the training text, and the
    student learns from these translations too, or only (--share 1). They are more regular than
    human ones, so that a smaller, faster model can come closer to its teacher. With --text, it
    translates other text in the source language.

    Back-translation: a model of the opposite direction translates --text from the target language.
    The student learns from the machine's sentences to write the human ones. This is how text
    without translations helps.

    First the teacher translates the whole text, which can take long. If interrupted, repeat the
    command. Once training has begun, `translator train RUN` continues it and the teacher is no
    longer needed.
    """
    with training_process():
        from translator.cli.terminal import progress
        from translator.workflows.distill import distill

        distill(config, teacher, run, text or [], share, tag, engine, settings or [], progress())


@app.command(rich_help_panel=USE)
def translate(
    run: Annotated[
        Path,
        typer.Argument(help="Directory of the run, a bundle, or an export.", metavar="RUN"),
    ],
    source: Annotated[
        Path | None, typer.Option("--input", "-i", help="Text to translate, one sentence per line.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            readable=False,  # Typer would refuse a file that cannot be read, such as a pipe
            help="File for the translations, one per line.",
        ),
    ] = None,
    n_best: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Write up to N different translations per line, as: line number, tab, score, "
            "tab, text.",
        ),
    ] = None,
    engine: Annotated[
        EngineName | None,
        typer.Option(help="Use the run's export for CTranslate2, or a SavedModel that you trust."),
    ] = None,
    alignments: Annotated[
        bool,
        typer.Option(
            "--alignments",
            help="Write behind each translation a tab and its word links, such as 0-0 1-2: number "
            "of the source word, number of its translation.",
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an --output that is half finished.")
    ] = False,
    settings: Settings = None,
) -> None:
    """Translate text: files, a pipe, or what you type."""
    from translator.runs import is_export
    from translator.workflows.resumable_output import is_half_done
    from translator.workflows.standard_streams import is_terminal

    def stop_message() -> str:
        is_resumable = source and output and is_half_done(output)
        return "Stopped. Continue with --resume." if is_resumable else "Stopped."

    tensorflow = engine == "savedmodel" or (engine is None and not is_export(run))
    with inference_process(tensorflow=tensorflow, stop_message=stop_message):
        from translator.cli.conversation import converse
        from translator.cli.terminal import progress
        from translator.workflows.translate import translate

        if source is None and is_terminal(sys.stdin) and not resume:
            converse(run, output, n_best, settings or [], engine, alignments)
        else:
            translate(
                run,
                source,
                output,
                n_best,
                settings or [],
                engine,
                resume,
                progress(),
                alignments,
            )


@app.command(rich_help_panel=USE)
def attend(
    run: Run,
    sentence: Annotated[
        str | None, typer.Argument(help="Sentence to translate.", metavar="SENTENCE")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--input", "-i", help="File of sentences instead, one per line."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Translation to look at instead of the model's own."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PAGE.html", help="Page to write, for a browser."),
    ] = None,
    settings: Settings = None,
) -> None:
    """Show which words the model looks at while it translates.

    The page (-o) shows every layer and head: attention of target words to source words, and of
    words to others of the same sentence. It is one file that needs no network. Without it, the
    command prints each target piece with the source pieces that it looks at, as a mean over layers
    and heads.
    """
    with inference_process(frozen=False):
        from translator.cli.attention_text import print_attention
        from translator.workflows.attend import attend
        from translator.workflows.attention_page import (
            MAX_PIECES,
            check_page,
            read_sentences,
            write_page,
        )
        from translator.workflows.standard_streams import text_output

        sentences = read_sentences(sentence, source)
        if output is not None:
            check_page(output, source)
        attended = attend(run, sentences, target, settings or [], MAX_PIECES)
        if output is None:
            print_attention(attended, text_output())
        else:
            write_page(output, attended)


@app.command(rich_help_panel=USE)
def tune(
    run: Run,
    beam_sizes: Annotated[
        list[int] | None,
        typer.Option("--beam", min=1, max=1000, help="Beam size to try. Repeatable."),
    ] = None,
    penalties: Annotated[
        list[float] | None,
        typer.Option("--penalty", min=0, max=10, help="Length penalty to try. Repeatable."),
    ] = None,
    settings: Settings = None,
) -> None:
    """Find the decoding, and the mean of weights, that translate the validation split best.

    This gains a little on text that resembles the validation split in length and style, the more
    reliably the larger the split is. On other text it may lose: on Multi30k, whose test references
    are shorter, it cost 0.4 BLEU. Delete tuned.json and averaged.safetensors to undo it.
    """
    with inference_process(frozen=False):
        from translator.cli.tables import tuning_summary
        from translator.cli.terminal import progress
        from translator.workflows.tune import tune

        tuning = tune(
            run, beam_sizes or (), penalties or (), settings or [], progress(), show=print
        )
        print(tuning_summary(tuning))


@app.command(name="eval", rich_help_panel=USE)
def evaluate(
    run: Run,
    split: Annotated[
        str | None, typer.Option(help="Split of the run's data.", show_default="test")
    ] = None,
    source: Annotated[Path | None, typer.Option(help="File to translate.")] = None,
    target: Annotated[Path | None, typer.Option(help="File of reference translations.")] = None,
    hypotheses: Annotated[
        Path | None, typer.Option(help="Score the translations in this file instead.")
    ] = None,
    baseline: Annotated[
        bool,
        typer.Option(
            "--baseline",
            help="Also score the first words of each source, and the nearest training target.",
        ),
    ] = False,
    settings: Settings = None,
) -> None:
    """Score translations with BLEU, chrF and TER, or with the metrics of the run."""
    with inference_process():
        from translator.cli.terminal import progress
        from translator.workflows.evaluate import evaluate

        scores = evaluate(
            run, split, source, target, hypotheses, settings or [], progress(), baseline
        )
        for score in scores:
            print(score)


@app.command(rich_help_panel=SHIP)
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
            "--output", "-o", help="Folder or file to write.", show_default="exports/ of the run"
        ),
    ] = None,
    max_loss: Annotated[
        float, typer.Option(min=0, help="BLEU that may be lost on the validation split.")
    ] = 0.5,
    notes: Annotated[str, typer.Option(help="Text for the card of a bundle.")] = "",
    settings: Settings = None,
) -> None:
    """Write the model for another program or as one file, and prove that it is the same."""
    with training_process():
        from translator.cli.tables import export_summary
        from translator.workflows.export import export_run

        exported = export_run(run, format, quantization, output, max_loss, settings or [], notes)
        print(export_summary(exported))


@app.command(rich_help_panel=SHIP)
def verify(
    path: Annotated[Path, typer.Argument(help="Export: a folder or a bundle.", metavar="EXPORT")],
    engine: Annotated[
        EngineName | None,
        typer.Option(help="Engine of the export; required for a SavedModel, as it is a program."),
    ] = None,
) -> None:
    """Prove again that an export is the same as when it was made."""
    with training_process():
        from translator.workflows.verify import verify

        print(f"{path} is what was exported: {verify(path, engine)}.")


def main() -> None:
    """Run the command. Only here, errors become sentences and exit codes."""
    if sys.stderr is sys.__stderr__:  # not replaced by another program
        sys.stderr = message_stream(os.dup(2))
    try:
        try:
            app()
        except SystemExit:
            flush_output()
            raise
    except UserError as error:
        _fail(str(error))
    except Stopped as stopped:
        sys.exit(128 + stopped.signal_number)
    except OSError as error:
        if error.strerror is None:
            raise
        _fail(f"{error.filename or 'Reading or writing failed'}: {error.strerror}.")


def _fail(message: str) -> None:
    end = "" if message.endswith((".", "?")) else "."
    print(f"Error: {message}{end}", file=sys.stderr)
    try:
        flush_output()
    except UserError:  # At exit, Python would try again to write the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(2)
