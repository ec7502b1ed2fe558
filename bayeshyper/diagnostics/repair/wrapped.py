"""A prediction of numbers made from another one."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.predictives import NumbersPredictive, Predictive


class WrappedNumbers(NumbersPredictive):
    """All that the other says, until a repair says it differently.

    Args:
        base: The other prediction.
    """

    def __init__(self, base: Predictive) -> None:
        self.base = base
        self.n_rows = base.n_rows
        self.discrete = bool(getattr(base, "discrete", False))
        self.has_density = bool(getattr(base, "has_density", True))

    @property
    def mean(self) -> Floats:
        """The predicted mean, ``(N,)``."""
        return self.base.mean

    @property
    def std(self) -> Floats:
        """The predicted standard deviation, ``(N,)``."""
        std: Floats = getattr(self.base, "std")  # noqa: B009 (not every prediction has one)
        return std

    def log_prob(self, y: ArrayLike) -> Floats:
        """The log density, ``(N,)``."""
        return self.base.log_prob(y)

    def cdf(self, y: ArrayLike) -> Floats:
        """The distribution function, ``(N,)``."""
        return self.base.cdf(y)

    def quantiles(self, levels: ArrayLike) -> Floats:
        """The quantiles at L levels strictly between 0 and 1, ``(N, L)``."""
        return self.base.quantiles(levels)

    def sample(self, n: int = 1000, seed: int = 0) -> NDArray[Any]:
        """n draws, ``(n, N)``."""
        return self.base.sample(n, seed=seed)
