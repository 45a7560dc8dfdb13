"""The log of steps and validations."""

import logging

import pytest

from translator.config.schema import TrainingConfig
from translator.data.corpus import Pair
from translator.training.results import Score, StepResult, Validation
from translator.training.state import Clock, TrainingState
from translator.workflows.progress import LOG_LINES
from translator.workflows.training_report import StepReport

PAIRS = [Pair("The house.", "Das Haus.")]


@pytest.fixture(autouse=True)
def informed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="translator")


def step(number: int, seconds: float = 0.0) -> StepResult:
    return StepResult(TrainingState(step=number, clock=Clock(seconds)), 2.0, 1.0, 0.1, 5.0)


def after_validation(caplog: pytest.LogCaptureFixture, **symptoms: float) -> list[str]:
    scores = {"bleu": Score("BLEU", 12.345, "signature")}
    validation = Validation(scores, 2.5, 12.345, 3.0, ["Das [b]Haus.[/b]"], symptoms)
    report = StepReport(TrainingConfig(max_steps=9), 9, 3, PAIRS, lambda done, text: None)
    report.add(step(7)._replace(validation=validation, is_best=True))
    return caplog.messages


def test_a_validation_is_logged_with_scores_and_samples(caplog: pytest.LogCaptureFixture) -> None:
    assert after_validation(caplog, empty=0.0) == [
        "step 7: validation BLEU 12.35, loss 2.500 (best so far), in 3 s",
        "    source     The house.",
        "    reference  Das Haus.",
        "    model      Das [b]Haus.[/b]",
    ]


def test_symptoms_are_logged_before_the_samples(caplog: pytest.LogCaptureFixture) -> None:
    messages = after_validation(caplog, empty=0.0, repeating=0.5)
    assert messages[1] == "50% of the translations repeat themselves."
    assert messages[2] == "    source     The house."


def test_the_first_step_and_every_hundredth_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with LOG_LINES.training(1000) as update:
        report = StepReport(TrainingConfig(max_steps=1000), 1000, 100, PAIRS, update)
        for number in range(51, 251):
            report.add(step(number, seconds=number / 10))
    assert caplog.messages == [
        "step 51  epoch 0.5  loss 2.000  rate 1.00e-01  5 tokens/s  ",
        "step 100  epoch 1.0  loss 2.000  rate 1.00e-01  5 tokens/s  1:30 left",
        "step 200  epoch 2.0  loss 2.000  rate 1.00e-01  5 tokens/s  1:20 left",
    ]
