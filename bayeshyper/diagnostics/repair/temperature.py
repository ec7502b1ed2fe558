"""Temperature scaling: one number that makes all probabilities less sure, or surer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.predictives import ClassPredictive, Predictive
from bayeshyper.diagnostics.repair.protocol import of_classes
from bayeshyper.errors import DataError

SMALLEST = float(np.finfo(np.float64).eps)
"""A probability of zero counts as this, so that it has a logarithm."""

MAX_ROWS = 100_000
"""Of more rows, so many evenly chosen ones are learned from: they give the temperature to well under 1 %."""

HOTTEST = 100.0
"""Temperatures are sought from 1/100 to 100."""


@dataclass(frozen=True)
class TemperatureScaling:
    """Probabilities p become softmax(log p / T): flatter for T > 1, and the likeliest class stays so.

    Args:
        temperature: T, above zero.

    References:
        Guo et al. (2017), On calibration of modern neural networks.

    Example:
        >>> sure = ClassPredictive([[0.9, 0.1]])
        >>> TemperatureScaling(2.0)(sure).probs.round(6).tolist()
        [[0.75, 0.25]]
    """

    temperature: float

    def __post_init__(self) -> None:
        if not 0.0 < self.temperature < np.inf:
            raise DataError(f"A temperature must be above zero: got {self.temperature}.")

    @classmethod
    def fit(cls, predictive: Predictive, y: ArrayLike) -> TemperatureScaling:
        """Finds the temperature by maximum likelihood; 1 where no other is better.

        Args:
            predictive: Of rows that the model was not trained on.
            y: The labels that happened, ``(N,)``.

        Raises:
            DataError: With fewer than 10 rows, rows of one class only, or where the likeliest class is right
                in every row: then the likelihood rises without end as the temperature falls.
        """
        probs, index = of_classes(predictive, y)
        kept = np.linspace(0, len(probs) - 1, min(len(probs), MAX_ROWS)).astype(np.int64)
        logs, index, rows = _logs(probs[kept]), index[kept], np.arange(len(kept))
        if (logs[rows, index] == logs.max(axis=1)).all() and np.ptp(logs, axis=1).any():
            raise DataError(
                "No row was wrong: these rows cannot tell how sure one may be. Learn the temperature from "
                "more rows, some of them wrong."
            )

        def loss(log_temperature: float) -> float:
            scaled = log_softmax(logs / np.exp(log_temperature), axis=1)
            return -float(scaled[rows, index].mean())

        reach = np.log(HOTTEST)
        found = minimize_scalar(loss, bounds=(-reach, reach), method="bounded", options={"xatol": 1e-8})
        return cls(float(np.exp(found.x)) if found.fun < loss(0.0) - 1e-12 else 1.0)

    def __call__(self, predictive: Predictive) -> ClassPredictive:
        """Repairs a prediction of classes."""
        logs = _logs(_checks.probabilities(predictive.probs))
        return ClassPredictive(softmax(logs / self.temperature, axis=1), predictive.classes)


def _logs(probs: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(probs, SMALLEST)))
