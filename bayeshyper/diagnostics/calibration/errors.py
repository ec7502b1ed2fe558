"""Calibration errors of class probabilities: one number for how far what is said lies from what happens."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._words import plural
from bayeshyper.diagnostics.calibration.reliability import (
    Binning,
    ReliabilityCurve,
    reliability_curve,
    top_label,
)
from bayeshyper.diagnostics.calibration.smooth import smooth_calibration_error, smooth_error_if_calibrated
from bayeshyper.errors import DataError


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


def maximum_calibration_error(
    confidence: ArrayLike, correct: ArrayLike, *, n_bins: int = 15, binning: Binning = "equal-mass"
) -> float:
    """Returns the maximum calibration error (MCE): the largest gap between confidence and accuracy of a bin.

    Of all the errors it owes the most to chance, and with bins of equal width to the one with fewest rows.

    References:
        Naeini et al. (2015), Obtaining well calibrated probabilities using Bayesian binning.

    Example:
        >>> maximum_calibration_error([0.75, 0.75, 0.5, 0.5], [True, True, True, False], n_bins=2)
        0.25
    """
    return _largest_gap(reliability_curve(confidence, correct, n_bins=n_bins, binning=binning))


def debiased_calibration_error(
    confidence: ArrayLike, correct: ArrayLike, *, n_bins: int = 15, binning: Binning = "equal-mass"
) -> float:
    """Returns the squared calibration error less what chance adds to it; negative where chance adds less.

    Σ_b (n_b / N) [(acc_b - conf_b)² - acc_b (1 - acc_b) / (n_b - 1)]. Its mean is zero for calibrated rows
    that state the same confidence in each bin, and lower by the spread of the confidences over n_b where
    they do not. Bins with a single row say nothing about chance and count as zero.

    Raises:
        DataError: Also where no bin has two rows.

    References:
        Bröcker (2012), Estimating reliability and resolution of probability forecasts; Kumar, Liang and Ma
        (2019), Verified uncertainty calibration.

    Example:
        >>> round(debiased_calibration_error([0.5] * 4, [True, True, True, False], n_bins=1), 9)
        0.0
    """
    curve = reliability_curve(confidence, correct, n_bins=n_bins, binning=binning)
    error = _squared_less_chance(curve)
    if error is None:
        raise DataError("No bin has two rows, which the spread of chance is told by: give fewer bins.")
    return error


def class_wise_calibration_error(
    probs: ArrayLike, labels: ArrayLike, *, n_bins: int = 15, binning: Binning = "equal-mass"
) -> float:
    """Returns the mean over classes of the ECE of the class's probability, whether likeliest or not.

    With many classes most probabilities are near zero, and so is this error: compare it only between models
    of the same classes.

    Args:
        probs: Class probabilities ``(N, C)``.
        labels: The number of the class that happened, ``(N,)``.
        n_bins: Of each class.
        binning: "equal-mass" or "equal-width".

    References:
        Kull et al. (2019), Beyond temperature scaling; Nixon et al. (2019), Measuring calibration.

    Example:
        >>> class_wise_calibration_error([[0.5, 0.5], [0.5, 0.5]], [0, 1])
        0.0
    """
    curves = _class_curves(probs, labels, n_bins, binning)
    return float(np.mean([curve.ece for curve in curves]))


@dataclass(frozen=True)
class CalibrationError:
    """One calibration error, and what chance alone gives.

    Args:
        name: The key, as in metrics.json: ``"smooth"``.
        label: The name that people read.
        value: The error; None where the rows do not give it.
        if_calibrated: Its mean for calibrated probabilities such as these, on as many rows.
        explanation: One sentence on what is averaged.
    """

    name: str
    label: str
    value: float | None
    if_calibrated: float
    explanation: str

    def to_dict(self) -> dict[str, str | float | None]:
        """Returns the fields as JSON knows them."""
        return asdict(self)


def calibration_errors(
    probs: ArrayLike, labels: ArrayLike, *, n_bins: int = 15, n_simulations: int = 50, seed: int = 0
) -> tuple[CalibrationError, ...]:
    """Returns all calibration errors of class probabilities, each with what chance alone gives.

    Args:
        probs: Class probabilities ``(N, C)``.
        labels: The number of the class that happened, ``(N,)``.
        n_bins: Of those that have bins.
        n_simulations: How many draws of outcomes tell what chance alone gives of "smooth".
        seed: Of those draws, and of those behind "maximum".

    Raises:
        DataError: On other shapes, probabilities that do not sum to one, and unknown class numbers.

    Example:
        >>> [error.name for error in calibration_errors([[0.75, 0.25]] * 4, [0, 0, 0, 1])]
        ['equal_mass', 'equal_width', 'debiased', 'class_wise', 'smooth', 'maximum']
    """
    confidence, correct = top_label(probs, labels)
    mass = reliability_curve(confidence, correct, n_bins=n_bins)
    width = reliability_curve(confidence, correct, n_bins=n_bins, binning="equal-width")
    classes = _class_curves(probs, labels, n_bins, "equal-mass")
    gap = "between the confidence in the likeliest class and the share that was right"
    return (
        CalibrationError(
            "equal_mass",
            "ECE, bins of equal size",
            mass.ece,
            mass.ece_if_calibrated,
            f"The mean gap {gap}, over {plural(len(mass.counts), 'bin')} with as many rows each.",
        ),
        CalibrationError(
            "equal_width",
            "ECE, bins of equal width",
            width.ece,
            width.ece_if_calibrated,
            f"The same over {n_bins} bins of equal width between 0 and 1, as most papers report it.",
        ),
        CalibrationError(
            "debiased",
            "Debiased squared error",
            _squared_less_chance(mass),
            0.0,
            "The mean squared gap, less what chance adds to it; chance alone gives about zero.",
        ),
        CalibrationError(
            "class_wise",
            "Class-wise ECE",
            float(np.mean([curve.ece for curve in classes])),
            float(np.mean([curve.ece_if_calibrated for curve in classes])),
            "The mean gap between the probability of a class and its share, over all classes.",
        ),
        CalibrationError(
            "smooth",
            "Smooth ECE",
            smooth_calibration_error(confidence, correct),
            smooth_error_if_calibrated(confidence, n_simulations=n_simulations, seed=seed),
            f"The mean gap {gap}, smoothed rather than binned.",
        ),
        CalibrationError(
            "maximum",
            "MCE",
            _largest_gap(mass),
            _largest_gap_if_calibrated(mass, seed=seed),
            "The gap of the worst of the bins of equal size.",
        ),
    )


def _class_curves(
    probs: ArrayLike, labels: ArrayLike, n_bins: int, binning: Binning
) -> list[ReliabilityCurve]:
    stated, happened = _checks.labelled(probs, labels)
    return [
        reliability_curve(np.minimum(stated[:, k], 1.0), happened == k, n_bins=n_bins, binning=binning)
        for k in range(stated.shape[1])
    ]


def _squared_less_chance(curve: ReliabilityCurve) -> float | None:
    many = curve.counts > 1
    if not many.any():
        return None
    n, accuracy = curve.counts[many], curve.accuracy[many]
    excess = (accuracy - curve.confidence[many]) ** 2 - accuracy * (1.0 - accuracy) / (n - 1)
    return float(n @ excess / curve.counts.sum())


def _largest_gap(curve: ReliabilityCurve) -> float:
    return float(np.abs(curve.accuracy - curve.confidence).max())


def _largest_gap_if_calibrated(curve: ReliabilityCurve, *, seed: int, n_simulations: int = 2000) -> float:
    rng = _checks.generator(seed)
    hits = rng.binomial(curve.counts, curve.confidence, size=(n_simulations, len(curve.counts)))
    return float(np.abs(hits / curve.counts - curve.confidence).max(axis=1).mean())
