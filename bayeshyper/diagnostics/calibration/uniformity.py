"""Is the PIT uniform? The test behind the verdict on a density forecast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bayeshyper.diagnostics.calibration.pit import check_pit


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
