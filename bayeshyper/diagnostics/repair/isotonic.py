"""Isotonic calibration: any rising map from stated probabilities to how often it happened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.isotonic import IsotonicRegression

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics.predictives import ClassPredictive, Predictive
from bayeshyper.diagnostics.repair.protocol import of_classes
from bayeshyper.errors import DataError


@dataclass(frozen=True, eq=False)
class IsotonicCalibration:
    """Each class's probability goes through a rising step map of its own; then all are divided by their sum.

    What n rows show never to happen, or always to, gets 1/(n + 2) and no less, or 1 - 1/(n + 2) and no more
    (Laplace's rule of succession), so that no class that happens later was called impossible.

    Args:
        maps: One for each class.

    References:
        Zadrozny and Elkan (2002), Transforming classifier scores into accurate multiclass probabilities.

    Example:
        >>> stated = ClassPredictive([[0.9, 0.1], [0.1, 0.9]] * 50)
        >>> repaired = IsotonicCalibration.fit(stated, [0, 1, 1, 0, 0, 1] * 16 + [0, 1, 0, 1])(stated)
        >>> repaired.probs[0].round(2).tolist()
        [0.68, 0.32]
    """

    maps: tuple[IsotonicRegression, ...]

    @classmethod
    def fit(cls, predictive: Predictive, y: ArrayLike) -> IsotonicCalibration:
        """Learns the maps by pooling adjacent violators.

        Args:
            predictive: Of rows that the model was not trained on.
            y: The labels that happened, ``(N,)``.

        Raises:
            DataError: With fewer than 10 rows, or rows of one class only.
        """
        probs, index = of_classes(predictive, y)
        least = 1.0 / (len(probs) + 2.0)
        return cls(
            tuple(
                IsotonicRegression(y_min=least, y_max=1.0 - least, out_of_bounds="clip").fit(
                    stated, index == k
                )
                for k, stated in enumerate(probs.T)
            )
        )

    def __call__(self, predictive: Predictive) -> ClassPredictive:
        """Repairs a prediction of the same classes."""
        probs = _checks.probabilities(predictive.probs)
        if probs.shape[1] != len(self.maps):
            raise DataError(f"The maps are of {len(self.maps)} classes: got {probs.shape[1]}.")
        mapped = np.stack(
            [one.predict(stated) for one, stated in zip(self.maps, probs.T, strict=True)], axis=1
        )
        return ClassPredictive(mapped / mapped.sum(axis=1, keepdims=True), predictive.classes)
