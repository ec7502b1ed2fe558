"""The figures of a density forecast: coverage and PIT."""

from __future__ import annotations

import numpy as np

from bayeshyper.diagnostics import Evaluation
from bayeshyper.diagnostics._checks import Booleans
from bayeshyper.diagnostics._words import number, percent, plural
from bayeshyper.diagnostics.calibration.ecdf import PITDifference
from bayeshyper.report.figures.axes import number_axis, padded, share_axis
from bayeshyper.report.figures.figure import REFERENCE, Band, Bars, Figure, Line
from bayeshyper.report.figures.models import evenly, model_lines


def coverage_figure(models: dict[str, Evaluation]) -> Figure:
    """Draws the share of rows inside the central interval against its stated level."""
    curves = {name: model.coverage for name, model in models.items() if model.coverage is not None}
    first = next(iter(curves.values()))
    n = next(iter(models.values())).n_rows
    marked = [i for i, level in enumerate(first.levels) if round(100 * level) % 5 == 0]
    worst = int(np.argmax(np.abs(first.observed - first.levels)))
    outside = (first.observed < first.lower) | (first.observed > first.upper)
    return Figure(
        name="coverage",
        title="Do the intervals hold what they promise?",
        x=share_axis("Stated level of the interval"),
        y=share_axis("Rows inside it"),
        layers=(
            Band(
                (0.0, *first.levels.tolist(), 1.0),
                (0.0, *first.lower.tolist(), 1.0),
                (0.0, *first.upper.tolist(), 1.0),
                f"Where the whole line of {percent(0.95)} of calibrated models stays",
            ),
            Line((0.0, 1.0), (0.0, 1.0), REFERENCE, "Calibrated"),
            *model_lines(
                {
                    name: (np.array([0.0, *curve.levels, 1.0]), np.array([0.0, *curve.observed, 1.0]))
                    for name, curve in curves.items()
                },
                "Observed",
                lambda name, i: (
                    f"{percent(curves[name].levels[i - 1])} intervals hold "
                    f"{percent(curves[name].observed[i - 1], n)} of the rows"
                ),
                marks=lambda _: [i + 1 for i in marked],
            ),
        ),
        caption="A line below the diagonal means that intervals are too narrow (over-confident), above it "
        "that they are too wide. Inside the shaded band, the difference may be chance: "
        "the line of one calibrated model in twenty leaves it somewhere. The verdict weighs several signs, "
        "and asks for more of each.",
        summary=f"The observed coverage {_leaves(outside)}; the largest gap is at the "
        f"{percent(first.levels[worst])} interval, which holds "
        f"{percent(first.observed[worst], n)} of the rows.",
        header=("Stated", *(["Observed"] if len(curves) == 1 else curves), "Calibrated models"),
        rows=tuple(
            (
                percent(first.levels[i]),
                *(percent(curve.observed[i], n) for curve in curves.values()),
                f"{percent(first.lower[i], n)} to {percent(first.upper[i], n)}",
            )
            for i in marked
        ),
        models=len(curves) > 1,
    )


def pit_figure(evaluation: Evaluation) -> Figure:
    """Draws the PIT histogram with the band that holds all bars of a calibrated model."""
    pit = evaluation.pit
    assert pit is not None  # of every regression
    left, right, counts = pit.edges[:-1].tolist(), pit.edges[1:].tolist(), pit.counts.tolist()
    outside = int(sum(not pit.lower <= count <= pit.upper for count in counts))
    spans = [f"{percent(a)} to {percent(b)}" for a, b in zip(left, right, strict=True)]
    notes = [
        f"{plural(c, 'row')} between their {span} quantiles" for c, span in zip(counts, spans, strict=True)
    ]
    top = 1.08 * max(max(counts), pit.upper)
    return Figure(
        name="pit",
        title="Where in its distribution did the truth fall?",
        x=share_axis("Predicted quantile at which the truth lies (PIT)"),
        y=number_axis("Rows", 0.0, top),
        layers=(
            Band(
                (0.0, 1.0),
                (pit.lower,) * 2,
                (pit.upper,) * 2,
                f"All bars of {percent(0.95)} of calibrated models",
            ),
            Bars(left, right, counts, notes, "Rows"),
            Line((0.0, 1.0), (pit.expected,) * 2, REFERENCE, "Calibrated"),
        ),
        caption="Flat is calibrated. A U means over-confident, a hill under-confident, a slope biased: "
        "rising to the right, the truth lies higher than predicted.",
        summary=f"{outside or 'None'} of {plural(len(counts), 'bar')} "
        f"{'is' if outside < 2 else 'are'} outside the band of calibrated models.",
        header=("Quantiles", "Rows", "Expected"),
        rows=tuple((span, f"{c:,}", number(pit.expected)) for span, c in zip(spans, counts, strict=True)),
    )


def pit_difference_figure(curve: PITDifference, n_rows: int) -> Figure:
    """Draws how far the share of rows below each predicted quantile is from the quantile's level."""
    x = np.array([0.0, *curve.levels, 1.0])
    y = np.array([0.0, *curve.difference, 0.0])
    lower, upper = (0.0, *curve.lower.tolist(), 0.0), (0.0, *curve.upper.tolist(), 0.0)
    low, high = padded([*y.tolist(), *lower, *upper], 0.08)
    outside = int(((curve.difference < curve.lower) | (curve.difference > curve.upper)).sum())
    worst = int(np.abs(curve.difference).argmax())
    marked = evenly(curve.levels)
    return Figure(
        name="pit-difference",
        title="Which quantiles are off?",
        x=share_axis("Predicted quantile"),
        y=share_axis("Rows below it, less the stated share", low, high),
        layers=(
            Band(
                (0.0, *curve.levels.tolist(), 1.0),
                lower,
                upper,
                f"Where the whole line of {percent(0.95)} of calibrated models stays",
            ),
            Line((0.0, 1.0), (0.0, 0.0), REFERENCE, "Calibrated"),
            *model_lines(
                {"": (x, y)}, "Observed", lambda _, i: f"{_points(y[i])} at the {percent(x[i])} quantile"
            ),
        ),
        caption="Below zero, fewer rows lie under that quantile than stated: it is too low. Above zero it is "
        "too high. The line of one calibrated model in twenty leaves the band.",
        summary=f"{outside or 'None'} of {plural(len(curve.levels), 'quantile')} "
        f"{'is' if outside < 2 else 'are'} outside the band; the largest difference is "
        f"{_points(float(curve.difference[worst]))}, at the {percent(curve.levels[worst])} quantile.",
        header=("Quantile", "Difference", "Calibrated models"),
        rows=tuple(
            (
                percent(curve.levels[i], n_rows),
                _points(curve.difference[i]),
                f"{_points(curve.lower[i])} to {_points(curve.upper[i])}",
            )
            for i in marked
        ),
    )


def _leaves(outside: Booleans) -> str:
    if not outside.any():
        return "stays inside the band of calibrated models"
    return f"leaves the band of calibrated models at {outside.sum()} of {plural(len(outside), 'level')}"


def _points(difference: float) -> str:
    """Writes a difference of shares in percentage points, with its sign."""
    return f"{100.0 * difference:+.1f} points".replace("-", "\u2212")
