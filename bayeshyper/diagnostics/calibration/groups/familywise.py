"""Many shares and means judged at once: p-values that chance cannot undercut, and Holm's step-down."""

from __future__ import annotations

import numpy as np
from scipy import stats

from bayeshyper.diagnostics._checks import Floats, Integers


def uniform_mean_p_values(n_rows: Integers, observed: Floats) -> Floats:
    """Returns two-sided p-values ``(T,)`` for means of uniform values, by the Gaussian.

    Below 0.05 they are upper bounds: the tails of a mean of uniform values (Irwin-Hall) are lighter.

    Example:
        >>> uniform_mean_p_values(np.array([30]), np.array([0.5])).tolist()
        [1.0]
    """
    return np.asarray(2.0 * stats.norm.sf(np.abs(observed - 0.5) * np.sqrt(12.0 * n_rows)), dtype=np.float64)


def uniform_mean_band(n_rows: Integers, tail: float) -> tuple[Floats, Floats]:
    """Returns the means ``(T,)`` and ``(T,)`` between which `uniform_mean_p_values` is above twice the tail.

    Example:
        >>> [round(float(end[0]), 3) for end in uniform_mean_band(np.array([100]), 0.025)]
        [0.443, 0.557]
    """
    half = stats.norm.isf(tail) / np.sqrt(12.0 * n_rows)
    return np.maximum(0.5 - half, 0.0), np.minimum(0.5 + half, 1.0)


def share_p_values(n_rows: Integers, stated: Floats, observed: Floats) -> Floats:
    """Returns two-sided p-values ``(T,)`` for shares of rows: the binomial at the mean stated probability.

    Exact where all rows of a group state the same probability. Where they differ, upper bounds: a count that
    lies one or more from its mean has no heavier tail than the binomial of the same mean (Hoeffding, 1956).
    Nearer to the mean the p-value is one.

    Example:
        >>> share_p_values(np.array([10]), np.array([0.5]), np.array([1.0])).tolist()
        [0.001953125]
    """
    hits = np.rint(n_rows * observed)
    tails = np.minimum(stats.binom.cdf(hits, n_rows, stated), stats.binom.sf(hits - 1.0, n_rows, stated))
    near = np.abs(hits - n_rows * stated) < 1.0
    return np.where(near, 1.0, np.minimum(2.0 * tails, 1.0))


def share_band(n_rows: Integers, stated: Floats, tail: float) -> tuple[Floats, Floats]:
    """Returns the smallest and the largest share ``(T,)`` whose `share_p_values` is above twice the tail.

    Example:
        >>> [float(end[0]) for end in share_band(np.array([10]), np.array([0.5]), 0.025)]
        [0.2, 0.8]
    """
    mean = n_rows * stated
    low = np.minimum(stats.binom.ppf(tail, n_rows, stated), np.floor(mean - 1.0) + 1.0)
    high = np.maximum(stats.binom.isf(tail, n_rows, stated), np.ceil(mean + 1.0) - 1.0)
    return np.maximum(low, 0.0) / n_rows, np.minimum(high, n_rows) / n_rows


def holm(p_values: Floats) -> Floats:
    """Returns p-values ``(T,)`` adjusted for all T tests, however they depend on each other.

    References:
        Holm (1979), A simple sequentially rejective multiple test procedure.

    Example:
        >>> holm(np.array([0.5, 0.01, 0.04])).tolist()
        [0.5, 0.03, 0.08]
    """
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
