"""What stands on the terminal after a validation."""

import pytest

from translator.cli.display import Display
from translator.config.schema import TrainingConfig
from translator.data.corpus import Pair
from translator.training.results import Score, StepResult, Validation
from translator.training.state import TrainingState

PAIRS = [Pair("The house.", "Das Haus.")]


def shown(capsys: pytest.CaptureFixture[str], **symptoms: float) -> list[str]:
    scores = {"bleu": Score("BLEU", 12.345, "signature")}
    validation = Validation(scores, 2.5, 12.345, 3.0, ["Das [b]Haus.[/b]"], symptoms)
    with Display(TrainingConfig(max_steps=9), 9, 3, PAIRS) as display:
        display.show(StepResult(TrainingState(step=7), validation=validation, is_best=True))
    return capsys.readouterr().err.splitlines()


def test_a_validation_is_its_figures_and_samples(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, empty=0.0) == [
        "step 7: validation BLEU 12.35, loss 2.500 (best so far), in 3 s",
        "    source     The house.",
        "    reference  Das Haus.",
        "    model      Das [b]Haus.[/b]",
    ]


def test_symptoms_stand_before_the_samples(capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(capsys, empty=0.0, repeating=0.5)
    assert said[1] == "50% of the translations repeat themselves."
    assert said[2] == "    source     The house."
