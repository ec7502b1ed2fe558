"""Calibration errors of class probabilities: one number for how far what is said lies from what happens."""

from __future__ import annotations

from numpy.typing import ArrayLike

from bayeshyper.diagnostics.calibration.reliability import Binning, reliability_curve


def expected_calibration_error(
    confidence: ArrayLike, correct: ArrayLike, *, n_bins: int = 15, binning: Binning = "equal-mass"
) -> float:
    """Returns the expected calibration error (ECE): the mean gap between confidence and accuracy.

    Chance alone makes it positive; `ReliabilityCurve.ece_if_calibrated` says by how much.

    References:
        Naeini et al. (2015); Nixon et al. (2019) for bins of equal mass.

    Example:
        >>> round(expected_calibration_error([0.8, 0.8, 0.6, 0.6], [True, True, True, False], n_bins=2), 6)
        0.15
    """
    return reliability_curve(confidence, correct, n_bins=n_bins, binning=binning).ece
