"""Predictive distributions of linear networks, whose numbers can be written down by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor
from torch.distributions import Distribution, Laplace

from bayeshyper.models import (
    MLP,
    BayesianModel,
    FanInPrior,
    Gaussian,
    HeteroscedasticGaussian,
    Latent,
    Likelihood,
    StudentT,
    Target,
)
from bayeshyper.prediction import PredictiveDistribution

Array = NDArray[np.float64]
LOC, SCALE = 3.0, 2.0  # of the target, in its own units
FEATURES = 2


class LaplaceNoise(Likelihood):
    """The user's own likelihood, as the docstring of `bayeshyper.models.likelihoods` writes it."""

    task = "regression"
    latents = {"log_scale": Latent(loc=-1.5, scale=1.0)}  # noqa: RUF012

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        return Laplace(outputs[..., 0], latents["log_scale"].exp())


@dataclass
class Case:
    """A predictive distribution, what it was made of, and its draws' distributions by SciPy ``(S, N)``."""

    predictive: PredictiveDistribution
    model: BayesianModel
    weights: Tensor
    x: Tensor
    outputs: Array
    mixed: Any

    def rows(self, chosen: Any) -> PredictiveDistribution:
        """The same for some of the rows."""
        return PredictiveDistribution(self.model, self.weights, self.x[chosen], loc=LOC, scale=SCALE)


REGRESSION: dict[str, Likelihood] = {
    "gaussian": Gaussian(),
    "heteroscedastic": HeteroscedasticGaussian(),
    "student-t": StudentT(),
    "laplace": LaplaceNoise(),
}


def case(likelihood: Likelihood, *, draws: int = 7, rows: int = 5, spread: float = 1.0) -> Case:
    """A linear network with one weight vector per draw, ``spread`` apart, and fixed inputs."""
    model = BayesianModel(
        Target(MLP(FEATURES, likelihood.n_outputs, hidden=())), FanInPrior(), likelihood, num_data=10
    ).double()
    generator = torch.Generator().manual_seed(1)
    weights = spread * torch.randn(draws, model.spec.size, dtype=torch.float64, generator=generator)
    latents = len(likelihood.latents)
    if latents:
        weights[:, -latents:] = 0.3 * torch.randn(draws, latents, dtype=torch.float64, generator=generator)
    x = torch.randn(rows, FEATURES, dtype=torch.float64, generator=generator)
    width = likelihood.n_outputs
    w = weights[:, : width * FEATURES].reshape(draws, width, FEATURES).numpy()
    b = weights[:, width * FEATURES : width * (FEATURES + 1)].numpy()
    outputs = np.einsum("nf,sof->sno", x.numpy(), w) + b[:, None]
    if likelihood.task == "classification":
        return Case(PredictiveDistribution(model, weights, x), model, weights, x, outputs, None)
    predictive = PredictiveDistribution(model, weights, x, loc=LOC, scale=SCALE)
    last = weights[:, width * (FEATURES + 1) :].numpy()
    return Case(predictive, model, weights, x, outputs, _mixed(likelihood, outputs, last))


def _mixed(likelihood: Likelihood, outputs: Array, latents: Array) -> Any:
    """SciPy's distributions of the target in its own units."""
    loc = LOC + SCALE * outputs[..., 0]
    if isinstance(likelihood, HeteroscedasticGaussian):
        return stats.norm(loc, SCALE * (np.log1p(np.exp(outputs[..., 1] - 1.25)) + 1e-4))
    noise = np.exp(latents[:, :1])
    if isinstance(likelihood, LaplaceNoise):
        return stats.laplace(loc, SCALE * noise)
    if isinstance(likelihood, StudentT):
        return stats.t(2 + np.exp(latents[:, 1:2]), loc, SCALE * (noise + 1e-4))
    return stats.norm(loc, SCALE * (noise + 1e-4))
