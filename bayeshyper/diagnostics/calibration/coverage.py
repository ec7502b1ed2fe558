"""Coverage: how many rows the stated intervals hold, at every level at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics._checks import Booleans, Floats
from bayeshyper.diagnostics.calibration.bands import LEVELS, uniform_band
from bayeshyper.diagnostics.calibration.pit import check_pit
from bayeshyper.diagnostics.scores.bootstrap import binomial_interval


def inside_interval(pit: ArrayLike, level: float) -> Booleans:
    """Returns whether each row lies inside its central interval of the given level, ``(N,)``.

    Example:
        >>> inside_interval([0.5, 0.9], 0.5).tolist()
        [True, False]
    """
    return np.asarray(np.abs(2.0 * check_pit(pit) - 1.0) <= level)


def pit_coverage(pit: ArrayLike, level: float) -> float:
    """Returns the share of rows inside their central interval of the given level.

    Example:
        >>> pit_coverage([0.5, 0.9], 0.5)
        0.5
    """
    return float(inside_interval(pit, level).mean())


@dataclass(frozen=True)
class Coverage:
    """How many rows the central intervals of one level hold, with both kinds of interval for the true share.

    ``lower`` and ``upper`` are exact (Clopper-Pearson); ``bootstrap_lower`` and ``bootstrap_upper`` come from
    resampled rows and are None for a single row.
    """

    level: float
    observed: float
    n_rows: int
    lower: float
    upper: float
    bootstrap_lower: float | None = None
    bootstrap_upper: float | None = None


@dataclass(frozen=True, eq=False)
class CoverageCurve:
    """The observed share of rows inside the central interval, for every level.

    ``lower`` and ``upper`` enclose the whole curve of a calibrated forecast with 95 % probability
    (simultaneously), given this many rows.
    """

    levels: Floats
    observed: Floats
    lower: Floats
    upper: Floats

    def to_dict(self) -> dict[str, Any]:
        """Returns the curve as lists."""
        return {name: getattr(self, name).tolist() for name in ("levels", "observed", "lower", "upper")}


def coverage_at(pit: ArrayLike, level: float, *, confidence: float = 0.95) -> Coverage:
    """Returns the coverage at one level with its exact interval.

    Example:
        >>> coverage_at([0.5, 0.9], 0.5).observed
        0.5
    """
    inside = inside_interval(pit, level)
    lower, upper = binomial_interval(int(inside.sum()), len(inside), level=confidence)
    return Coverage(level, float(inside.mean()), len(inside), lower, upper)


def coverage_curve(pit: ArrayLike) -> CoverageCurve:
    """Returns the coverage at 1 %, 2 %, … 99 %, with the band that a calibrated forecast stays in.

    Example:
        >>> curve = coverage_curve((np.arange(200) + 0.5) / 200)
        >>> bool(np.abs(curve.observed - curve.levels).max() < 0.011)
        True
    """
    folded = np.sort(np.abs(2.0 * check_pit(pit) - 1.0))
    observed = np.searchsorted(folded, LEVELS, side="right") / len(folded)
    return CoverageCurve(LEVELS, observed, *uniform_band(len(folded)))
