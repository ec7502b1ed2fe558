"""What a prediction is to the diagnostics."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from bayeshyper.diagnostics._checks import Floats


class Predictive(Protocol):
    """What the diagnostics need to know of a prediction.

    A regressor's needs no ``classes`` and ``probs``; a classifier's needs only those and ``log_prob``. Two
    attributes may be there as well: ``discrete``, True for a regressor of counts, and ``has_density``, False
    where there is no ``log_prob`` (draws alone have none). So may ``crps(y)``, ``(N,)``, where it is known
    better than from a few hundred draws.
    """

    @property
    def task(self) -> str:
        """Either "regression" or "classification"."""

    @property
    def n_rows(self) -> int:
        """N."""

    @property
    def classes(self) -> Any:
        """The labels ``(C,)``, in the order of the columns of ``probs``; None for 0 to C - 1."""

    @property
    def mean(self) -> Floats:
        """The predicted mean, ``(N,)``."""

    @property
    def probs(self) -> Floats:
        """The class probabilities, ``(N, C)``."""

    def log_prob(self, y: Any, /) -> Floats:
        """The log density (or probability) of what happened, ``(N,)``."""

    def cdf(self, y: Any, /) -> Floats:
        """The distribution function at what happened, ``(N,)``."""

    def quantiles(self, levels: Any, /) -> Floats:
        """The quantiles at L levels, ``(N, L)``."""

    def interval(self, level: float, /) -> Floats:
        """The central interval, ``(N, 2)``."""

    def sample(self, n: int, /, seed: int = 0) -> NDArray[Any]:
        """Draws of y, ``(n, N)``."""

    def rows(self, index: Any, /) -> Predictive:
        """The prediction of some of the rows."""
