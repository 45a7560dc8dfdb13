"""Help appears at once, because it imports nothing heavy; shell completion works."""

import os
from collections.abc import Callable

import pytest

from translator.errors import UserError
from translator.workflows.train import train
from translator.workflows.tune import tune

from .conftest import Command

COMMANDS = [(), ("train",), ("distill",), ("translate",), ("attend",), ("eval",)]
# Not pydantic: Typer itself imports it to read a command line that names a command.
HEAVY = {"tensorflow", "keras", "numpy", "yaml", "sentencepiece", "sacrebleu"}

PROBE = """
import sys
from translator.cli.app import app
for arguments in sys.argv[1].split(","):
    try:
        app(arguments.split(), prog_name="translator")
    except SystemExit as exit:
        assert exit.code in (0, None), (arguments, exit.code)
print("\\nimported:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_help_imports_nothing_heavy(command: Command) -> None:
    calls = ",".join(" ".join((*words, "--help")) for words in COMMANDS)
    result = command(calls, code=PROBE)
    assert result.returncode == 0, result.stderr
    assert HEAVY & set(result.stdout.rpartition("imported:")[2].split()) == set()
    for promised in (
        "Train a model",
        "--from",
        "--set",
        "--teacher",
        "--n-best",
        "--hypotheses",
        "--baseline",
    ):
        assert promised in result.stdout


def test_importing_the_package_imports_nothing_heavy(command: Command) -> None:
    result = command(code="import translator, sys; print(*sys.modules)")
    assert HEAVY & set(result.stdout.split()) == set()


FROZEN = """
import os, sys
from translator.cli import app
from translator.workflows import evaluate, translate

def show(*_):
    print(os.environ["TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"])
    return []

translate.translate = evaluate.evaluate = show
app.app([sys.argv[1], "path"])
"""


@pytest.mark.parametrize("name", ["translate", "eval"])
def test_weights_are_frozen_in_commands_that_do_not_change_them(
    name: str, command: Command
) -> None:
    result = command(name, code=FROZEN)
    assert (result.returncode, result.stdout) == (0, "1\n"), result.stderr


@pytest.mark.parametrize("changes_weights", [train, tune])
def test_weights_are_not_frozen_in_workflows_that_change_them(
    changes_weights: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With this variable set to 1, training would silently compute with old weights."""
    monkeypatch.setenv("TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", "1")
    with pytest.raises(UserError):
        changes_weights("nowhere")
    assert os.environ["TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"] == "0"


def test_the_help_groups_commands_into_panels(command: Command) -> None:
    text = command("--help").stdout
    panels = ("Train", "Translate and evaluate", "Ship")
    assert [panel for panel in panels if f"─ {panel} ─" in text] == list(panels)


def test_the_help_of_tune_says_that_it_may_lose(command: Command) -> None:
    text = " ".join(command("tune", "--help").stdout.replace("│", " ").split())
    assert "This gains a little on text that resembles the validation split" in text
    assert "it cost 0.4 BLEU" in text


def test_without_a_command_the_help_is_shown(command: Command) -> None:
    result = command()
    assert "Usage:" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("trian", "c.yaml"), "No such command"),
        (("train",), "Missing argument"),
        (("translate", "r", "--beam", "4"), "No such option"),
        (("translate", "r", "--n-best", "0"), "greater than or equal to 1"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(
    command: Command, arguments: tuple[str, ...], problem: str
) -> None:
    result = command(*arguments)
    assert result.returncode == 2
    assert problem in result.stderr
    assert "Traceback" not in result.stderr


AS_TRANSLATOR = (
    "import sys; sys.argv[0] = 'translator'; from translator.cli.app import main; main()"
)


def test_the_shell_gets_its_completion_script(command: Command) -> None:
    result = command(code=AS_TRANSLATOR, _TRANSLATOR_COMPLETE="source_bash")
    assert "complete -o default -F" in result.stdout


def test_the_shell_completes_a_command(command: Command) -> None:
    result = command(
        code=AS_TRANSLATOR,
        _TRANSLATOR_COMPLETE="complete_bash",
        COMP_WORDS="translator tra",
        COMP_CWORD="1",
    )
    assert result.stdout.split() == ["train", "translate"]
