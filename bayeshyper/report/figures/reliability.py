"""The figures of class probabilities: reliability and confidence."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from bayeshyper.diagnostics import Evaluation
from bayeshyper.diagnostics._words import percent, plural
from bayeshyper.report.figures.axes import number_axis, share_axis
from bayeshyper.report.figures.figure import REFERENCE, Bars, Figure, Line, Ranges, Rule
from bayeshyper.report.figures.models import model_lines


def reliability_figure(models: dict[str, Evaluation]) -> Figure:
    """Draws how often the model is right against how sure it says it is."""
    curves = {name: model.reliability for name, model in models.items() if model.reliability is not None}
    first = next(iter(curves.values()))
    low = min([float(curve.confidence.min()) for curve in curves.values()] + [float(first.accuracy.min())])
    low = math.floor(10.0 * min(low, float(first.lower.min()), 0.9)) / 10.0
    outside = int(((first.accuracy < first.lower) | (first.accuracy > first.upper)).sum())
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
            *model_lines(
                {name: (curve.confidence, curve.accuracy) for name, curve in curves.items()},
                "Observed",
                lambda name, i: (
                    f"{percent(curves[name].confidence[i])} sure on average, right in "
                    f"{percent(curves[name].accuracy[i])} of {plural(int(curves[name].counts[i]), 'row')}"
                ),
                marks=lambda x: list(range(len(x))),
                dots=True,
            ),
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
        models=len(curves) > 1,
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
