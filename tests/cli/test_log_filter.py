"""Native libraries' messages stay away from the user; what matters does not."""

import pytest

from .conftest import Command

FILTERED = (
    "import os, sys, faulthandler; from translator.cli.log_filter import filter_native_logs; "
    "filter_native_logs()\n"
)


def after_filtering(command: Command, code: str, **environment: str) -> tuple[int, str]:
    said = command(code=FILTERED + code, **environment)
    return said.returncode, said.stderr


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


def test_known_messages_are_left_out_and_all_else_passed_on(command: Command) -> None:
    lines = [line for pair in zip(NATIVE_LOG_LINE, WORDS, strict=True) for line in pair]
    _, said = after_filtering(command, f"os.write(2, '\\n'.join({lines!r}).encode() + b'\\n')")
    assert said.splitlines() == WORDS


def test_what_python_says_is_passed_on_as_it_is(command: Command) -> None:
    _, said = after_filtering(command, f"print({NATIVE_LOG_LINE[0]!r}, file=sys.stderr)")
    assert said == NATIVE_LOG_LINE[0] + "\n"


def test_a_traceback_is_passed_on(command: Command) -> None:
    code, said = after_filtering(command, "raise ValueError('last words')")
    assert code == 1
    assert said.endswith("ValueError: last words\n")


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
    code, said = after_filtering(command, death)
    assert code != 0
    assert words in said


def test_hushing_twice_is_hushing_once(command: Command) -> None:
    code, said = after_filtering(command, "filter_native_logs(); os.write(2, b'once\\n')")
    assert (code, said) == (0, "once\n")


def test_standard_output_is_not_touched(command: Command) -> None:
    said = command(code=FILTERED + f"print({NATIVE_LOG_LINE[0]!r})")
    assert said.stdout == NATIVE_LOG_LINE[0] + "\n"
