"""Spread scaling: one factor for all standard deviations, which makes a forecast wider or narrower."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.predictives import NormalPredictive, Predictive, SamplePredictive
from bayeshyper.diagnostics.repair.protocol import of_numbers
from bayeshyper.diagnostics.repair.wrapped import WrappedNumbers
from bayeshyper.diagnostics.scores.regression import crps_per_row
from bayeshyper.errors import DataError

MAX_ROWS = 4_000
"""Of more rows, so many evenly chosen ones are learned from: they give the factor to about 1 %."""

MAX_DRAWS = 200

LARGEST = 100.0
"""Factors are sought from 1/100 to 100."""


@dataclass(frozen=True)
class SpreadScaling:
    """Distances from the predicted mean are multiplied by one factor; the mean stays as it is.

    For normal forecasts this is σ scaling: the factor is the root of the mean squared standardised error.

    Args:
        factor: Above 1 widens, below 1 narrows.

    References:
        Laves et al. (2020), Well-calibrated regression uncertainty; Levi et al. (2022).

    Example:
        >>> SpreadScaling(2.0)(NormalPredictive([5.0], 1.0)).std.tolist()
        [2.0]
    """

    factor: float

    def __post_init__(self) -> None:
        if not 0.0 < self.factor < np.inf:
            raise DataError(f"A spread's factor must be above zero: got {self.factor}.")

    @classmethod
    def fit(cls, predictive: Predictive, y: ArrayLike) -> SpreadScaling:
        """Finds the factor with the best log score; of draws alone, which have none, that with the best CRPS.

        Args:
            predictive: Of rows that the model was not trained on.
            y: What happened, ``(N,)``.

        Raises:
            DataError: With fewer than 10 rows; for counts, and where targets have an end (see `__call__`).
        """
        seen = of_numbers(predictive, y)
        _require_reals(predictive)
        if len(seen) > MAX_ROWS:
            kept = np.linspace(0, len(seen) - 1, MAX_ROWS).astype(np.int64)
            predictive, seen = predictive.rows(kept), seen[kept]
        loss = _log_loss if getattr(predictive, "has_density", True) else _crps_loss
        reach = np.log(LARGEST)
        found = minimize_scalar(
            loss(predictive, seen), bounds=(-reach, reach), method="bounded", options={"xatol": 1e-5}
        )
        return cls(float(np.exp(found.x)))

    def __call__(self, predictive: Predictive) -> NormalPredictive | SamplePredictive | ScaledPredictive:
        """Repairs a prediction of numbers.

        Raises:
            DataError: For counts, and for targets that have an end (positive numbers, shares): scaled, their
                intervals would reach beyond it. `QuantileRecalibration` keeps to it.
        """
        _require_reals(predictive)
        if isinstance(predictive, NormalPredictive):
            return NormalPredictive(predictive.mean, self.factor * predictive.std)
        if isinstance(predictive, SamplePredictive):
            return SamplePredictive(_away(predictive.mean, predictive.samples, self.factor))
        return ScaledPredictive(predictive, self.factor)


class ScaledPredictive(WrappedNumbers):
    """A prediction with all distances from its mean multiplied by a factor.

    Args:
        base: What is scaled.
        factor: Above zero.
    """

    def __init__(self, base: Predictive, factor: float) -> None:
        super().__init__(base)
        self.factor = factor

    @property
    def std(self) -> Floats:
        """The predicted standard deviation, ``(N,)``."""
        return self.factor * super().std

    def log_prob(self, y: ArrayLike) -> Floats:
        """The log density, ``(N,)``: that of the unscaled place, less the logarithm of the factor."""
        return np.asarray(self.base.log_prob(self._unscaled(y)) - np.log(self.factor))

    def cdf(self, y: ArrayLike) -> Floats:
        """The distribution function, ``(N,)``."""
        return self.base.cdf(self._unscaled(y))

    def quantiles(self, levels: ArrayLike) -> Floats:
        """The quantiles at L levels strictly between 0 and 1, ``(N, L)``."""
        return _away(self.mean[:, None], self.base.quantiles(levels), self.factor)

    def sample(self, n: int = 1000, seed: int = 0) -> NDArray[Any]:
        """n draws, ``(n, N)``: those of the unscaled prediction, moved."""
        return _away(self.mean, self.base.sample(n, seed=seed), self.factor)

    def rows(self, index: Any) -> ScaledPredictive:
        """The prediction of some of the rows."""
        return ScaledPredictive(self.base.rows(index), self.factor)

    def _unscaled(self, y: ArrayLike) -> Floats:
        seen = _checks.column("y", y, n_rows=self.n_rows, finite=False)
        return _away(self.mean, seen, 1.0 / self.factor)


def _away(mean: Floats, value: Floats, factor: float) -> Floats:
    return np.asarray(mean + factor * (value - mean))


def _log_loss(predictive: Predictive, y: Floats) -> Callable[[float], float]:
    mean = predictive.mean

    def loss(log_factor: float) -> float:
        score = predictive.log_prob(_away(mean, y, np.exp(-log_factor)))
        return log_factor - float(np.mean(np.maximum(score, -1e300)))

    return loss


def _crps_loss(predictive: Predictive, y: Floats) -> Callable[[float], float]:
    mean = predictive.mean
    drawn = predictive.sample(min(MAX_DRAWS, getattr(predictive, "n_draws", MAX_DRAWS)), seed=0)

    def loss(log_factor: float) -> float:
        return float(crps_per_row(_away(mean, drawn, np.exp(log_factor)), y).mean())

    return loss


def _require_reals(predictive: Predictive) -> None:
    if getattr(predictive, "discrete", False):
        raise DataError("Counts cannot be scaled, as they would not stay whole: use QuantileRecalibration.")
    lower, upper = getattr(predictive, "bounds", (-np.inf, np.inf))
    if np.isfinite(lower) or np.isfinite(upper):
        raise DataError(
            f"Targets between {lower:g} and {upper:g} cannot be scaled, as intervals would reach beyond: use "
            "QuantileRecalibration."
        )
