"""Train a SentencePiece model in a child process.

The trainer is C++ code that may run for a minute, take most of a GiB, and ignore signals. A child
process can be stopped at once, and its memory is returned.
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
"""Follows the last sentence. Sentences are sent as lines of JSON, which are never empty."""


class SentencePieceError(Exception):
    """The reason why SentencePiece could not train a model."""


def train_model(sentences: Iterable[str], seed: int, options: Mapping[str, object]) -> bytes:
    """Train a SentencePiece model with these `options` of SentencePieceTrainer.

    Raises SentencePieceError. Any other exception from `sentences`, or Stopped, ends the child.
    """
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C at the terminal reaches only the parent
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        with suppress(BrokenPipeError):  # a child that ends early reports why below
            process.stdin.write(_line([seed, options]))
            process.stdin.writelines(map(_line, sentences))
            process.stdin.write(END_OF_TEXT)
            process.stdin.flush()
        output = process.stdout.read()
        failed = process.wait() != 0
    finally:
        process.kill()  # no effect on a process that has ended
        process.stdout.close()
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
    if failed:
        reason = output.decode() or f"its process ended with code {process.returncode}"
        raise SentencePieceError(reason)
    return output


def serve() -> None:
    """Run the child: read sentences from standard input, write the model to standard output."""
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
    os._exit(0)  # a normal exit would wait for the thread that reads standard input


def _sentences() -> Iterator[str]:
    for line in sys.stdin.buffer:
        if line == END_OF_TEXT:
            threading.Thread(target=_end_with_parent, daemon=True).start()
            return
        yield json.loads(line)
    os._exit(1)


def _end_with_parent() -> None:
    """Exit when the parent has ended, which closes standard input even if it was killed."""
    with suppress(OSError):
        sys.stdin.buffer.read()
    os._exit(1)


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"
