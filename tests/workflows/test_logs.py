"""Messages of the library appear on stderr, unless a program handles its log itself."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SCRIPT = """
import logging, sys
from translator import open_run
{}
try:
    open_run("nowhere")
except Exception:
    pass
logging.getLogger("translator.workflows.train").info("a step")
logging.getLogger("translator.workflows.train").warning("look")
"""


def stderr_after(setup: str) -> str:
    """The output on stderr of a script that sets up logging, uses the library, and logs."""
    code = SCRIPT.format(setup)
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stderr


def test_without_a_handler_messages_appear_on_stderr() -> None:
    assert stderr_after("") == "a step\nWarning: look\n"


@pytest.mark.parametrize(
    ("setup", "expected"),
    [
        ("logging.basicConfig(format='root: %(message)s')", "root: look\n"),
        (
            "logging.basicConfig(level='INFO', format='root: %(message)s')",
            "root: a step\nroot: look\n",
        ),
        ("logging.getLogger('translator').addHandler(logging.NullHandler())", ""),
    ],
)
def test_with_handlers_of_its_own_a_program_gets_no_other(setup: str, expected: str) -> None:
    assert stderr_after(setup) == expected
