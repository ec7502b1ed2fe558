"""The figures of a density forecast: coverage and PIT."""

from __future__ import annotations

import numpy as np

from bayeshyper.diagnostics import Evaluation
from bayeshyper.diagnostics._words import number, percent, plural
from bayeshyper.report.figures.axes import number_axis, share_axis
from bayeshyper.report.figures.figure import REFERENCE, Band, Bars, Figure, Line, Points


def coverage_figure(models: dict[str, Evaluation]) -> Figure:
    """Draws the share of rows inside the central interval against its stated level."""
    names, curves = list(models), [model.coverage for model in models.values() if model.coverage is not None]
    first, alone = curves[0], len(models) == 1
    marked = [i for i, level in enumerate(first.levels) if round(100 * level) % 5 == 0]
    n = next(iter(models.values())).n_rows
    lines = [
        Line(
            (0.0, *curve.levels.tolist(), 1.0),
            (0.0, *curve.observed.tolist(), 1.0),
            series=k,
            label="Observed" if alone else names[k],
        )
        for k, curve in enumerate(curves)
    ]
    notes = [
        Points(
            curve.levels[marked].tolist(),
            curve.observed[marked].tolist(),
            [
                f"{percent(curve.levels[i])} intervals{'' if alone else f' of {names[k]}'} hold "
                f"{percent(curve.observed[i], n)} of the rows"
                for i in marked
            ],
            series=k,
            faint=True,
        )
        for k, curve in enumerate(curves)
    ]
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
                f"Where {percent(0.95)} of calibrated models stay, given {plural(n, 'row')}",
            ),
            Line((0.0, 1.0), (0.0, 1.0), REFERENCE, "Calibrated"),
            *lines[::-1],
            *notes[::-1],
        ),
        caption="A line below the diagonal means that intervals are too narrow (over-confident), above it "
        "that they are too wide. Inside the shaded band, the difference may be chance.",
        summary=f"The observed coverage {'leaves' if outside.any() else 'stays inside'} the band of "
        f"calibrated models; the largest gap is at the {percent(first.levels[worst])} interval, which holds "
        f"{percent(first.observed[worst], n)} of the rows.",
        header=("Stated", *(["Observed"] if alone else names), "Calibrated models"),
        rows=tuple(
            (
                percent(first.levels[i]),
                *(percent(curve.observed[i], n) for curve in curves),
                f"{percent(first.lower[i], n)} to {percent(first.upper[i], n)}",
            )
            for i in marked
        ),
        models=not alone,
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
