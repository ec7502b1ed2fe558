"""Figures as data: what is to be seen, before anybody decides how to draw it.

Each is drawn twice from the same description, as SVG for the page and as PNG for everything else, and
carries its own caption, a summary for those who cannot see it, and the numbers as a table.
"""

from __future__ import annotations

import math
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
    """Bars from zero, each with a note that shows on hovering."""

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

    Faint ones are not seen until hovered over.
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
    height: int = 340

    @property
    def legend(self) -> tuple[tuple[str, int, str], ...]:
        """The kind, series number and label of each layer that has a label."""
        labelled = [layer for layer in self.layers if layer.label]
        labelled.sort(key=lambda layer: layer.series if isinstance(layer, Line) else REFERENCE)
        return tuple(
            (type(layer).__name__.lower(), getattr(layer, "series", 0), layer.label) for layer in labelled
        )


def share_axis(label: str, low: float = 0.0, high: float = 1.0) -> Axis:
    """Makes an axis in per cent.

    Example:
        >>> [text for _, text in share_axis("Share").ticks]
        ['0%', '20%', '40%', '60%', '80%', '100%']
    """
    ticks = nice_ticks(low, high)
    decimals = 0 if len(ticks) < 2 or 100.0 * (ticks[1] - ticks[0]) > 0.99 else 1
    return Axis(label, low, high, tuple((t, f"{100.0 * t:.{decimals}f}%") for t in ticks))


def number_axis(label: str, low: float, high: float, about: int = 5) -> Axis:
    """Makes an axis in plain numbers.

    Example:
        >>> [text for _, text in number_axis("Step", 0, 4000).ticks]
        ['0', '1,000', '2,000', '3,000', '4,000']
    """
    ticks = nice_ticks(low, high, about)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    decimals = next(
        (d for d in range(12) if math.isclose(step * 10**d, round(step * 10**d), rel_tol=1e-6)), 12
    )
    return Axis(label, low, high, tuple((t, f"{t:,.{decimals}f}".replace("-", "\u2212")) for t in ticks))


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Returns round numbers between low and high.

    Example:
        >>> nice_ticks(0.0, 1.0)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min((1.0, 2.0, 5.0, 10.0), key=lambda m: abs(m * power - rough))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) + 0.0 for k in range(first, last + 1)]


def padded(values: Numbers, share: float = 0.06) -> tuple[float, float]:
    """Returns the least and largest value with some room on both sides, never of width zero.

    Example:
        >>> padded([0.0, 1.0], share=0.5), padded([2.0])
        ((-0.5, 1.5), (1.0, 3.0))
    """
    low, high = min(values), max(values)
    room = share * (high - low) or max(abs(low) * 0.5, 1e-9)
    return low - room, high + room
