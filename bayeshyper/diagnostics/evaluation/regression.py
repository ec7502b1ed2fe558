"""The evaluation of a density forecast."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics._words import percent
from bayeshyper.diagnostics.calibration.coverage import Coverage, coverage_at, coverage_curve, inside_interval
from bayeshyper.diagnostics.calibration.ecdf import pit_difference
from bayeshyper.diagnostics.calibration.groups import miscalibration_by_group
from bayeshyper.diagnostics.calibration.pit import pit_histogram
from bayeshyper.diagnostics.calibration.quantiles import below_quantile, gap_if_calibrated, mean_quantile_gap
from bayeshyper.diagnostics.calibration.uniformity import uniformity
from bayeshyper.diagnostics.evaluation.advice import with_places
from bayeshyper.diagnostics.evaluation.results import Evaluation
from bayeshyper.diagnostics.evaluation.verdict import LEVEL, judge_regression
from bayeshyper.diagnostics.predictives import Predictive, pit_values
from bayeshyper.diagnostics.predictives.rowwise import crps_values, log_scores
from bayeshyper.diagnostics.scores.bootstrap import bootstrap_interval
from bayeshyper.diagnostics.scores.intervals import interval_score_per_row, weighted_interval_score_per_row
from bayeshyper.diagnostics.scores.maker import ScoreMaker
from bayeshyper.diagnostics.scores.score import Score
from bayeshyper.errors import DataError

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""The central intervals whose coverage is reported."""

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)  # finding a quantile is the dear part: as few as will do


def evaluate_regression(
    predictive: Predictive, y: ArrayLike, make: ScoreMaker, by: pd.DataFrame | None = None
) -> Evaluation:
    """Scores, coverage, PIT, groups and verdict."""
    n = predictive.n_rows
    if np.ndim(predictive.mean) > 1:
        raise DataError(
            f"Got a prediction of {np.shape(predictive.mean)[1]} columns, expected one; judge each alone: "
            "evaluate(predictive.column(0), y[:, 0]), or report(…, column=0)."
        )
    seen = _checks.column("y", y, n_rows=n)
    quantiles = _quantiles(predictive)
    rows = _rows(predictive, seen, quantiles, make.seed)
    counts = bool(getattr(predictive, "discrete", False))
    pit = pit_values(predictive, seen, seed=make.seed)
    level = LEVEL if by is None else LEVEL / 2.0  # half of it is the groups'
    test = uniformity(pit, level=level)
    groups = None if by is None else miscalibration_by_group(by, pit=pit, level=level)
    coverages = tuple(_with_bootstrap(coverage_at(pit, stated), pit, make) for stated in LEVELS)
    verdict = judge_regression(
        pit,
        coverages,
        test,
        counts_held=float(np.mean((quantiles[:, 0] <= seen) & (seen <= quantiles[:, -1])))
        if counts
        else None,
        n_draws=None if getattr(predictive, "has_density", True) else getattr(predictive, "n_draws", None),
    )
    return Evaluation(
        task="regression",
        n_rows=n,
        scores=_scores(rows, pit, coverages, counts, make),
        verdict=verdict if groups is None else with_places(verdict, groups, "regression"),
        rows=rows,
        coverages=coverages,
        coverage=coverage_curve(pit),
        pit=pit_histogram(pit),
        pit_difference=pit_difference(pit),
        groups=groups,
        tests={**asdict(test), "quantile_calibration_error_if_calibrated": gap_if_calibrated(n)},
    )


def _rows(predictive: Predictive, seen: Floats, quantiles: Floats, seed: int) -> dict[str, Floats]:
    """What each row contributes to each score that is a mean, or a function of one."""
    n = len(seen)
    density = {"log_score": log_scores(predictive, seen)} if getattr(predictive, "has_density", True) else {}
    low, inner_low, median, inner_high, high = quantiles.T
    wide, narrow = np.stack([low, high], axis=1), np.stack([inner_low, inner_high], axis=1)
    return {
        **density,
        "crps": crps_values(predictive, seen, seed=seed),
        "interval_score": interval_score_per_row(wide, seen, level=0.9),
        "weighted_interval_score": weighted_interval_score_per_row(
            median, np.stack([narrow, wide]), seen, levels=(0.5, 0.9)
        ),
        "rmse": (_checks.column("mean", predictive.mean, n_rows=n) - seen) ** 2,
        "sharpness": high - low,
    }


def _scores(
    rows: dict[str, Floats], pit: Floats, coverages: tuple[Coverage, ...], counts: bool, make: ScoreMaker
) -> tuple[Score, ...]:
    return (
        _log_score(rows, make),
        make.mean(
            rows["crps"],
            name="crps",
            label="CRPS",
            better="lower",
            unit="units of the target",
            explanation="The distance between the predicted distribution and what happened; for a single "
            "certain guess it is the absolute error.",
        ),
        make.mean(
            rows["interval_score"],
            name="interval_score",
            label="Interval score",
            better="lower",
            unit="units of the target",
            explanation=f"Width of the {percent(0.9)} interval, and twenty times the distance by which it is "
            "missed.",
        ),
        make.mean(
            rows["weighted_interval_score"],
            name="weighted_interval_score",
            label="Weighted interval score",
            better="lower",
            unit="units of the target",
            explanation=f"The same of the {percent(0.5)} and {percent(0.9)} intervals and the median "
            "together: a coarse CRPS.",
        ),
        make.function(
            rows["rmse"],
            np.sqrt,
            name="rmse",
            label="RMSE",
            better="lower",
            unit="units of the target",
            explanation="The typical error of the predicted mean, large errors counted more.",
        ),
        *(_coverage_score(coverage, counts) for coverage in coverages),
        make.function(
            below_quantile(pit),
            mean_quantile_gap,
            reflect=True,
            name="quantile_calibration_error",
            label="Calibration error",
            better="lower",
            unit="share",
            explanation="How far, on average, the stated quantiles are from the share of rows below them; "
            f"chance alone gives about {percent(gap_if_calibrated(len(pit)), 1000)} here.",
        ),
        make.mean(
            rows["sharpness"],
            name="sharpness",
            label="Sharpness",
            better="lower",
            unit="units of the target",
            explanation=f"Mean width of the {percent(0.9)} intervals: of two calibrated models, the narrower "
            "one knows more.",
        ),
    )


def _log_score(rows: dict[str, Floats], make: ScoreMaker) -> Score:
    about: dict[str, Any] = {
        "name": "log_score",
        "label": "Log score",
        "unit": "nats per row",
        "explanation": "How much probability density it gave to what happened; an error of fit and a wrong "
        "uncertainty both cost.",
    }
    if "log_score" not in rows:
        return Score(**about, value=None, reason="These predictions are draws, which have no density.")
    return make.mean(rows["log_score"], **about)


def _quantiles(predictive: Predictive) -> Floats:
    found = np.asarray(predictive.quantiles(_QUANTILES), dtype=np.float64)
    if found.shape != (predictive.n_rows, len(_QUANTILES)) or not np.isfinite(found).all():
        raise DataError(
            f"Quantiles must have shape ({predictive.n_rows}, {len(_QUANTILES)}) and be finite: got "
            f"{found.shape} with {int((~np.isfinite(found)).sum())} values that are not."
        )
    if (np.diff(found, axis=1) < 0).any():
        raise DataError("Quantiles must not fall as their level rises: those of a row do.")
    return found


def _with_bootstrap(coverage: Coverage, pit: Floats, make: ScoreMaker) -> Coverage:
    if len(pit) < 2:
        return coverage
    inside = inside_interval(pit, coverage.level)
    low, high = bootstrap_interval(inside, n_bootstrap=make.n_bootstrap, seed=make.seed)
    return replace(coverage, bootstrap_lower=low, bootstrap_upper=high)


def _coverage_score(coverage: Coverage, counts: bool) -> Score:
    level = percent(coverage.level)
    ends = (
        " Of the rows at an end of it, only the share that makes it hold so much is inside." if counts else ""
    )
    return Score(
        name=f"coverage_{round(100 * coverage.level)}",
        label=f"Coverage of {level} intervals",
        value=coverage.observed,
        lower=coverage.lower,
        upper=coverage.upper,
        better="nominal",
        nominal=coverage.level,
        unit="share",
        method="exact binomial",
        explanation=f"How many rows lie inside their {level} interval: {level} if it is calibrated.{ends}",
    )
