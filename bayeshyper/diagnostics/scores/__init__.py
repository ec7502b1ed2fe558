"""What a prediction is worth: scores, and how sure each of them is."""

from __future__ import annotations

from bayeshyper.diagnostics.scores.bootstrap import (
    binomial_deviation,
    binomial_interval,
    bootstrap_interval,
    bootstrap_means,
)
from bayeshyper.diagnostics.scores.classification import accuracy, brier, brier_per_row
from bayeshyper.diagnostics.scores.difference import score_difference
from bayeshyper.diagnostics.scores.intervals import (
    WIS_LEVELS,
    interval_coverage,
    interval_score,
    interval_score_per_row,
    sharpness,
    weighted_interval_score,
    weighted_interval_score_per_row,
)
from bayeshyper.diagnostics.scores.maker import ScoreMaker
from bayeshyper.diagnostics.scores.multivariate import energy_score, energy_score_per_row
from bayeshyper.diagnostics.scores.regression import crps, crps_per_row, log_score, rmse
from bayeshyper.diagnostics.scores.score import Score

__all__ = [
    "WIS_LEVELS",
    "Score",
    "ScoreMaker",
    "accuracy",
    "binomial_deviation",
    "binomial_interval",
    "bootstrap_interval",
    "bootstrap_means",
    "brier",
    "brier_per_row",
    "crps",
    "crps_per_row",
    "energy_score",
    "energy_score_per_row",
    "interval_coverage",
    "interval_score",
    "interval_score_per_row",
    "log_score",
    "rmse",
    "score_difference",
    "sharpness",
    "weighted_interval_score",
    "weighted_interval_score_per_row",
]
