"""Calibration of quantiles: how many rows lie below each of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics._checks import Booleans, Floats
from bayeshyper.diagnostics.calibration.pit import check_pit
from bayeshyper.diagnostics.scores.bootstrap import binomial_deviation

QUANTILE_LEVELS: Floats = np.arange(1, 20) / 20.0


def below_quantile(pit: ArrayLike) -> Booleans:
    """Returns whether each row lies below its 5 %, 10 %, … 95 % quantile, ``(N, 19)``.

    Example:
        >>> int(below_quantile([0.5]).sum())
        10
    """
    return np.asarray(check_pit(pit)[:, None] <= QUANTILE_LEVELS)


def mean_quantile_gap(below: Floats) -> Floats:
    """Maps observed shares ``(…, 19)`` to their mean distance from the stated levels.

    Example:
        >>> float(mean_quantile_gap(QUANTILE_LEVELS))
        0.0
    """
    return np.asarray(np.abs(below - QUANTILE_LEVELS).mean(axis=-1), dtype=np.float64)


def quantile_calibration_error(pit: ArrayLike) -> float:
    """Returns the mean distance between stated and observed quantile levels, over 5 %, 10 %, … 95 %.

    The regression counterpart of the ECE (Kuleshov et al., 2018, with absolute in place of squared gaps).
    Like the ECE, chance alone makes it positive: `gap_if_calibrated` says by how much.

    Example:
        >>> round(quantile_calibration_error([0.5]), 6)
        0.263158
    """
    return float(mean_quantile_gap(below_quantile(pit).mean(axis=0)))


def gap_if_calibrated(n_rows: int) -> float:
    """Returns the mean `quantile_calibration_error` of a calibrated forecast on this many rows.

    Each share is binomial; its mean absolute deviation is de Moivre's closed form.

    Example:
        >>> round(gap_if_calibrated(1), 4)
        0.35
    """
    return float(np.mean(binomial_deviation(np.full(19, n_rows), QUANTILE_LEVELS)) / n_rows)
