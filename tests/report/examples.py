"""Reports to look at: evaluations of stand-in predictions, an audit and a training history."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeshyper.diagnostics import (
    PSIS,
    Audit,
    Collapse,
    Convergence,
    Evaluation,
    NormalPredictive,
    before_and_after,
    evaluate,
)
from bayeshyper.inference import History
from bayeshyper.report import write_report
from tests.diagnostics.fakes import GaussianPredictive, classification, regression

ABOUT = {
    "Data": "concrete.csv, target strength",
    "Split": "927 rows trained on, 103 scored",
    "Seed": "0",
    "Recipe": "hypernetwork, 2 hidden layers of 50, modulation head",
    "Time": "fitted in 11.8 s, judged in 0.6 s",
    "Versions": "bayeshyper 0.5.0, torch 2.13.0, pyro-ppl 1.9.2, Python 3.12.4",
}


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


class SplitPredictive(GaussianPredictive):
    """A Gaussian forecast that knows the two parts of its uncertainty."""

    @property
    def epistemic(self) -> NDArray[np.float64]:
        return 0.4 * self.std

    @property
    def aleatoric(self) -> NDArray[np.float64]:
        return np.sqrt(self.std**2 - self.epistemic**2)


def wrong_in_the_south(n: int = 900) -> Evaluation:
    """A forecast that is too low in one region, of rows with further columns, beside an unfamiliar table."""
    rng = np.random.default_rng(3)
    columns = pd.DataFrame(
        {
            "region": rng.choice(
                ["north", "south", "east", "west", "islands"], n, p=[0.4, 0.2, 0.2, 0.19, 0.01]
            ),
            "age": rng.integers(18, 90, n),
            "source": "survey",
        }
    )
    mean, std = rng.normal(size=n), rng.uniform(0.5, 2.0, n)
    y = mean + std * rng.normal(size=n) + 0.9 * (columns["region"] == "south")
    strange = SplitPredictive(np.zeros(200), rng.uniform(1.0, 3.0, 200))
    found = evaluate(SplitPredictive(mean, std), y, by=columns, unfamiliar=strange)
    return replace(found, repairs=before_and_after(NormalPredictive(mean, std), y, n_bootstrap=200))


def convergence() -> Convergence:
    """Three restarts that differ about some function values."""
    return Convergence(
        n_members=3,
        n_draws=200,
        n_compared=400,
        rhat_max=1.31,
        rhat_median=1.02,
        share_above_1_01=0.6,
        share_above_1_05=0.2,
        worst_rows=(3, 1, 4),
        ess_min=9.0,
        ess_median=520.0,
    )


def collapse() -> Collapse:
    """A noise that moves the weights along some of its directions."""
    return Collapse(
        noise_dim=16,
        spread={"layer 1": 0.4, "layer 2": 0.02},
        variance_share=0.46,
        noise_entropy=-310.2,
        information=24.1,
        information_source="audit, lower bound",
        effective_rank=7.3,
    )


def seven_models(n: int = 400) -> dict[str, Evaluation]:
    """Forecasts of the same rows, from too sure to too careful."""
    predictive, y = regression(n)
    rng = np.random.default_rng(7)
    names = {
        "hypernetwork": 1.0,
        "mean field": 0.8,
        "low-rank Gaussian": 1.1,
        "MAP": 0.5,
        "deep ensemble": 0.95,
        "MC dropout": 1.6,
        "Laplace": 1.35,
    }
    return {
        name: evaluate(
            SplitPredictive(predictive.mean + 0.2 * k**0.5 * rng.normal(size=n), np.full(n, std)), y
        )
        for k, (name, std) in enumerate(names.items())
    }


def write_all(folder: Path) -> dict[str, Path]:
    """One page of each kind."""
    first, others = three_models()
    full = {"about": ABOUT, "history": history()}
    bad = evaluate(*regression(300, 1, stated_std=0.55, shift=0.2))
    classes = evaluate(*classification(300, 2, n_classes=3))
    sharpened = evaluate(*classification(300, 2, n_classes=3, sharpen=2.5))
    coins = evaluate(*classification(500, 4, n_classes=2, sharpen=1.8))
    one = evaluate(*regression(1))
    (ours, best), *rest = seven_models().items()
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
        "everything": write_report(
            folder / "everything",
            wrong_in_the_south(),
            audit=audit(n_members=3),
            convergence=convergence(),
            collapse=collapse(),
            **full,
        ),
        "two-classes": write_report(folder / "two-classes", coins, **full),
        "seven": write_report(folder / "seven", best, comparisons=dict(rest), name=ours, **full),
        "one-row": write_report(folder / "one-row", one),
    }
