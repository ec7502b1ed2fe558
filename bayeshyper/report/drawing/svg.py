"""Figures as SVG: a few shapes with class names, whose colours the page's style sheet decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from bayeshyper.report.drawing.palette import N_SERIES, resolved
from bayeshyper.report.figures.figure import Band, Bars, Figure, Layer, Line, Numbers, Points, Ranges, Rule
from bayeshyper.report.templating import render

WIDTH = 480
_TOP, _RIGHT, _BOTTOM, _LEFT = 30, 16, 46, 50
_LABELLED_LEFT = 140  # where the ticks are words, and the axis has no label


Attributes: TypeAlias = Mapping[str, str | float]


@dataclass(frozen=True)
class Shape:
    """One SVG element: tag, attributes, text, and a note that browsers show on hovering."""

    tag: str
    attributes: Attributes = field(default_factory=dict)
    text: str = ""
    note: str = ""


@dataclass(frozen=True)
class Drawing:
    """What one ``<svg>`` is made of: the shapes of the frame, and those that are clipped to the plot."""

    width: int
    height: int
    plot: tuple[float, float, float, float]
    frame: tuple[Shape, ...]
    content: tuple[Shape, ...]


def draw(figure: Figure) -> Drawing:
    """Turns a figure into shapes in a box 480 wide.

    Example:
        >>> from bayeshyper.report.figures.axes import share_axis
        >>> line = Line((0.0, 1.0), (0.0, 1.0))
        >>> drawing = draw(Figure("f", "F", share_axis("x"), share_axis("y"), (line,), "", ""))
        >>> drawing.content[0].attributes["d"]
        'M50.0 294.0L464.0 30.0'
    """
    scale = _Scale(figure)
    content = tuple(shape for layer in figure.layers for shape in _shapes(layer, scale))
    plot = (scale.left, scale.top, scale.right - scale.left, scale.bottom - scale.top)
    return Drawing(WIDTH, figure.height, plot, _frame(figure, scale), content)


class _Scale:
    """Maps data to the drawing."""

    def __init__(self, figure: Figure) -> None:
        self.left, self.right = float(_LEFT if figure.y.label else _LABELLED_LEFT), float(WIDTH - _RIGHT)
        self.top = float(_TOP if figure.y.label else 10)
        self.bottom = float(figure.height - _BOTTOM)
        self._x, self._y = figure.x, figure.y

    def x(self, value: float) -> float:
        share = (value - self._x.low) / (self._x.high - self._x.low)
        return round(self.left + share * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        share = (value - self._y.low) / (self._y.high - self._y.low)
        # Far outside, coordinates are of no use: the clip hides them.
        return round(self.bottom - max(-9.0, min(10.0, share)) * (self.bottom - self.top), 1)

    def path(self, x: Numbers, y: Numbers) -> str:
        return "M" + "L".join(f"{self.x(a)} {self.y(b)}" for a, b in zip(x, y, strict=True))


def _frame(figure: Figure, scale: _Scale) -> tuple[Shape, ...]:
    shapes = []
    for value, text in figure.y.ticks:
        y = scale.y(value)
        shapes.append(Shape("line", {"class": "grid", "x1": scale.left, "x2": scale.right, "y1": y, "y2": y}))
        shapes.append(Shape("text", {"class": "tick end", "x": scale.left - 8, "y": y + 4.5}, text))
    for value, text in figure.x.ticks:
        x = scale.x(value)
        ends = {"x1": x, "x2": x, "y1": scale.bottom, "y2": scale.bottom + 5}
        shapes.append(Shape("line", {"class": "axis", **ends}))
        shapes.append(Shape("text", {"class": "tick middle", "x": x, "y": scale.bottom + 20}, text))
    base = {"x1": scale.left, "x2": scale.right, "y1": scale.bottom, "y2": scale.bottom}
    shapes.append(Shape("line", {"class": "axis", **base}))
    middle = (scale.left + scale.right) / 2
    shapes.append(
        Shape("text", {"class": "name middle", "x": middle, "y": figure.height - 6}, figure.x.label)
    )
    if figure.y.label:
        shapes.append(Shape("text", {"class": "name", "x": 2, "y": 14}, figure.y.label))
    return tuple(shapes)


def _shapes(layer: Layer, scale: _Scale) -> list[Shape]:
    if isinstance(layer, Band):
        there, back = scale.path(layer.x, layer.upper), scale.path(layer.x[::-1], layer.lower[::-1])
        return [Shape("path", {"class": "band", "d": f"{there}L{back[1:]}Z"})]
    if isinstance(layer, Line):
        return [Shape("path", {"class": f"line {series(layer.series)}", "d": scale.path(layer.x, layer.y)})]
    if isinstance(layer, Bars):
        return _bars(layer, scale)
    if isinstance(layer, Ranges):
        return [
            Shape(
                "line",
                {"class": "range", "x1": scale.x(x), "x2": scale.x(x), "y1": scale.y(a), "y2": scale.y(b)},
            )
            for x, a, b in zip(layer.x, layer.lower, layer.upper, strict=True)
        ]
    if isinstance(layer, Rule):
        x = scale.x(layer.x)
        ends = {"x1": x, "x2": x, "y1": scale.top, "y2": scale.bottom}
        return [Shape("line", {"class": f"rule r{layer.series % 2}", **ends})]
    return _points(layer, scale)


def _bars(layer: Bars, scale: _Scale) -> list[Shape]:
    shapes = []
    notes = layer.notes or [""] * len(layer.left)
    for left, right, height, note in zip(layer.left, layer.right, layer.height, notes, strict=True):
        x, width = scale.x(left) + 1, max(scale.x(right) - scale.x(left) - 2, 1)
        y = scale.y(height)
        box = {"x": x, "y": y, "width": round(width, 1), "height": round(scale.bottom - y, 1)}
        shapes.append(Shape("rect", {"class": "bar", **box}, note=note))
    return shapes


def _points(layer: Points, scale: _Scale) -> list[Shape]:
    shapes = []
    kind = "faint" if layer.faint else "point"
    for low, high, y in zip(layer.low, layer.high, layer.y, strict=False):
        ends = {"x1": scale.x(low), "x2": scale.x(high), "y1": scale.y(y), "y2": scale.y(y)}
        shapes.append(Shape("line", {"class": f"whisker {series(layer.series)}", **ends}))
    notes = layer.notes or [""] * len(layer.x)
    for x, y, note in zip(layer.x, layer.y, notes, strict=True):
        centre = {"cx": scale.x(x), "cy": scale.y(y), "r": 9 if layer.faint else 5}
        shapes.append(Shape("circle", {"class": f"{kind} {series(layer.series)}", **centre}, note=note))
    return shapes


def series(number: int) -> str:
    """Returns the class name of a series.

    Example:
        >>> series(0), series(-1)
        ('s0', 'reference')
    """
    return "reference" if number < 0 else f"s{number % N_SERIES}"


def svg(figure: Figure) -> bytes:
    """Writes a figure as a file of its own, in light colours, with its title and legend.

    Example:
        >>> from bayeshyper.report.figures.axes import share_axis
        >>> svg(Figure("f", "F", share_axis("x"), share_axis("y"), (), "", ""))[:4]
        b'<svg'
    """
    style = resolved(render("plot.css"))
    return render("plot.svg", figure=figure, drawing=draw(figure), series=series, style=style).encode()
