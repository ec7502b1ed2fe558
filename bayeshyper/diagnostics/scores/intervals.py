"""Scores of prediction intervals: what they hold, and how wide they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.errors import DataError


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


def _ends(intervals: ArrayLike, *, n_rows: int | None = None) -> Floats:
    ends = np.asarray(intervals, dtype=np.float64)
    if ends.ndim != 2 or ends.shape[1] != 2 or len(ends) == 0 or (n_rows is not None and len(ends) != n_rows):
        wanted = "N" if n_rows is None else n_rows
        raise DataError(f"Intervals must have shape ({wanted}, 2), lower and upper end: got {ends.shape}.")
    if np.isnan(ends).any() or (ends[:, 0] > ends[:, 1]).any():
        raise DataError("Intervals must have a lower end that is not above the upper one, and no NaN.")
    return ends
