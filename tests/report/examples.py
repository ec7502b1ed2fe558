"""Reports to look at: evaluations of stand-in predictions, an audit and a training history."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from bayeshyper.diagnostics import PSIS, Audit, Evaluation, evaluate
from bayeshyper.inference import History
from bayeshyper.report import write_report
from tests.diagnostics.fakes import GaussianPredictive, classification, regression

ABOUT = {"Data": "concrete.csv, target strength", "Split": "927 rows trained on, 103 scored", "Seed": "0"}


def audit(*, gap: float = 0.1, n_members: int = 1, temperature: float = 1.0, apart: float = 0.4) -> Audit:
    """An audit whose training estimate lies ``gap`` above the upper bound, and that ``apart`` the lower."""
    return Audit(
        elbo_lower=-612.1 - apart,
        elbo_upper=-612.1,
        elbo_linearized=-612.1 + gap,
        elbo_lower_error=0.4,
        elbo_upper_error=0.5,
        elbo_linearized_error=0.45,
        entropy_lower=264.3 - apart,
        entropy_upper=264.3,
        entropy_linearized=264.3 + gap,
        entropy_lower_error=0.1,
        entropy_upper_error=0.12,
        entropy_linearized_error=0.1,
        n_members=n_members,
        temperature=temperature,
        psis=PSIS((0.4, math.inf, 0.9), (31.0, 1.0, 4.2), 256, "linearised"),
    )


def history(*, held_out: bool = True) -> History:
    """A climb that levels off."""
    steps = list(range(20, 2001, 20))
    elbo = [-0.6 - 8.0 * math.exp(-step / 200) for step in steps]
    return History(steps, elbo, [e - 2.0 for e in elbo] if held_out else [], 1600, True, 11.8)


def three_models(n: int = 103) -> tuple[Evaluation, dict[str, Evaluation]]:
    """A calibrated forecast, an over-confident one and an under-confident one of the same rows."""
    predictive, y = regression(n)
    tight = GaussianPredictive(0.5 * predictive.mean, np.full(n, 0.6))
    loose = GaussianPredictive(predictive.mean, np.full(n, 2.0))
    others = {"mean field": evaluate(tight, y), "low-rank Gaussian": evaluate(loose, y)}
    return evaluate(predictive, y), others


def write_all(folder: Path) -> dict[str, Path]:
    """One page of each kind."""
    first, others = three_models()
    full = {"about": ABOUT, "history": history()}
    bad = evaluate(*regression(300, 1, stated_std=0.55, shift=0.2))
    classes = evaluate(*classification(300, 2, n_classes=3))
    sharpened = evaluate(*classification(300, 2, n_classes=3, sharpen=2.5))
    one = evaluate(*regression(1))
    return {
        "calibrated": write_report(folder / "calibrated", first, audit=audit(n_members=3), **full),
        "compared": write_report(
            folder / "compared", first, audit=audit(), comparisons=others, name="hypernetwork", **full
        ),
        "over-confident": write_report(
            folder / "over-confident", bad, audit=audit(gap=9.0, temperature=0.5), **full
        ),
        "classes": write_report(folder / "classes", classes, audit=audit(), **full),
        "classes-compared": write_report(
            folder / "classes-compared", sharpened, comparisons={"calibrated one": classes}, **full
        ),
        "one-row": write_report(folder / "one-row", one),
    }
