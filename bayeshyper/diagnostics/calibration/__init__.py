"""Does what is said happen as often as it is said? Of classes, of quantiles and of intervals."""

from __future__ import annotations

from bayeshyper.diagnostics.calibration.corp import (
    CORPCurve,
    corp_curve,
)
from bayeshyper.diagnostics.calibration.coverage import (
    Coverage,
    CoverageCurve,
    coverage_at,
    coverage_curve,
    pit_coverage,
)
from bayeshyper.diagnostics.calibration.decomposition import (
    BrierDecomposition,
    brier_decomposition,
)
from bayeshyper.diagnostics.calibration.ecdf import (
    PITDifference,
    pit_difference,
)
from bayeshyper.diagnostics.calibration.errors import (
    CalibrationError,
    calibration_errors,
    class_wise_calibration_error,
    debiased_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
)
from bayeshyper.diagnostics.calibration.frequencies import ClassFrequencies, class_frequencies
from bayeshyper.diagnostics.calibration.groups import Group, GroupTable, miscalibration_by_group
from bayeshyper.diagnostics.calibration.pit import PITHistogram, pit_histogram, randomized_pit
from bayeshyper.diagnostics.calibration.quantiles import quantile_calibration_error
from bayeshyper.diagnostics.calibration.reliability import (
    ConfidenceTest,
    ReliabilityCurve,
    confidence_test,
    reliability_curve,
    top_label,
)
from bayeshyper.diagnostics.calibration.smooth import (
    smooth_calibration_error,
    smooth_error_if_calibrated,
)
from bayeshyper.diagnostics.calibration.uniformity import Uniformity, uniformity

__all__ = [
    "BrierDecomposition",
    "CORPCurve",
    "CalibrationError",
    "ClassFrequencies",
    "ConfidenceTest",
    "Coverage",
    "CoverageCurve",
    "Group",
    "GroupTable",
    "PITDifference",
    "PITHistogram",
    "ReliabilityCurve",
    "Uniformity",
    "brier_decomposition",
    "calibration_errors",
    "class_frequencies",
    "class_wise_calibration_error",
    "confidence_test",
    "corp_curve",
    "coverage_at",
    "coverage_curve",
    "debiased_calibration_error",
    "expected_calibration_error",
    "maximum_calibration_error",
    "miscalibration_by_group",
    "pit_coverage",
    "pit_difference",
    "pit_histogram",
    "quantile_calibration_error",
    "randomized_pit",
    "reliability_curve",
    "smooth_calibration_error",
    "smooth_error_if_calibrated",
    "top_label",
    "uniformity",
]
