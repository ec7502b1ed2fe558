"""Series in time: an autoregression, a GARCH model of volatility, a hidden Markov model."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from torch import Tensor
from torch.nn.functional import pad

from .priors import Restricted, flat, flat_positive, half_cauchy, normal
from .reference import Data, Model
from .regressions import observe


def autoregression(data: Data) -> Model:
    """y_t by the K values before it."""
    order = int(data["K"])
    windows = data["y"].unfold(0, order + 1, 1)  # y_{t−K}, …, y_t in each row
    past, now = windows[:, :-1].flip(-1), windows[:, -1]

    def model() -> None:
        alpha = pyro.sample("alpha", normal(0.0, 10.0))
        beta = pyro.sample("beta", normal(0.0, 10.0, order))
        sigma = pyro.sample("sigma", half_cauchy(2.5))
        observe(now, alpha.unsqueeze(-1) + beta @ past.mT, sigma)

    return model


def garch(data: Data) -> Model:
    """GARCH(1, 1) (Bollerslev 1986): s_t² = α₀ + α₁ (y_{t−1} − μ)² + β₁ s_{t−1}².

    A flat density on α₁ > 0, β₁ > 0, α₁ + β₁ < 1 is one on the simplex of (α₁, β₁, 1 − α₁ − β₁), so that no
    site's support depends on another site.
    """
    y, first = data["y"], data["sigma1"].square()

    def model() -> None:
        mu, alpha0 = pyro.sample("mu", flat()), pyro.sample("alpha0", flat_positive())
        alpha1, beta1, _ = pyro.sample("weights", dist.Dirichlet(y.new_ones(3))).unbind(-1)
        mu, alpha0, alpha1 = mu.unsqueeze(-1), alpha0.unsqueeze(-1), alpha1.unsqueeze(-1)
        shocks = alpha0 + alpha1 * (y[:-1] - mu).square()
        start = first.expand(shocks.shape[:-1]).unsqueeze(-1)
        variance = discounted_sums(torch.cat([start, shocks], dim=-1), beta1.unsqueeze(-1))
        pyro.sample("y", dist.Normal(mu, variance.sqrt()).to_event(1), obs=y)

    return model


def discounted_sums(values: Tensor, factor: Tensor) -> Tensor:
    """x_t = a_t + b x_{t−1} for all t of the last dimension, in log₂ T steps.

    The sum of the last 2n terms, bʲ a_{t−j}, is that of the last n and bⁿ times that of the n before them.
    """
    terms = 1
    while terms < values.shape[-1]:
        values = values + factor**terms * pad(values[..., :-terms], (terms, 0))
        terms *= 2
    return values


def hidden_markov(data: Data) -> Model:
    """A Markov chain of states, each with two exponential observations; the states are summed out.

    The chain may start in any state, each with weight 1, and no transition stands before the first
    observation: its densities are the weights with which the chain of the others starts.
    """
    drives, concentration = torch.stack([data["u"], data["v"]], dim=-1), data["alpha"]
    states = len(concentration)
    rate = Restricted(normal([0.0, 3.0], 1.0), constraints.positive_ordered_vector)

    def model() -> None:
        rows = [
            pyro.sample(f"theta{state + 1}", dist.Dirichlet(concentration[state])) for state in range(states)
        ]
        rates = torch.stack([pyro.sample("phi", rate), pyro.sample("lambda", rate)], dim=-1)
        first = dist.Exponential(rates).to_event(1).log_prob(drives[0])
        pyro.factor("first", first.logsumexp(-1))
        transition = torch.stack(rows, dim=-2).log().unsqueeze(-3)  # the same at all times
        emission = dist.Exponential(rates.unsqueeze(-3)).to_event(1)
        rest = dist.DiscreteHMM(first, transition, emission, duration=len(drives) - 1)
        pyro.sample("rest", rest, obs=drives[1:])

    return model
