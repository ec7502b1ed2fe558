"""What an evaluation needs to know of a prediction."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.errors import DataError


class Predictive(Protocol):
    """What `evaluate` needs to know of a prediction.

    A regressor's needs no ``classes`` and ``probs``; a classifier's needs only those and ``log_prob``. A
    regressor of counts has an attribute ``discrete`` that is True.
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

    def interval(self, level: float, /) -> Floats:
        """The central interval, ``(N, 2)``."""

    def sample(self, n: int, /, seed: int = 0) -> Floats:
        """Draws of y, ``(n, N)``."""


def log_scores(predictive: Predictive, y: Any) -> Floats:
    """Returns the log score of each row, which may be minus infinity but neither NaN nor plus infinity."""
    rows = _checks.column("log_prob", predictive.log_prob(y), n_rows=predictive.n_rows, finite=False)
    if (rows == np.inf).any():
        raise DataError("log_prob is plus infinity for a row: a density must be finite.")
    return rows
