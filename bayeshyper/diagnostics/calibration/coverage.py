"""Coverage: how many rows the stated intervals hold, at every level at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.calibration.pit import check_pit
from bayeshyper.diagnostics.scores.bootstrap import binomial_interval

COVERAGE_LEVELS: Floats = np.arange(1, 100) / 100.0


def pit_coverage(pit: ArrayLike, level: float) -> float:
    """Returns the share of rows inside their central interval of the given level.

    Example:
        >>> pit_coverage([0.5, 0.9], 0.5)
        0.5
    """
    return float(np.mean(np.abs(2.0 * check_pit(pit) - 1.0) <= level))


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
    inside = np.abs(2.0 * check_pit(pit) - 1.0) <= level
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
    observed = np.searchsorted(folded, COVERAGE_LEVELS, side="right") / len(folded)
    return CoverageCurve(COVERAGE_LEVELS, observed, *_uniform_band(len(folded)))


@lru_cache(maxsize=64)
def _uniform_band(n_rows: int, *, level: float = 0.95, n_simulations: int = 1000) -> tuple[Floats, Floats]:
    """Bounds the empirical distribution function of n uniform values at all coverage levels at once.

    Säilynoja, Bürkner and Vehtari (2022): the pointwise binomial level is lowered until that share of
    simulated curves stays inside everywhere. Counts between the levels are multinomial, so a simulation
    costs the same for any number of rows. Models that are compared have the same rows, hence the cache.
    """
    rng = np.random.default_rng(0)
    between = np.diff(COVERAGE_LEVELS, prepend=0.0, append=1.0)
    counts = rng.multinomial(n_rows, between / between.sum(), size=n_simulations)[:, :-1].cumsum(axis=1)
    below = stats.binom.cdf(counts, n_rows, COVERAGE_LEVELS)
    above = stats.binom.sf(counts - 1, n_rows, COVERAGE_LEVELS)
    pointwise = float(np.quantile(2.0 * np.minimum(below, above).min(axis=1), 1.0 - level, method="lower"))
    tail = min(pointwise, 1.0) / 2.0
    lower = np.asarray(stats.binom.ppf(tail, n_rows, COVERAGE_LEVELS), dtype=np.float64) / n_rows
    upper = np.asarray(stats.binom.isf(tail, n_rows, COVERAGE_LEVELS), dtype=np.float64) / n_rows
    lower.flags.writeable = upper.flags.writeable = False
    return lower, upper
