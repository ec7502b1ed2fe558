"""Predictions made up together with what happened, so that the truth about them is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeshyper.diagnostics import ClassPredictive
from bayeshyper.diagnostics import NormalPredictive as GaussianPredictive

__all__ = ["ClassPredictive", "GaussianPredictive", "classification", "regression"]

Array = NDArray[np.float64]


def regression(
    n: int, seed: int = 0, *, stated_std: float = 1.0, shift: float = 0.0
) -> tuple[GaussianPredictive, Array]:
    """A table whose true noise is 1 and whose forecast says ``stated_std`` and is ``shift`` too low."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=n)
    return GaussianPredictive(mean, np.full(n, stated_std)), mean + shift + rng.normal(size=n)


def classification(
    n: int, seed: int = 0, *, n_classes: int = 3, sharpen: float = 1.0
) -> tuple[ClassPredictive, NDArray[Any]]:
    """Labels drawn from probabilities, which are then raised to a power: above 1 is over-confident."""
    rng = np.random.default_rng(seed)
    true = rng.dirichlet(np.ones(n_classes), size=n)
    index = (rng.random(n)[:, None] > np.cumsum(true, axis=1)[:, :-1]).sum(axis=1)
    stated = true**sharpen
    names = np.array(["cat", "dog", "owl", "pig", "rat"][:n_classes])
    return ClassPredictive(stated / stated.sum(axis=1, keepdims=True), names), names[index]
