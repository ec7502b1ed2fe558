"""Likelihoods: what the network's outputs mean for the observed target.

A likelihood says how many outputs it needs per row, which unknowns of its own are inferred together
with the weights (``latents``), which targets it allows (``support``), and which distribution of the
target follows. A new one is ten lines:

    >>> import torch
    >>> class Exponential(Likelihood):
    ...     task = "regression"
    ...     support = Support("positive numbers", lower=0)
    ...
    ...     def distribution(self, outputs, latents):
    ...         return torch.distributions.Exponential((-outputs[..., 0]).exp())
    >>> Exponential().distribution(torch.zeros(3, 5, 1), {}).batch_shape
    torch.Size([3, 5])

`bayeshyper.testing.LikelihoodTestCase` holds a new one to the laws that those here are held to.
"""

from .classes import Bernoulli, Categorical, Ordinal
from .counts import NegativeBinomial, Poisson
from .gaussian import Gaussian, HeteroscedasticGaussian, StudentT
from .mixture import GaussianMixture
from .multivariate import ColumnOf, MultivariateGaussian
from .protocol import COUNTS, REALS, SHARES, Latent, Likelihood, Support, TargetFacts
from .shares import Beta

__all__ = [
    "COUNTS",
    "LIKELIHOODS",
    "REALS",
    "SHARES",
    "Bernoulli",
    "Beta",
    "Categorical",
    "ColumnOf",
    "Gaussian",
    "GaussianMixture",
    "HeteroscedasticGaussian",
    "Latent",
    "Likelihood",
    "MultivariateGaussian",
    "NegativeBinomial",
    "Ordinal",
    "Poisson",
    "StudentT",
    "Support",
    "TargetFacts",
]

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "gaussian": Gaussian,
    "heteroscedastic": HeteroscedasticGaussian,
    "student-t": StudentT,
    "mixture": GaussianMixture,
    "multivariate-gaussian": MultivariateGaussian,
    "poisson": Poisson,
    "negative-binomial": NegativeBinomial,
    "beta": Beta,
    "bernoulli": Bernoulli,
    "categorical": Categorical,
    "ordinal": Ordinal,
}
