"""SentencePiece's training, in a process of its own.

It is C++ that may work for a minute and take most of a GiB, deaf to signals. A process can be
stopped at once, and gives its memory back.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import sentencepiece

END_OF_TEXT = b"\n"
"""After the last sentence; no sentence is an empty line, because each is a line of JSON."""


class LearningError(Exception):
    """Says why SentencePiece could not learn a model."""


def learn(sentences: Iterable[str], seed: int, options: Mapping[str, object]) -> bytes:
    """The SentencePiece model of some sentences; `options` are those of SentencePieceTrainer.

    Raises LearningError. Whatever else is raised meanwhile, Stopped say, ends the process.
    """
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C at the terminal is for us alone
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        with suppress(BrokenPipeError):  # if it ends before it has read all, it says why
            process.stdin.write(_line([seed, options]))
            process.stdin.writelines(map(_line, sentences))
            process.stdin.write(END_OF_TEXT)
            process.stdin.flush()
        said = process.stdout.read()
        failed = process.wait() != 0
    finally:
        process.kill()  # does nothing to one that has ended
        process.stdout.close()
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
    if failed:
        raise LearningError(said.decode() or f"its process ended with code {process.returncode}")
    return said


def serve() -> None:
    """What the process does: a model of the sentences on standard input, to standard output."""
    seed, options = json.loads(sys.stdin.buffer.readline())
    sentencepiece.set_random_generator_seed(seed)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_sentences(), model_writer=model, **options
        )
    except RuntimeError as error:
        sys.stdout.write(str(error))
        sys.stdout.flush()
        os._exit(1)
    sys.stdout.buffer.write(model.getvalue())
    sys.stdout.flush()
    os._exit(0)  # the thread that waits for the parent's end holds standard input


def _sentences() -> Iterator[str]:
    for line in sys.stdin.buffer:
        if line == END_OF_TEXT:
            threading.Thread(target=_end_with_parent, daemon=True).start()
            return
        yield json.loads(line)
    os._exit(1)


def _end_with_parent() -> None:
    """Standard input ends when the parent has, even if that was killed."""
    with suppress(OSError):
        sys.stdin.buffer.read()
    os._exit(1)


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"
