"""Things that a process cannot do after others are refused, instead of hanging or failing."""

from pathlib import Path

import pytest

from translator.workflows.export import export_run

from .conftest import Command

pytestmark = pytest.mark.slow

FORKED = """
import os, sys
from pathlib import Path
from translator import open_run
from translator.errors import RunError

def load(path):
    engine = "savedmodel" if path.name == "savedmodel" else None
    return open_run(path, engine=engine).engine()

for name in sys.argv[1:]:
    translate = load(Path(name)).translate
    for again in (False, True):
        child = os.fork()
        if child == 0:
            try:
                (load(Path(name)).translate if again else translate)(["Yes."])
            except RunError as error:
                print(error, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
    assert len(translate(["Yes."])) == 1
"""


def test_a_forked_process_is_refused_and_does_not_hang(run: Path, command: Command) -> None:
    folders = [export_run(run).path, export_run(run, "savedmodel").path]
    done = command(str(run), *map(str, folders), code=FORKED)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    names = ["TensorFlow"] * 2 + ["CTranslate2"] * 2 + ["TensorFlow"] * 2
    for line, name in zip(lines, names, strict=True):
        assert f" after {name} had started there, so {name} cannot run here. Load the" in line


FROZEN = """
import os, sys
from translator import Translator, train, tune
from translator.errors import ConfigError

translate = Translator.load(sys.argv[1]).translate
if sys.argv[2] == "translated":
    translate(["Yes."])
for change in (lambda: tune(sys.argv[1], [1], [1.0]), lambda: train("c.yaml", "runs/new")):
    try:
        change()
        print("done")
    except ConfigError as error:
        print(error)
"""


@pytest.mark.parametrize("before", ["translated", "loaded"])
def test_training_and_tuning_are_refused_with_frozen_weights(
    run: Path, command: Command, before: str
) -> None:
    done = command(str(run), before, code=FROZEN, TF_ONEDNN_ASSUME_FROZEN_WEIGHTS="1")
    assert done.returncode == 0, done.stderr
    refused = done.stdout.count(
        "This process has translated with TF_ONEDNN_ASSUME_FROZEN_WEIGHTS=1. It would not notice "
        "that weights change, so it cannot train or tune."
    )
    assert refused == (2 if before == "translated" else 0)
    assert Path("runs/new/best.safetensors").exists() == (before == "loaded")
