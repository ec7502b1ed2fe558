"""Calibration of a density forecast, read off the probability integral transform (PIT).

The PIT of a row is the forecast's distribution function at what then happened. Over many rows it is uniform
if the forecast is calibrated: the central interval of level p holds y exactly when |2·PIT - 1| ≤ p. For
counts it is drawn from within the jump of the distribution function (`randomized_pit`); a row at an end of
its interval is then inside with the share of its probability that makes the interval hold p and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats, Integers
from bayeshyper.errors import DataError


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
    inside: Floats = _checks.generator(seed).random(len(low))
    return low + inside * np.maximum(high - low, 0.0)


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
