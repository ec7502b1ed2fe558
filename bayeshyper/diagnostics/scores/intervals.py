"""Scores of prediction intervals: what they hold, how wide they are, and both in one number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.errors import DataError

WIS_LEVELS: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
"""The levels of the intervals that epidemic forecasts are scored by (Bracher et al., 2021)."""


def interval_coverage(intervals: ArrayLike, y: ArrayLike) -> float:
    """Returns the share of rows that lie inside their interval, ends included.

    Args:
        intervals: Lower and upper ends ``(N, 2)``.
        y: What happened, ``(N,)``.

    Example:
        >>> interval_coverage([[0.0, 1.0], [0.0, 1.0]], [0.5, 3.0])
        0.5
    """
    seen = _checks.column("y", y)
    ends = _ends(intervals, n_rows=len(seen))
    return float(np.mean((ends[:, 0] <= seen) & (seen <= ends[:, 1])))


def sharpness(intervals: ArrayLike) -> float:
    """Returns the mean width of the intervals: of two calibrated models, the narrower one knows more.

    Example:
        >>> sharpness([[0.0, 1.0], [0.0, 3.0]])
        2.0
    """
    ends = _ends(intervals)
    return float(np.mean(ends[:, 1] - ends[:, 0]))


def interval_score_per_row(intervals: ArrayLike, y: ArrayLike, *, level: float) -> Floats:
    """Returns the interval score of each row, ``(N,)``, in the units of y; lower is better.

    The width of the interval, and 2 / (1 - level) times the distance by which y misses it: proper, so that
    neither a needlessly wide nor a too narrow interval pays.

    Args:
        intervals: Lower and upper ends of the central intervals ``(N, 2)``.
        y: What happened, ``(N,)``.
        level: The share of rows that the intervals claim to hold, between 0 and 1.

    Raises:
        DataError: On other shapes, NaN, infinite ends, and a level that is not between 0 and 1.

    References:
        Winkler (1972); Gneiting and Raftery (2007), Strictly proper scoring rules, section 6.2.

    Example:
        >>> interval_score_per_row([[0.0, 1.0], [0.0, 1.0]], [0.5, 1.5], level=0.9).tolist()
        [1.0, 11.0]
    """
    seen = _checks.column("y", y)
    ends = _finite_ends(intervals, n_rows=len(seen))
    # 1 - 0.9 is not 0.1 in binary: 2 / (1 - level) would be 19.999…
    penalty = 2.0 / round(1.0 - _checks.share("level", level), 12)
    missed = np.maximum(ends[:, 0] - seen, 0.0) + np.maximum(seen - ends[:, 1], 0.0)
    return np.asarray(ends[:, 1] - ends[:, 0] + penalty * missed, dtype=np.float64)


def interval_score(intervals: ArrayLike, y: ArrayLike, *, level: float) -> float:
    """Returns the mean of `interval_score_per_row`.

    Example:
        >>> interval_score([[0.0, 1.0], [0.0, 1.0]], [0.5, 1.5], level=0.9)
        6.0
    """
    return float(interval_score_per_row(intervals, y, level=level).mean())


def weighted_interval_score_per_row(
    median: ArrayLike, intervals: ArrayLike, y: ArrayLike, *, levels: Sequence[float] = WIS_LEVELS
) -> Floats:
    """Returns the weighted interval score (WIS) of each row, ``(N,)``, in the units of y; lower is better.

    The interval scores at several levels, each weighted with (1 - level) / 2, and half the distance to the
    median, over K + ½: with many levels it is the CRPS of the forecast whose quantiles these are.

    Args:
        median: The predicted median ``(N,)``.
        intervals: The central intervals of each level, ``(K, N, 2)``.
        y: What happened, ``(N,)``.
        levels: The K levels, in the order of ``intervals``.

    Raises:
        DataError: On other shapes, NaN, infinite ends, and levels that are not between 0 and 1.

    References:
        Bracher, Ray, Gneiting and Reich (2021), Evaluating epidemic forecasts in an interval format.

    Example:
        >>> weighted_interval_score_per_row([0.0], [[[-1.0, 1.0]]], [1.0], levels=[0.5]).tolist()
        [0.6666666666666666]
    """
    seen = _checks.column("y", y)
    centre = _checks.column("median", median, n_rows=len(seen))
    stack = np.asarray(intervals, dtype=np.float64)
    if len(levels) == 0 or stack.shape != (len(levels), len(seen), 2):
        raise DataError(
            f"Intervals must have shape (K, {len(seen)}, 2), lower and upper ends for each of the "
            f"{len(levels)} levels: got {stack.shape}."
        )
    # Not scoringrules (0.10): without numba it adds the median itself in place of its distance to y.
    total = 0.5 * np.abs(seen - centre)
    for level, ends in zip(levels, stack, strict=True):
        total += (1.0 - level) / 2.0 * interval_score_per_row(ends, seen, level=level)
    return np.asarray(total / (len(levels) + 0.5), dtype=np.float64)


def weighted_interval_score(
    median: ArrayLike, intervals: ArrayLike, y: ArrayLike, *, levels: Sequence[float] = WIS_LEVELS
) -> float:
    """Returns the mean of `weighted_interval_score_per_row`.

    Example:
        >>> round(weighted_interval_score([0.0], [[[-1.0, 1.0]]], [1.0], levels=[0.5]), 4)
        0.6667
    """
    return float(weighted_interval_score_per_row(median, intervals, y, levels=levels).mean())


def _finite_ends(intervals: ArrayLike, *, n_rows: int) -> Floats:
    ends = _ends(intervals, n_rows=n_rows)
    if not np.isfinite(ends).all():
        raise DataError("Intervals have infinite ends: their score would be infinite. Give finite ones.")
    return ends


def _ends(intervals: ArrayLike, *, n_rows: int | None = None) -> Floats:
    ends = np.asarray(intervals, dtype=np.float64)
    if ends.ndim != 2 or ends.shape[1] != 2 or len(ends) == 0 or (n_rows is not None and len(ends) != n_rows):
        wanted = "N" if n_rows is None else n_rows
        raise DataError(f"Intervals must have shape ({wanted}, 2), lower and upper end: got {ends.shape}.")
    if np.isnan(ends).any() or (ends[:, 0] > ends[:, 1]).any():
        raise DataError("Intervals must have a lower end that is not above the upper one, and no NaN.")
    return ends
