"""The evaluation of a density forecast."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics._words import percent
from bayeshyper.diagnostics.calibration.coverage import Coverage, coverage_at, coverage_curve
from bayeshyper.diagnostics.calibration.pit import check_pit, pit_histogram, randomized_pit
from bayeshyper.diagnostics.calibration.quantiles import below_quantile, gap_if_calibrated, mean_quantile_gap
from bayeshyper.diagnostics.calibration.uniformity import uniformity
from bayeshyper.diagnostics.evaluation.results import Evaluation, log_scores
from bayeshyper.diagnostics.evaluation.verdict import judge_regression
from bayeshyper.diagnostics.predictives import Predictive
from bayeshyper.diagnostics.scores.bootstrap import bootstrap_interval
from bayeshyper.diagnostics.scores.intervals import sharpness
from bayeshyper.diagnostics.scores.maker import ScoreMaker
from bayeshyper.diagnostics.scores.regression import crps_per_row
from bayeshyper.diagnostics.scores.score import Score
from bayeshyper.errors import DataError

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""The central intervals whose coverage is reported."""

_MAX_DRAWS, _DRAWS_IN_ALL = 400, 20_000_000  # for each row, and over all rows (160 MB)


def evaluate_regression(predictive: Predictive, y: ArrayLike, make: ScoreMaker) -> Evaluation:
    """Scores, coverage, PIT and verdict."""
    n = predictive.n_rows
    if np.ndim(predictive.mean) > 1:
        raise DataError(
            f"Got a prediction of {np.shape(predictive.mean)[1]} columns, expected one; judge each alone: "
            "evaluate(predictive.column(0), y[:, 0]), or report(…, column=0)."
        )
    seen = _checks.column("y", y, n_rows=n)
    log_prob = log_scores(predictive, seen)
    mean = _checks.column("mean", predictive.mean, n_rows=n)
    counts = bool(getattr(predictive, "discrete", False))
    pit = _pit(predictive, seen, make.seed) if counts else check_pit(_cdf(predictive, seen))
    n_draws = int(np.clip(_DRAWS_IN_ALL // n, 20, _MAX_DRAWS))
    crps_rows = crps_per_row(predictive.sample(n_draws, seed=make.seed), seen)
    ends = np.asarray(predictive.interval(0.9), dtype=np.float64)
    sharpness(ends)  # checks shape and order
    test = uniformity(pit)
    coverages = tuple(_with_bootstrap(coverage_at(pit, level), pit, make) for level in LEVELS)
    scores = (
        make.mean(
            log_prob,
            name="log_score",
            label="Log score",
            unit="nats per row",
            explanation="How much probability density it gave to what happened; an error of fit and a wrong "
            "uncertainty both cost.",
        ),
        make.mean(
            crps_rows,
            name="crps",
            label="CRPS",
            better="lower",
            unit="units of the target",
            explanation="The distance between the predicted distribution and what happened; for a single "
            "certain guess it is the absolute error.",
        ),
        make.function(
            (mean - seen) ** 2,
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
            f"chance alone gives about {percent(gap_if_calibrated(n), 1000)} here.",
        ),
        make.mean(
            ends[:, 1] - ends[:, 0],
            name="sharpness",
            label="Sharpness",
            better="lower",
            unit="units of the target",
            explanation=f"Mean width of the {percent(0.9)} intervals: of two calibrated models, the narrower "
            "one knows more.",
        ),
    )
    return Evaluation(
        task="regression",
        n_rows=n,
        scores=scores,
        verdict=judge_regression(pit, coverages, test, counts=counts),
        log_prob=log_prob,
        coverages=coverages,
        coverage=coverage_curve(pit),
        pit=pit_histogram(pit),
        tests={**asdict(test), "quantile_calibration_error_if_calibrated": gap_if_calibrated(n)},
    )


def _cdf(predictive: Predictive, y: Floats) -> Floats:
    return _checks.column("cdf", predictive.cdf(y), n_rows=predictive.n_rows)


def _pit(predictive: Predictive, y: Floats, seed: int) -> Floats:
    """The PIT of counts."""
    return randomized_pit(_cdf(predictive, y - 1.0), _cdf(predictive, y), seed=seed)


def _with_bootstrap(coverage: Coverage, pit: Floats, make: ScoreMaker) -> Coverage:
    if len(pit) < 2:
        return coverage
    inside = np.abs(2.0 * pit - 1.0) <= coverage.level
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
