"""Rows with missing values: is what they are predicted with as uncertain as they are?

A missing number is replaced by the median, and a column of its own says that it was missing. The mean can
follow that, but the noise of most likelihoods is the same for all rows: where the column matters, what is not
known of it is noise that rows without a gap do not have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

__all__ = ["LEVEL", "MOST_ROWS", "misjudged"]

LEVEL = 0.9
"""Of the intervals that are looked at."""
MOST_ROWS = 1000
"""With a gap, that are looked at."""
CHANCE = 1e-3
"""How often so few rows with a gap may lie within their intervals where these are right."""
LEAST_LOST = 0.15
"""Of the level, by which an interval is too narrow to be used."""


def misjudged(inside: NDArray[np.bool_]) -> str | None:
    """Says that the intervals of rows with missing values are too narrow; None where they are not.

    Even rows that were fitted lie outside of them then; new ones do so more often.

    Args:
        inside: Whether each of them is within its interval, ``(N,)``.

    Example:
        >>> misjudged(np.arange(100) < 40).partition(":")[0]
        'Of 100 fitted rows with missing values 40 % lie within their 90 % intervals'
        >>> misjudged(np.arange(100) < 88) is None
        True
    """
    rows, held = len(inside), int(inside.sum())
    if rows == 0 or held > (LEVEL - LEAST_LOST) * rows or binom.cdf(held, rows, LEVEL) > CHANCE:
        return None
    return (
        f"Of {rows:,} fitted rows with missing values {100 * held / rows:.0f} % lie within their "
        f"{100 * LEVEL:.0f} % intervals: what is missing matters, and intervals allow for it no more than in "
        "other rows. Fill the gaps in from elsewhere, leave such rows or columns out, or take predictions of "
        "rows with gaps for guesses."
    )
