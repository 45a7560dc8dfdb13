"""Messages appear wherever the library is used: in a script, a notebook, or with one's own log."""

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
logging.getLogger("translator.workflows.train").warning("a doubt")
"""


def stderr_after(setup: str) -> str:
    """What a script writes that sets up logging like that, uses the library, and logs."""
    code = SCRIPT.format(setup)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_without_a_handler_messages_appear_on_stderr() -> None:
    assert stderr_after("") == "a step\nWarning: a doubt\n"


@pytest.mark.parametrize(
    ("setup", "expected"),
    [
        ("logging.basicConfig(format='root: %(message)s')", "root: a doubt\n"),
        (
            "logging.basicConfig(level='INFO', format='root: %(message)s')",
            "root: a step\nroot: a doubt\n",
        ),
        ("logging.getLogger('translator').addHandler(logging.NullHandler())", ""),
    ],
)
def test_the_handlers_of_a_program_are_left_alone(setup: str, expected: str) -> None:
    assert stderr_after(setup) == expected
