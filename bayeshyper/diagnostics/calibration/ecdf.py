"""The PIT without bins: how far its distribution function lies from the uniform one, and from chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.calibration.bands import LEVELS, uniform_band
from bayeshyper.diagnostics.calibration.pit import check_pit


@dataclass(frozen=True, eq=False)
class PITDifference:
    """The share of PIT values up to each level, less the level: ``(99,)``, at 1 %, 2 %, … 99 %.

    Zero everywhere where every quantile of the forecast is right. Above zero at p: more than a share p lies
    below the predicted p-quantile, so that the quantile is too high. A line that is above zero throughout
    belongs to a forecast that is too high, one that falls from above to below zero to one that is too
    narrow.

    Args:
        levels: The quantile levels.
        difference: Observed share less level.
        lower: From here to ``upper`` the whole line of a calibrated forecast lies with 95 % probability
            (simultaneously), given this many rows.
        upper: Likewise.
    """

    levels: Floats
    difference: Floats
    lower: Floats
    upper: Floats

    @property
    def outside(self) -> Floats:
        """The levels at which the line leaves its band; none for 95 % of calibrated forecasts."""
        # Shares are counts over rows: equal ones must compare as equal after the level is taken off.
        beyond = (self.difference < self.lower - 1e-12) | (self.difference > self.upper + 1e-12)
        return np.asarray(self.levels[beyond], dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Returns the line and its band as lists."""
        return {name: getattr(self, name).tolist() for name in ("levels", "difference", "lower", "upper")}


def pit_difference(pit: ArrayLike) -> PITDifference:
    """Compares the empirical distribution function of PIT values with that of uniform ones.

    Args:
        pit: ``(N,)``, between 0 and 1.

    Raises:
        DataError: On values outside, and NaN.

    References:
        Säilynoja, Bürkner and Vehtari (2022), Graphical test for discrete uniformity and its applications in
        goodness-of-fit evaluation and multiple sample comparison.

    Example:
        >>> pit_difference((np.arange(200) + 0.5) / 200).outside.tolist()
        []
        >>> pit_difference(np.linspace(0.4, 0.6, 200)).outside.size > 50
        True
    """
    values = np.sort(check_pit(pit))
    observed = np.searchsorted(values, LEVELS, side="right") / len(values)
    lower, upper = uniform_band(len(values))
    return PITDifference(LEVELS, observed - LEVELS, lower - LEVELS, upper - LEVELS)
