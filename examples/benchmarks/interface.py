"""What the benchmark asks of a method: a function from training rows to something that predicts.

    def my_method(X, y, seed, setup):          # X and y in their own units; X may be a DataFrame
        ...
        return Fit(lambda X_test: GaussianMixture(means, scales), steps=…)

Put it in a file of its own beside this one, and name it in methods.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr

from bayeshyper.data import TableEncoder, TargetScaler
from bayeshyper.diagnostics import Audit

Array = NDArray[np.float64]


class Predictive(Protocol):
    """What is known of N new targets, in their own units; a `bayeshyper.PredictiveDistribution` is one."""

    @property
    def mean(self) -> Array:
        """The predicted mean, ``(N,)``."""

    def log_prob(self, y: Array) -> Array:
        """The log density of what happened, ``(N,)``."""

    def cdf(self, y: Array) -> Array:
        """The distribution function at what happened, ``(N,)``."""

    def sample(self, n: int) -> Array:
        """Draws of the targets, ``(n, N)``."""


@dataclass(frozen=True)
class Setup:
    """What all methods share on a data set: the network's hidden layers; and the ``--set`` of ours."""

    hidden: tuple[int, ...] = (50,)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fit:
    """A trained method.

    Args:
        predictive: From new rows to their predictive distribution.
        steps: Gradient steps taken, over all members; None where there are none.
        audit: Bounds on the ELBO, for methods that have one.
        rhat: From new rows to the largest split R̂ over the function's values there, for methods with chains.
    """

    predictive: Callable[[Any], Predictive]
    steps: int | None = None
    audit: Callable[[], Audit] | None = None
    rhat: Callable[[Any], float] | None = None


Method = Callable[[Any, Array, int, Setup], Fit]


class Standardized:
    """Training rows as the protocol wants them: features and target standardised by their own statistics."""

    def __init__(self, X: Any, y: Array) -> None:
        self._encoder, self._scaler = TableEncoder(), TargetScaler.fit(y)
        self.x = torch.from_numpy(self._encoder.fit_transform(X)).float()
        self.y = torch.from_numpy(self._scaler.transform(y)).float()

    def encode(self, X: Any) -> torch.Tensor:
        """New rows on the training rows' scale, ``(N, F)``."""
        return torch.from_numpy(self._encoder.transform(X)).float()

    def mixture(self, means: torch.Tensor, scales: torch.Tensor) -> GaussianMixture:
        """Back to the target's units; arguments as for `GaussianMixture`."""
        unit = self._scaler.scale
        return GaussianMixture(self._scaler.inverse(means.double().numpy()), unit * scales.double().numpy())


class GaussianMixture:
    """An equal mixture of S Normals for each of N rows: what ensembles and samplers predict.

    Args:
        means: ``(S, N)``.
        scales: Standard deviations that broadcast to ``(S, N)``.
    """

    def __init__(self, means: Array, scales: Array) -> None:
        self._means, self._scales = np.broadcast_arrays(means, scales)

    @property
    def mean(self) -> Array:
        """The mixture's mean, ``(N,)``."""
        return self._means.mean(0)

    def log_prob(self, y: Array) -> Array:
        """The log of the mean density, ``(N,)``."""
        standard = (y - self._means) / self._scales
        logs = -0.5 * (standard**2 + np.log(2 * np.pi)) - np.log(self._scales)
        return logsumexp(logs, axis=0) - np.log(len(logs))

    def cdf(self, y: Array) -> Array:
        """The mean distribution function, ``(N,)``."""
        return ndtr((y - self._means) / self._scales).mean(0)

    def sample(self, n: int) -> Array:
        """Draws that go through the components evenly, ``(n, N)``."""
        component = np.arange(n) % len(self._means)
        noise = np.random.default_rng(0).standard_normal((n, self._means.shape[1]))
        return self._means[component] + self._scales[component] * noise
