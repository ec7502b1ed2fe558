"""Curves of several models in one plot."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from bayeshyper.diagnostics._checks import Floats
from bayeshyper.report.figures.figure import Layer, Line, Points


def model_lines(
    curves: Mapping[str, tuple[Floats, Floats]],
    label: str,
    note: Callable[[str, int], str],
    *,
    marks: Callable[[Floats], list[int]] | None = None,
    dots: bool = False,
) -> list[Layer]:
    """Draws a line for each model, the first one's on top, and points that tell their values.

    Args:
        curves: Name of a model to x and y, ``(K,)`` each.
        label: Of the line, where there is but one model.
        note: What the point of a model's curve says, given the model's name and the point's place in x.
        marks: Picks the points that tell something; some that lie evenly, if left out.
        dots: Whether the first model's points are seen, too.
    """
    lines: list[Layer] = []
    points: list[Layer] = []
    for k, (name, (x, y)) in enumerate(curves.items()):
        several = len(curves) > 1
        marked = (marks or evenly)(x)
        notes = [f"{name}: {note(name, i)}" if several else note(name, i) for i in marked]
        lines.append(Line(x.tolist(), y.tolist(), k, name if several else label))
        seen = dots and k == 0
        points.append(Points(x[marked].tolist(), y[marked].tolist(), notes, series=k, faint=not seen))
    return [*lines[::-1], *points[::-1]]


def evenly(x: Floats, most: int = 20) -> list[int]:
    """Picks points that lie evenly along the axis, of those there are.

    Example:
        >>> evenly(np.array([0.0, 0.01, 0.02, 1.0]), most=3)
        [0, 2, 3]
    """
    return sorted({int(np.abs(x - one).argmin()) for one in np.linspace(x[0], x[-1], most)})
