"""Small fits whose bits can be compared, for tests that run them in threads and other processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from bayeshyper import HyperClassifier, HyperRegressor
from bayeshyper.baselines import BaselineRegressor

Estimator = HyperRegressor | HyperClassifier | BaselineRegressor

STEPS = {"optimizer.steps": 20}


def table() -> tuple[np.ndarray, np.ndarray]:
    """Forty rows of two columns, and a number to each."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    return X, X[:, 0] ** 2 + 0.1 * rng.normal(size=40)


def own_network() -> nn.Module:
    """A network as a user brings it, the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 1))


class Spread(nn.Module):
    """A network without a fused form, which functional calls run."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = own_network()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.layers(x) * self.scale
        return output


def regressor(seed: int = 0, **arguments: Any) -> HyperRegressor:
    """An estimator that is fitted in a tenth of a second."""
    return HyperRegressor("mlp", "bayes", random_state=seed, n_draws=20, settings=STEPS, **arguments)


def members(seed: int) -> HyperRegressor:
    return HyperRegressor("mlp", "svi", random_state=seed, n_draws=20, n_members=2, settings=STEPS)


def classifier(seed: int) -> HyperClassifier:
    return HyperClassifier("mlp", "bayes", random_state=seed, n_draws=20, settings=STEPS)


def dropout(seed: int) -> BaselineRegressor:
    return BaselineRegressor("mc-dropout", random_state=seed, n_draws=20, settings=STEPS)


def laplace(seed: int) -> BaselineRegressor:
    return BaselineRegressor("laplace", random_state=seed, n_draws=20, settings=STEPS)


KINDS: list[Callable[[int], Estimator]] = [regressor, members, classifier, dropout, laplace]


def fitted(estimator: Estimator) -> Estimator:
    """The estimator, fitted to `table`; a classifier, to the sign of its numbers."""
    X, y = table()
    return estimator.fit(X, y > 0.5 if isinstance(estimator, HyperClassifier) else y)


def bits(estimator: Estimator) -> bytes:
    """What a fitted estimator says of the rows, to the last bit; of numbers, quantiles and densities too."""
    X, y = table()
    if isinstance(estimator, HyperClassifier):
        return estimator.predict_proba(X).tobytes()
    says = estimator.predictive(X)
    return b"".join(
        part.tobytes() for part in (says.mean, says.std, says.quantiles([0.1, 0.9]), says.log_prob(y))
    )


def fit_bits(estimator: Estimator) -> bytes:
    """`bits` of a fresh fit."""
    return bits(fitted(estimator))
