"""Calibration of a density forecast, read off the probability integral transform (PIT).

The PIT of a row is the forecast's distribution function at what then happened. Over many rows it is uniform
if the forecast is calibrated: the central interval of level p holds y exactly when |2·PIT - 1| ≤ p. For
counts it is drawn from within the jump of the distribution function (`randomized_pit`); a row at an end of
its interval is then inside with the share of its probability that makes the interval hold p and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Booleans, Floats, Integers
from bayeshyper.diagnostics.bootstrap import binomial_deviation, binomial_interval
from bayeshyper.errors import DataError

QUANTILE_LEVELS: Floats = np.arange(1, 20) / 20.0
COVERAGE_LEVELS: Floats = np.arange(1, 100) / 100.0


def check_pit(pit: ArrayLike) -> Floats:
    """Reads PIT values ``(N,)``, which lie between 0 and 1.

    Raises:
        DataError: Where one is NaN or outside.

    Example:
        >>> check_pit([0.25]).tolist()
        [0.25]
    """
    read = _checks.column("PIT", pit)
    if read.min() < -1e-9 or read.max() > 1.0 + 1e-9:
        raise DataError(f"PIT values must lie between 0 and 1: got {read.min():.6g} to {read.max():.6g}.")
    return np.clip(read, 0.0, 1.0)


def randomized_pit(below: ArrayLike, at: ArrayLike, *, seed: int = 0) -> Floats:
    """Returns the PIT of counts, ``(N,)``: a uniform draw between P(Y < y) and P(Y ≤ y) for each row.

    A count's distribution function jumps, so that at what happened it is not uniform even if the forecast is
    calibrated; a draw from within the jump is (Smith 1985; Czado, Gneiting and Held 2009).

    Args:
        below: P(Y < y), ``(N,)``.
        at: P(Y ≤ y), ``(N,)``.
        seed: Of the draws.

    Example:
        >>> randomized_pit([0.0, 0.5], [0.5, 0.5]).round(2).tolist()
        [0.32, 0.5]
    """
    low, high = check_pit(below), check_pit(at)
    inside: Floats = np.random.default_rng(seed).random(len(low))
    return low + inside * np.maximum(high - low, 0.0)


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


@dataclass(frozen=True, eq=False)
class PITHistogram:
    """The PIT in bins of equal width; flat if the forecast is calibrated.

    ``lower`` and ``upper`` bound every bin's count at once with at least 95 % probability if it is.
    """

    edges: Floats
    counts: Integers
    lower: float
    upper: float

    @property
    def expected(self) -> float:
        """The count that each bin of a calibrated forecast has on average."""
        return float(self.counts.sum() / len(self.counts))

    def to_dict(self) -> dict[str, Any]:
        """Returns the histogram as numbers and lists."""
        return {
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "lower": self.lower,
            "upper": self.upper,
        }


def pit_histogram(pit: ArrayLike, *, n_bins: int | None = None, level: float = 0.95) -> PITHistogram:
    """Counts PIT values in equal bins: 5 to 20 of them, about 20 rows in each if there are that many.

    Example:
        >>> pit_histogram([0.1, 0.3, 0.5, 0.7, 0.9], n_bins=5).counts.tolist()
        [1, 1, 1, 1, 1]
    """
    values = check_pit(pit)
    bins = n_bins if n_bins is not None else int(np.clip(len(values) // 20, 5, 20))
    counts, edges = np.histogram(values, bins=bins, range=(0.0, 1.0))
    tail = (1.0 - level) / (2 * bins)
    lower, upper = stats.binom.ppf([tail, 1.0 - tail], len(values), 1.0 / bins)
    return PITHistogram(edges, counts.astype(np.int64), float(lower), float(upper))


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


@dataclass(frozen=True)
class Uniformity:
    """Is the PIT uniform, and if not, how? Four directions (Neyman's smooth test) and the largest gap.

    Each of the first four is about standard normal for a calibrated forecast.

    Args:
        bias: Above 0: what happened lies higher than predicted.
        dispersion: Above 0: the forecast is too narrow; below 0: too wide.
        skewness: Above 0: the upper tail is longer than predicted; below 0: the lower one.
        tails: Above 0: both tails, and the centre, hold more than predicted.
        distance: The largest gap between stated and observed quantile levels (Kolmogorov-Smirnov).
        distance_p_value: How often a calibrated forecast has a gap that large.
        threshold: Beyond this, in either direction, one of the four is called a fault.
        p_value_threshold: Below this, so is the gap. Together they flag at most 5 % of calibrated forecasts.
    """

    bias: float
    dispersion: float
    skewness: float
    tails: float
    distance: float
    distance_p_value: float
    threshold: float
    p_value_threshold: float

    @property
    def faults(self) -> tuple[str, ...]:
        """The names of what is beyond its threshold, the main one first.

        Bias and dispersion also move skewness and tails, by up to one and a half times as much, so those
        two come first only where they are more than twice as large.
        """
        weights = {"bias": 1.0, "dispersion": 1.0, "skewness": 0.5, "tails": 0.5}
        beyond = [name for name in weights if abs(getattr(self, name)) > self.threshold]
        beyond.sort(key=lambda name: -weights[name] * abs(getattr(self, name)))
        return (*beyond, *(("distance",) if self.distance_p_value < self.p_value_threshold else ()))


def uniformity(pit: ArrayLike, *, level: float = 0.05) -> Uniformity:
    """Tests PIT values for uniformity in five ways that share the given level between them (Bonferroni).

    References:
        Neyman (1937), Smooth test for goodness of fit; Bera and Ghosh (2001), Neyman's smooth test.

    Example:
        >>> uniformity((np.arange(100) + 0.5) / 100).faults
        ()
        >>> uniformity(np.repeat([0.01, 0.99], 50)).faults[0]
        'dispersion'
    """
    values = check_pit(pit)
    x = 2.0 * values - 1.0
    polynomials = np.polynomial.legendre.legvander(x, 4)[:, 1:] * np.sqrt(2.0 * np.arange(1, 5) + 1.0)
    directions = polynomials.sum(axis=0) / np.sqrt(len(values))
    gap = stats.kstest(values, "uniform")
    share = level / 5.0
    bias, dispersion, skewness, tails = (float(direction) for direction in directions)
    return Uniformity(
        bias,
        dispersion,
        skewness,
        tails,
        distance=float(gap.statistic),
        distance_p_value=float(gap.pvalue),
        threshold=float(stats.norm.isf(share / 2.0)),
        p_value_threshold=share,
    )


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
