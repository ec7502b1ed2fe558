"""The figures of decisions: what is gained by abstaining, and whether unfamiliar rows are noticed."""

from __future__ import annotations

import numpy as np

from bayeshyper.diagnostics._words import number, percent
from bayeshyper.diagnostics.decisions import Novelty, RiskCoverage
from bayeshyper.report.figures.axes import number_axis, share_axis
from bayeshyper.report.figures.figure import REFERENCE, Axis, Figure, Line
from bayeshyper.report.figures.models import model_lines


def risk_figure(curves: dict[str, RiskCoverage], task: str) -> Figure:
    """Draws the error that is left where only the rows that a model is surest of are kept."""
    first = next(iter(curves.values()))
    shares = task == "classification"
    loss = "Rows it gets wrong" if shares else "Mean error of those kept"

    def said(value: float) -> str:
        return percent(value) if shares else number(value, error=first.random / 20.0)

    worst = max(float(curve.risk.max()) for curve in curves.values())
    top = 1.12 * (worst or (0.05 if shares else 1.0))
    half = float(np.interp(0.5, first.coverage, first.risk))
    return Figure(
        name="risk",
        title="Is it surest where it is right?",
        x=share_axis("Rows kept, the surest first"),
        y=_loss_axis(loss, top, shares),
        layers=(
            Line((0.0, 1.0), (first.random,) * 2, REFERENCE, "Keeping rows at random"),
            *model_lines(
                {name: (curve.coverage, curve.risk) for name, curve in curves.items()},
                "Keeping the surest",
                lambda name, i: (
                    f"{said(curves[name].risk[i])} of the surest {percent(curves[name].coverage[i])}"
                ),
            ),
        ),
        caption="The lower to the left, the more it pays to set aside the rows that it is least sure of. A "
        "curve that does not fall to the left ranks no better than chance. The far left rests on few rows.",
        summary=f"Over all rows the error is {said(first.random)}; over the surest half it is {said(half)}.",
        header=("Rows kept", *curves),
        rows=tuple(
            (percent(x), *(said(float(np.interp(x, c.coverage, c.risk))) for c in curves.values()))
            for x in np.arange(0.1, 1.01, 0.1)
        ),
        models=len(curves) > 1,
    )


def novelty_figure(curves: dict[str, Novelty]) -> Figure:
    """Draws the share of unfamiliar rows found against the share of familiar ones called so by mistake."""
    first = next(iter(curves.values()))
    auroc = first.auroc.value
    return Figure(
        name="novelty",
        title="Does it notice unfamiliar rows?",
        x=share_axis("Familiar rows called unfamiliar"),
        y=share_axis("Unfamiliar rows found"),
        layers=(
            Line((0.0, 1.0), (0.0, 1.0), REFERENCE, "Chance"),
            *model_lines(
                {n: (c.false_positive_rate, c.true_positive_rate) for n, c in curves.items()},
                "By its uncertainty",
                lambda name, i: (
                    f"{percent(curves[name].true_positive_rate[i])} found, "
                    f"{percent(curves[name].false_positive_rate[i])} called so by mistake"
                ),
            ),
        ),
        caption="The further to the upper left, the better its uncertainty tells the second table's rows "
        "from these. On the diagonal it cannot.",
        summary=f"The area under the curve is {'unknown' if auroc is None else percent(auroc)}; "
        f"{percent(0.5)} is chance.",
        header=("Mistakes", *curves),
        rows=tuple(
            (
                percent(x),
                *(
                    percent(float(np.interp(x, c.false_positive_rate, c.true_positive_rate)))
                    for c in curves.values()
                ),
            )
            for x in np.arange(0.05, 1.0, 0.05)
        ),
        models=len(curves) > 1,
    )


def _loss_axis(label: str, top: float, shares: bool) -> Axis:
    return share_axis(label, 0.0, min(top, 1.0)) if shares else number_axis(label, 0.0, top)
