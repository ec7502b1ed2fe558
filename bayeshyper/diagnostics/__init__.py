"""Scores, calibration and a verdict, on plain arrays or on our predictions."""

from __future__ import annotations

from bayeshyper.diagnostics.arviz import to_arviz
from bayeshyper.diagnostics.audit import Audit, audit
from bayeshyper.diagnostics.bootstrap import (
    binomial_deviation,
    binomial_interval,
    bootstrap_interval,
    bootstrap_means,
)
from bayeshyper.diagnostics.calibration import (
    ClassFrequencies,
    ConfidenceTest,
    ReliabilityCurve,
    class_frequencies,
    confidence_test,
    expected_calibration_error,
    reliability_curve,
    top_label,
)
from bayeshyper.diagnostics.evaluation import evaluate
from bayeshyper.diagnostics.pit import (
    Coverage,
    CoverageCurve,
    PITHistogram,
    Uniformity,
    coverage_at,
    coverage_curve,
    pit_coverage,
    pit_histogram,
    quantile_calibration_error,
    randomized_pit,
    uniformity,
)
from bayeshyper.diagnostics.results import Evaluation, Predictive, paired_difference
from bayeshyper.diagnostics.scores import (
    Score,
    accuracy,
    brier,
    brier_per_row,
    crps,
    crps_per_row,
    interval_coverage,
    log_score,
    rmse,
    sharpness,
)
from bayeshyper.diagnostics.verdict import Verdict

__all__ = [
    "Audit",
    "ClassFrequencies",
    "ConfidenceTest",
    "Coverage",
    "CoverageCurve",
    "Evaluation",
    "PITHistogram",
    "Predictive",
    "ReliabilityCurve",
    "Score",
    "Uniformity",
    "Verdict",
    "accuracy",
    "audit",
    "binomial_deviation",
    "binomial_interval",
    "bootstrap_interval",
    "bootstrap_means",
    "brier",
    "brier_per_row",
    "class_frequencies",
    "confidence_test",
    "coverage_at",
    "coverage_curve",
    "crps",
    "crps_per_row",
    "evaluate",
    "expected_calibration_error",
    "interval_coverage",
    "log_score",
    "paired_difference",
    "pit_coverage",
    "pit_histogram",
    "quantile_calibration_error",
    "randomized_pit",
    "reliability_curve",
    "rmse",
    "sharpness",
    "to_arviz",
    "top_label",
    "uniformity",
]
