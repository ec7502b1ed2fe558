"""The figures of calibration, from evaluations."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from bayeshyper.diagnostics import Evaluation
from bayeshyper.diagnostics._words import number, percent, plural
from bayeshyper.report.figures import (
    REFERENCE,
    Band,
    Bars,
    Figure,
    Line,
    Points,
    Ranges,
    Rule,
    number_axis,
    share_axis,
)


def calibration_figures(models: dict[str, Evaluation]) -> list[Figure]:
    """Draws the calibration of the first model, with the others beside it where that stays readable."""
    first = next(iter(models.values()))
    if first.task == "regression":
        return [coverage_figure(models), pit_figure(first)]
    return [reliability_figure(models), confidence_figure(first)]


def coverage_figure(models: dict[str, Evaluation]) -> Figure:
    """Draws the share of rows inside the central interval against its stated level."""
    names, curves = list(models), [model.coverage for model in models.values()]
    first = curves[0]
    assert first is not None  # of every regression
    alone = len(models) == 1
    marked = [i for i, level in enumerate(first.levels) if round(100 * level) % 5 == 0]
    n = next(iter(models.values())).n_rows
    lines = tuple(
        Line(
            (0.0, *curve.levels.tolist(), 1.0),
            (0.0, *curve.observed.tolist(), 1.0),
            series=k,
            label="Observed" if alone else names[k],
        )
        for k, curve in enumerate(curves)
        if curve is not None
    )
    notes = [
        f"{percent(first.levels[i])} intervals hold {percent(first.observed[i], n)} of the rows"
        for i in marked
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
            Points(first.levels[marked].tolist(), first.observed[marked].tolist(), notes, faint=True),
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
                *(percent(curve.observed[i], n) for curve in curves if curve is not None),
                f"{percent(first.lower[i], n)} to {percent(first.upper[i], n)}",
            )
            for i in marked
        ),
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


def reliability_figure(models: dict[str, Evaluation]) -> Figure:
    """Draws how often the model is right against how sure it says it is."""
    names, curves = list(models), [model.reliability for model in models.values()]
    first = curves[0]
    assert first is not None  # of every classification
    alone = len(models) == 1
    low = min(
        [float(curve.confidence.min()) for curve in curves if curve is not None] + [first.accuracy.min()]
    )
    low = math.floor(10.0 * min(low, float(first.lower.min()), 0.9)) / 10.0
    outside = int(((first.accuracy < first.lower) | (first.accuracy > first.upper)).sum())
    notes = [
        f"{percent(c)} sure on average, right in {percent(a)} of {plural(int(k), 'row')}"
        for c, a, k in zip(first.confidence, first.accuracy, first.counts, strict=True)
    ]
    lines = tuple(
        Line(curve.confidence.tolist(), curve.accuracy.tolist(), k, "Observed" if alone else names[k])
        for k, curve in enumerate(curves)
        if curve is not None
    )
    bars = plural(len(first.counts), "group")
    return Figure(
        name="reliability",
        title="Is it right as often as it says?",
        x=share_axis("How sure it says it is", low),
        y=share_axis("How often it is right", low),
        layers=(
            Ranges(
                first.confidence.tolist(),
                first.lower.tolist(),
                first.upper.tolist(),
                f"Where all groups of {percent(0.95)} of calibrated models lie",
            ),
            Line((low, 1.0), (low, 1.0), REFERENCE, "Calibrated"),
            *lines[::-1],
            Points(first.confidence.tolist(), first.accuracy.tolist(), notes),
        ),
        caption="Each dot is a group of rows with similar confidence. Below the diagonal it is "
        "over-confident: right less often than it says. A dot on its grey stroke may be there by chance.",
        summary=f"{outside or 'None'} of {bars} of rows {'is' if outside < 2 else 'are'} right more or less "
        "often than a calibrated model would be.",
        header=("Confidence", "Right", "Calibrated models", "Rows"),
        rows=tuple(
            (percent(c), percent(a), f"{percent(lo)} to {percent(hi)}", f"{int(k):,}")
            for c, a, lo, hi, k in zip(
                first.confidence, first.accuracy, first.lower, first.upper, first.counts, strict=True
            )
        ),
    )


def confidence_figure(evaluation: Evaluation) -> Figure:
    """Draws how many rows it is how sure of, with mean confidence and accuracy as two rules."""
    counts = evaluation.confidence_counts
    assert counts is not None  # of every classification
    filled = np.flatnonzero(counts)
    first = int(min(filled[0], 17))
    edges = np.linspace(0.0, 1.0, 21)[first:]
    shown = counts[first:].tolist()
    spans = [f"{percent(a)} to {percent(b)}" for a, b in pairwise(edges)]
    right, sure = evaluation["accuracy"].value or 0.0, evaluation["mean_confidence"].value or 0.0
    return Figure(
        name="confidence",
        title="How sure is it?",
        x=share_axis("How sure it says it is", float(edges[0])),
        y=number_axis("Rows", 0.0, 1.14 * max(shown)),
        layers=(
            Bars(
                edges[:-1].tolist(),
                edges[1:].tolist(),
                shown,
                [f"{plural(c, 'row')} at {span}" for c, span in zip(shown, spans, strict=True)],
                "Rows",
            ),
            Rule(right, f"How often it is right: {percent(right, evaluation.n_rows)}", series=0),
            Rule(sure, f"How sure it is on average: {percent(sure, evaluation.n_rows)}", series=1),
        ),
        caption="Further right is sharper. If it is calibrated, the two lines lie together.",
        summary=f"On average it is {percent(sure, evaluation.n_rows)} sure and right in "
        f"{percent(right, evaluation.n_rows)} of the rows.",
        header=("How sure", "Rows"),
        rows=tuple((span, f"{c:,}") for span, c in zip(spans, shown, strict=True)),
    )
