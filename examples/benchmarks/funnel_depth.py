"""How deep into Neal's funnel draws are right: its quantiles of v, and the scale of x given v."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from bayeshyper.errors import DataError

__all__ = ["Depth", "depth"]

TOLERANCE = 0.1
# Levels are looked at so close together, and so far out, in standard deviations of v.
STEP, FARTHEST = 0.05, 3.0
# So many draws show the outermost quantiles to a tenth of the tolerance.
ENOUGH = 1_000_000
# Bins of v, in its standard deviations, and how many draws show the scale of x in one of them.
BIN, PRESENT = 0.25, 200


class Depth(NamedTuple):
    """Ranges in standard deviations of v, around its mean.

    Args:
        v_low: The quantiles of v are right from that of level Φ(v_low),
        v_high: to that of level Φ(v_high).
        scale_low: The scale of x is right from here,
        scale_high: to here.
    """

    v_low: float
    v_high: float
    scale_low: float
    scale_high: float


def depth(v: ArrayLike, x: ArrayLike, width: float) -> Depth:
    """Where draws are those of v ~ N(0, width²) and x_i ~ N(0, exp v).

    A quantile of v is right if it is within 0.1 standard deviations of the exact one; the scale of x, among
    draws whose v is in the same quarter of a standard deviation, if the root mean square of x_i exp(−v/2) is
    within 10 % of 1. On either side of the mean, a range ends where the first one is not right. Quantiles are
    looked at to three standard deviations, and scales where there are 200 draws in a bin.

    Args:
        v: ``(S,)``, a million or more.
        x: ``(S, n)``.
        width: The standard deviation of v.

    Raises:
        DataError: Fewer draws than that.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> v = rng.normal(size=1_000_000)
        >>> x = np.exp(v / 2)[:, None] * rng.normal(size=(1_000_000, 2))
        >>> depth(np.where(v < 0, 0.85 * v, v), x, width=1.0).v_low  # 0.15 · 0.65 < 0.1
        -0.65
    """
    standard = np.asarray(v, dtype=np.float64) / width
    if len(standard) < ENOUGH:
        raise DataError(
            f"Got {len(standard):,} draws, expected {ENOUGH:,} or more, to see the far quantiles."
        )
    squares = (np.asarray(x, dtype=np.float64) ** 2).mean(1) * np.exp(-width * standard)
    (v_low, scale_low), (v_high, scale_high) = (_ends(sign * standard, squares) for sign in (-1.0, 1.0))
    return Depth(0.0 - v_low, v_high, 0.0 - scale_low, scale_high)


def _ends(standard: NDArray[np.float64], squares: NDArray[np.float64]) -> tuple[float, float]:
    """Up to which v > 0 quantiles, and scales, are right."""
    levels = STEP * np.arange(round(FARTHEST / STEP) + 1)
    wrong = np.abs(np.quantile(standard, norm.cdf(levels)) - levels) > TOLERANCE
    edges = BIN * np.arange(40)
    seen = np.histogram(standard, edges)[0]
    scales = np.sqrt(np.histogram(standard, edges, weights=squares)[0] / np.maximum(seen, 1))
    off = (np.abs(scales - 1.0) > TOLERANCE) | (seen < PRESENT)
    return round(STEP * max(0, _before_first(wrong) - 1), 2), BIN * _before_first(off)


def _before_first(wrong: NDArray[np.bool_]) -> int:
    """How many there are before the first that is wrong."""
    return int(np.argmax(wrong)) if wrong.any() else len(wrong)
