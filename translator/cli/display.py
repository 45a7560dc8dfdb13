"""What a person sees while a model trains: a bar, figures, and translations getting better."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from translator.config.schema import TrainingConfig
from translator.data.corpus import Pair
from translator.diagnostics.symptoms import describe_symptoms
from translator.training.results import StepResult as Step
from translator.training.results import Validation
from translator.training.state import RECORD_EVERY

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
        state = step.state
        self._first = self._first or (state.step, state.clock.seconds)
        self._loss = _smooth(self._loss, step.loss)
        self._speed = _smooth(self._speed, step.tokens_per_second)
        text = (
            f"epoch {state.step / self._batches_per_epoch:.1f}  loss {self._loss:.3f}  "
            f"rate {step.learning_rate:.2e}  {self._speed:,.0f} tokens/s  {self._left(step)}"
        )
        self._bar.update(self._task, completed=state.step, text=text)
        at_first = state.step == self._first[0]
        if not self._console.is_terminal and (at_first or state.step % (2 * RECORD_EVERY) == 0):
            self._console.print(f"step {state.step}  {text}", soft_wrap=True)

    def _left(self, step: Step) -> str:
        """Time to the nearest limit, from the speed of this session."""
        state, limits = step.state, []
        assert self._first is not None
        first_step, first_seconds = self._first
        if self._last_step is not None and state.step > first_step:
            pace = (state.clock.seconds - first_seconds) / (state.step - first_step)
            limits.append((self._last_step - state.step) * pace)
        if self._config.max_minutes is not None:
            limits.append(self._config.max_minutes * 60 - state.clock.seconds)
        if not limits:
            return ""
        minutes, seconds = divmod(max(0, round(min(limits))), 60)
        return f"{minutes}:{seconds:02} left"

    def _show_validation(self, step: Step, validation: Validation) -> None:
        best = " (best so far)" if step.is_best else ""
        scores = "".join(f"{one.name} {one.value:.2f}, " for one in validation.scores.values())
        self.tell(
            f"step {step.state.step}: validation {scores}loss {validation.loss:.3f}{best}, "
            f"in {validation.seconds:.0f} s"
        )
        if found := describe_symptoms(validation.symptoms):
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
