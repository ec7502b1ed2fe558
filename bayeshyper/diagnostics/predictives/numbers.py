"""Predictions of numbers: what they share, and normal distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.errors import DataError
from bayeshyper.memory import check_answers


class NumbersPredictive:
    """What predictions of numbers share."""

    task = "regression"
    classes = None
    discrete = False
    has_density = True

    @property
    def probs(self) -> Floats:
        """Not here: numbers have no classes."""
        raise AttributeError("probs belong to classification; this prediction is of numbers.")

    def quantiles(self, levels: ArrayLike) -> Floats:
        """The quantiles at L levels strictly between 0 and 1, ``(N, L)``."""
        raise NotImplementedError

    def interval(self, level: float = 0.9) -> Floats:
        """The central interval, ``(N, 2)``: as much probability below it as above."""
        return self.quantiles(central_levels(level))


def central_levels(level: float) -> list[float]:
    """Returns the levels of the quantiles that bound a central interval.

    Raises:
        DataError: Where the level is not strictly between 0 and 1.

    Example:
        >>> central_levels(0.5)
        [0.25, 0.75]
    """
    _checks.share("level", level)
    return [(1.0 - level) / 2.0, (1.0 + level) / 2.0]


def quantile_levels(levels: ArrayLike) -> Floats:
    """Reads quantile levels, ``(L,)``; one number is one level.

    Raises:
        DataError: Where one is not strictly between 0 and 1.

    Example:
        >>> quantile_levels(0.5).tolist()
        [0.5]
    """
    read = np.atleast_1d(np.asarray(levels, dtype=np.float64))
    if read.ndim != 1 or not bool(((read > 0.0) & (read < 1.0)).all()):
        raise DataError(
            f"Quantile levels must be numbers strictly between 0 and 1, like [0.05, 0.95]: got {levels!r}."
        )
    return read


class NormalPredictive(NumbersPredictive):
    """A normal distribution for each row.

    Args:
        mean: ``(N,)``.
        std: Standard deviations, above zero: ``(N,)``, or one for all rows.

    Raises:
        DataError: On other shapes, on NaN and infinity, and on a standard deviation that is not above zero.

    Example:
        >>> NormalPredictive([0.0, 5.0], 2.0).interval(0.9).round(2).tolist()
        [[-3.29, 3.29], [1.71, 8.29]]
    """

    def __init__(self, mean: ArrayLike, std: ArrayLike) -> None:
        self.mean = _checks.column("mean", mean)
        same = np.full(len(self.mean), std) if np.ndim(std) == 0 else std
        self.std = _checks.column("std", same, n_rows=len(self.mean))
        if self.std.min() <= 0.0:
            raise DataError(
                f"Standard deviations must be above zero: got {self.std.min():.6g} in row "
                f"{int(self.std.argmin())}."
            )

    @property
    def n_rows(self) -> int:
        """N."""
        return len(self.mean)

    def log_prob(self, y: ArrayLike) -> Floats:
        """The log density, ``(N,)``."""
        z = self._standardized(y)
        return np.asarray(-0.5 * z**2 - np.log(self.std) - 0.5 * np.log(2.0 * np.pi))

    def cdf(self, y: ArrayLike) -> Floats:
        """The distribution function, ``(N,)``."""
        return np.asarray(special.ndtr(self._standardized(y)))

    def crps(self, y: ArrayLike) -> Floats:
        """The CRPS, ``(N,)``, in closed form (Gneiting and Raftery 2007)."""
        import scoringrules  # 0.7 s to import: paid by who asks for a CRPS

        seen = _checks.column("y", y, n_rows=self.n_rows)
        return np.asarray(scoringrules.crps_normal(seen, self.mean, self.std, backend="numpy"))

    def quantiles(self, levels: ArrayLike) -> Floats:
        """The quantiles at L levels strictly between 0 and 1, ``(N, L)``."""
        return np.asarray(self.mean[:, None] + self.std[:, None] * special.ndtri(quantile_levels(levels)))

    def sample(self, n: int = 1000, seed: int = 0) -> Floats:
        """n draws, ``(n, N)``, independent from row to row."""
        check_answers(n, self.n_rows)
        noise = _checks.generator(seed).standard_normal((n, self.n_rows))
        return np.asarray(self.mean + self.std * noise)

    def rows(self, index: Any) -> NormalPredictive:
        """The prediction of some of the rows."""
        chosen = _checks.row_numbers(index, self.n_rows)
        return NormalPredictive(self.mean[chosen], self.std[chosen])

    def _standardized(self, y: ArrayLike) -> Floats:
        seen = _checks.column("y", y, n_rows=self.n_rows, finite=False)
        return (seen - self.mean) / self.std
