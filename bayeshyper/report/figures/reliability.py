"""The figures of class probabilities: reliability and confidence."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from bayeshyper.diagnostics import Evaluation
from bayeshyper.diagnostics._words import percent, plural
from bayeshyper.report.figures.axes import number_axis, share_axis
from bayeshyper.report.figures.figure import REFERENCE, Bars, Figure, Line, Points, Ranges, Rule


def reliability_figure(models: dict[str, Evaluation]) -> Figure:
    """Draws how often the model is right against how sure it says it is."""
    names = list(models)
    curves = [model.reliability for model in models.values() if model.reliability is not None]
    first, alone = curves[0], len(models) == 1
    low = min([float(curve.confidence.min()) for curve in curves] + [float(first.accuracy.min())])
    low = math.floor(10.0 * min(low, float(first.lower.min()), 0.9)) / 10.0
    outside = int(((first.accuracy < first.lower) | (first.accuracy > first.upper)).sum())
    lines = [
        Line(curve.confidence.tolist(), curve.accuracy.tolist(), k, "Observed" if alone else names[k])
        for k, curve in enumerate(curves)
    ]
    points = [
        Points(
            curve.confidence.tolist(),
            curve.accuracy.tolist(),
            [
                f"{'' if alone else f'{names[k]}: '}{percent(c)} sure on average, right in {percent(a)} of "
                f"{plural(int(rows), 'row')}"
                for c, a, rows in zip(curve.confidence, curve.accuracy, curve.counts, strict=True)
            ],
            series=k,
            faint=k > 0,
        )
        for k, curve in enumerate(curves)
    ]
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
            *points[::-1],
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
        models=not alone,
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
