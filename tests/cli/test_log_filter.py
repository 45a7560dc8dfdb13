"""Log messages of native libraries are hidden from the user; crashes and Python's are not."""

import pytest

from .conftest import Command

FILTERED = (
    "import os, sys, faulthandler; from translator.cli.log_filter import filter_native_logs; "
    "filter_native_logs()\n"
)


def after_filtering(command: Command, code: str, **environment: str) -> tuple[int, str]:
    result = command(code=FILTERED + code, **environment)
    return result.returncode, result.stderr


NATIVE_LOG_LINE = [
    "2026-01-01 00:00:00.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations",
    "2026-01-01 00:00:00.123456: E external/cuda: Unable to register cuFFT factory",
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795355696.914512   29853 port.cc:153] oneDNN custom operations are on.",
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow",
]
WORDS = [
    "Fatal Python error: Segmentation fault",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "2026-01-01 00:00:00.123456: F tensorflow/core/framework/tensor.cc:733] Check failed",
    "F0000 00:00:1795355696.914512 29853 x.cc:1] Check failed",
    "Killed",
]


def test_native_log_lines_are_dropped_and_others_passed_on(command: Command) -> None:
    lines = [line for pair in zip(NATIVE_LOG_LINE, WORDS, strict=True) for line in pair]
    _, stderr = after_filtering(command, f"os.write(2, '\\n'.join({lines!r}).encode() + b'\\n')")
    assert stderr.splitlines() == WORDS


def test_messages_of_python_are_passed_on_unchanged(command: Command) -> None:
    _, stderr = after_filtering(command, f"print({NATIVE_LOG_LINE[0]!r}, file=sys.stderr)")
    assert stderr == NATIVE_LOG_LINE[0] + "\n"


def test_a_traceback_is_passed_on(command: Command) -> None:
    code, stderr = after_filtering(command, "raise ValueError('last words')")
    assert code == 1
    assert stderr.endswith("ValueError: last words\n")


@pytest.mark.parametrize(
    ("death", "words"),
    [
        ("os.write(2, b'last words'); os.abort()", "last words"),
        ("faulthandler.enable(2); faulthandler._sigsegv()", "Segmentation fault"),
        ("os.write(2, b'last words\\n'); os._exit(3)", "last words"),
        ("os.write(2, b'last words\\n'); os.kill(os.getpid(), 9)", "last words"),
    ],
)
def test_the_last_words_of_a_crash_are_passed_on(command: Command, death: str, words: str) -> None:
    code, stderr = after_filtering(command, death)
    assert code != 0
    assert words in stderr


def test_filtering_twice_equals_filtering_once(command: Command) -> None:
    code, stderr = after_filtering(command, "filter_native_logs(); os.write(2, b'once\\n')")
    assert (code, stderr) == (0, "once\n")


def test_standard_output_is_not_touched(command: Command) -> None:
    result = command(code=FILTERED + f"print({NATIVE_LOG_LINE[0]!r})")
    assert result.stdout == NATIVE_LOG_LINE[0] + "\n"
