"""Hierarchical models and mixtures, where one site's scale or weight governs the others."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

from .priors import Restricted, double, half_cauchy, half_normal, normal
from .reference import Data, Model


def eight_schools_centered(data: Data) -> Model:
    """Effects θ_j ~ N(μ, τ), themselves the sites (Rubin 1981): a funnel, as narrow as τ is small."""

    def model() -> None:
        tau, mu = pyro.sample("tau", half_cauchy(5.0)), pyro.sample("mu", normal(0.0, 5.0))
        effect = dist.Normal(mu.unsqueeze(-1), tau.unsqueeze(-1)).expand((*tau.shape, len(data["y"])))
        theta = pyro.sample("theta", effect.to_event(1))
        pyro.sample("y", dist.Normal(theta, data["sigma"]).to_event(1), obs=data["y"])

    return model


def gaussian_mixture(data: Data) -> Model:
    """Two normals told apart by their order; which one a row is from is summed out."""
    ordered = Restricted(normal(0.0, 2.0, 2), constraints.ordered_vector)

    def model() -> None:
        mu, sigma = pyro.sample("mu", ordered), pyro.sample("sigma", half_normal(2.0, 2))
        theta = pyro.sample("theta", dist.Beta(double(5.0), 5.0))
        shares = dist.Categorical(torch.stack([theta, 1.0 - theta], dim=-1).unsqueeze(-2))
        parts = dist.Normal(mu.unsqueeze(-2), sigma.unsqueeze(-2))
        rows = dist.MixtureSameFamily(shares, parts).expand((*theta.shape, len(data["y"])))
        pyro.sample("y", rows.to_event(1), obs=data["y"])

    return model
