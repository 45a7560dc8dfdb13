"""`translator attend` without a page: coloured text at a terminal, plain text elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

import numpy as np
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from translator.workflows.attend import Attended, AttendedSentence, Line

NUM_STRONGEST = 3
"""Source pieces that plain text names for each target piece."""
FAINT = 0.03
"""Weights below this have no background."""
LIGHT, DARK = (207, 227, 243), (13, 74, 128)
"""Backgrounds of small and large weights."""


def print_attention(attended: Attended, file: TextIO) -> None:
    """Print which source pieces each target piece looks at, as a mean over layers and heads."""
    console = Console(file=file, highlight=False, soft_wrap=False)
    is_coloured = console.is_terminal and console.color_system and not console.no_color
    for number, one in enumerate(attended.sentences):
        if number:
            print(file=file)
        if is_coloured:
            console.print(_table(one))
        else:
            print(*_lines(one), sep="\n", file=file)
        for note in _notes(one):
            print(note, file=file)


def _mean_cross_attention(one: AttendedSentence) -> np.ndarray:
    """[T, S]"""
    weights = [layer.weights.mean(axis=0) for layer in one.layers if layer.part == "cross"]
    mean: np.ndarray = np.mean(weights, axis=0)
    return mean


def _table(one: AttendedSentence) -> Table:
    """A row for each target piece: the piece, and the source with backgrounds."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="bold", max_width=24, overflow="fold")
    table.add_column(overflow="fold")
    for piece, weights in zip(one.target.pieces, _mean_cross_attention(one), strict=True):
        source = Text()
        for text, weight in zip(one.source.pieces, weights, strict=True):
            shown = _shown(text)
            if shown.startswith(" ") and source:
                source.append(" ")
            source.append(shown.lstrip(" ") or " ", _style(float(weight)))
        table.add_row(Text(_shown(piece).strip() or "▁"), source)
    return table


def _shown(piece: str) -> str:
    return " ⏎" if piece == "</s>" else piece.replace("▁", " ")


def _style(weight: float) -> Style:
    """A background whose lightness shows the weight; the square root spreads small weights."""
    if weight < FAINT:
        return Style.null()
    share = min(1.0, weight) ** 0.5
    red, green, blue = (
        round(light + (dark - light) * share) for light, dark in zip(LIGHT, DARK, strict=True)
    )
    ink = "#ffffff" if share > 0.5 else "#000000"
    return Style.parse(f"{ink} on rgb({red},{green},{blue})")


def _lines(one: AttendedSentence) -> Iterator[str]:
    """The sentence and its translation; then each target piece with its strongest source pieces,
    separated by tabs."""
    yield one.source.text
    yield one.target.text
    for piece, weights in zip(one.target.pieces, _mean_cross_attention(one), strict=True):
        strongest = np.argsort(-weights, kind="stable")[:NUM_STRONGEST]
        named = [f"{one.source.pieces[i]} {weights[i]:.2f}" for i in strongest]
        yield "\t".join([piece, *named])


def _notes(one: AttendedSentence) -> Iterator[str]:
    sides: list[tuple[str, Line]] = [("source", one.source), ("target", one.target)]
    for name, line in sides:
        if len(line.pieces) < line.num_pieces:
            yield (
                f"The first {len(line.pieces)} of {line.num_pieces} pieces of the {name} are drawn."
            )
