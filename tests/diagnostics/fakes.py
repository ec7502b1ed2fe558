"""Stand-ins for predictions, with closed forms to hold the diagnostics against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]


@dataclass
class GaussianPredictive:
    """A Gaussian forecast for each row."""

    mean: Array
    std: Array
    task: str = "regression"
    classes: Any = None

    @property
    def n_rows(self) -> int:
        return len(self.mean)

    def log_prob(self, y: Any) -> Array:
        return np.asarray(stats.norm.logpdf(y, self.mean, self.std))

    def cdf(self, y: Any) -> Array:
        return np.asarray(stats.norm.cdf(y, self.mean, self.std))

    def interval(self, level: float) -> Array:
        half = stats.norm.isf((1.0 - level) / 2.0) * self.std
        return np.stack([self.mean - half, self.mean + half], axis=1)

    def sample(self, n: int, seed: int = 0) -> Array:
        noise = np.random.default_rng(seed).standard_normal((n, self.n_rows))
        return self.mean + self.std * noise


@dataclass
class ClassPredictive:
    """Class probabilities for each row."""

    probs: Array
    classes: Any
    task: str = "classification"

    @property
    def n_rows(self) -> int:
        return len(self.probs)

    def log_prob(self, y: Any) -> Array:
        index = [list(self.classes).index(label) for label in np.asarray(y).tolist()]
        with np.errstate(divide="ignore"):
            return np.log(self.probs[np.arange(self.n_rows), index])


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
