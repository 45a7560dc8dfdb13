"""What a person sees while a model trains: a bar, figures, and translations getting better."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from translator.config.schema import TrainingConfig
from translator.data.corpus import Pair
from translator.evaluation.symptoms import said
from translator.training.checkpoint import RECORD_EVERY
from translator.training.loop import StepResult as Step
from translator.training.loop import Validation

SAMPLES = 3
SMOOTHING = 0.95


class Display:
    """Draws on stderr: a live bar at a terminal, else a line every so many steps."""

    def __init__(
        self,
        config: TrainingConfig,
        last_step: int | None,
        batches_per_epoch: int,
        validation_pairs: Sequence[Pair],
    ) -> None:
        self._config = config
        self._last_step = last_step
        self._batches_per_epoch = batches_per_epoch
        self._pairs = validation_pairs
        self._console = Console(file=sys.stderr, highlight=False)
        self._bar = Progress(
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=last_step, text="first step …")
        self._loss: float | None = None
        self._speed: float | None = None
        self._first: tuple[int, float] | None = None

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, step: Step) -> None:
        if step.failure is not None:
            self._loss = self._first = None
            return
        if step.validation is not None:
            self._show_validation(step, step.validation)
            return
        position = step.position
        self._first = self._first or (position.step, position.seconds)
        self._loss = _smooth(self._loss, step.loss)
        self._speed = _smooth(self._speed, step.tokens_per_second)
        text = (
            f"epoch {position.step / self._batches_per_epoch:.1f}  loss {self._loss:.3f}  "
            f"rate {step.learning_rate:.2e}  {self._speed:,.0f} tokens/s  {self._left(step)}"
        )
        self._bar.update(self._task, completed=position.step, text=text)
        at_first = position.step == self._first[0]
        if not self._console.is_terminal and (at_first or position.step % (2 * RECORD_EVERY) == 0):
            self._console.print(f"step {position.step}  {text}", soft_wrap=True)

    def _left(self, step: Step) -> str:
        """Time to the nearest limit, from the speed of this session."""
        position, limits = step.position, []
        assert self._first is not None
        first_step, first_seconds = self._first
        if self._last_step is not None and position.step > first_step:
            pace = (position.seconds - first_seconds) / (position.step - first_step)
            limits.append((self._last_step - position.step) * pace)
        if self._config.max_minutes is not None:
            limits.append(self._config.max_minutes * 60 - position.seconds)
        if not limits:
            return ""
        minutes, seconds = divmod(max(0, round(min(limits))), 60)
        return f"{minutes}:{seconds:02} left"

    def _show_validation(self, step: Step, validation: Validation) -> None:
        best = " (best so far)" if step.is_best else ""
        self.tell(
            f"step {step.position.step}: validation BLEU {validation.bleu:.2f}, "
            f"loss {validation.loss:.3f}{best}, in {validation.seconds:.0f} s"
        )
        if found := said(validation.symptoms):
            self.tell(found)
        count = len(self._pairs)
        for index in range(0, count, -(-count // SAMPLES)):
            pair = self._pairs[index]
            self.tell(f"    source     {pair.source}")
            self.tell(f"    reference  {pair.target}")
            self.tell(f"    model      {validation.translations[index]}")

    def tell(self, text: str) -> None:
        """Say something beside the bar."""
        self._console.print(text, markup=False, soft_wrap=True)


def _smooth(mean: float | None, value: float) -> float:
    return value if mean is None else SMOOTHING * mean + (1 - SMOOTHING) * value
