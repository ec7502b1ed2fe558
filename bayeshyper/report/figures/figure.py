"""Figures as data: what is to be seen, before anybody decides how to draw it.

Each is drawn twice from the same description, as SVG for the page and as PNG for everything else, and
carries its own caption, a summary for those who cannot see it, and the numbers as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Numbers: TypeAlias = Sequence[float]

REFERENCE = -1
"""The series number of what a calibrated model would do."""


@dataclass(frozen=True)
class Axis:
    """One axis: its label, its ends, and its ticks with their text."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Band:
    """A region between two curves."""

    x: Numbers
    lower: Numbers
    upper: Numbers
    label: str = ""


@dataclass(frozen=True)
class Line:
    """A curve; its series number chooses colour and dashes."""

    x: Numbers
    y: Numbers
    series: int = 0
    label: str = ""


@dataclass(frozen=True)
class Bars:
    """Bars from zero, each with a note that shows when it is pointed at."""

    left: Numbers
    right: Numbers
    height: Numbers
    notes: Sequence[str] = ()
    label: str = ""


@dataclass(frozen=True)
class Ranges:
    """Vertical strokes, one at each x."""

    x: Numbers
    lower: Numbers
    upper: Numbers
    label: str = ""


@dataclass(frozen=True)
class Points:
    """Dots, each with a note, and a horizontal error bar where low and high are given.

    Faint ones are not seen until pointed at.
    """

    x: Numbers
    y: Numbers
    notes: Sequence[str] = ()
    series: int = 0
    label: str = ""
    low: Numbers = ()
    high: Numbers = ()
    faint: bool = False


@dataclass(frozen=True)
class Rule:
    """A vertical line across the plot, solid or, in the second series, dashed."""

    x: float
    label: str
    series: int = 0


Layer: TypeAlias = Band | Line | Bars | Ranges | Points | Rule


@dataclass(frozen=True)
class Figure:
    """A figure and everything that is said about it.

    Args:
        name: The stem of its file name.
        title: Its heading.
        x: The horizontal axis.
        y: The vertical axis.
        layers: Drawn in this order.
        caption: How to read it.
        summary: What there is to see, in a sentence, for those who cannot.
        header: Of the table of its numbers.
        rows: Of that table, as text.
        models: Whether the series are models, which the reader can show and hide.
        height: In the units in which every figure is 480 wide.
    """

    name: str
    title: str
    x: Axis
    y: Axis
    layers: tuple[Layer, ...]
    caption: str
    summary: str
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    models: bool = False
    height: int = 340

    @property
    def legend(self) -> tuple[tuple[str, int, str], ...]:
        """The kind, series number and label of each layer that has a label."""
        labelled = [layer for layer in self.layers if layer.label]
        labelled.sort(key=lambda layer: layer.series if isinstance(layer, Line) else REFERENCE)
        return tuple(
            (type(layer).__name__.lower(), getattr(layer, "series", 0), layer.label) for layer in labelled
        )
