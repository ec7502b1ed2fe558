"""Pyro's own guides in their usual form: AutoNormal, AutoLowRankMultivariateNormal and AutoIAFNormal.

The same network, prior and likelihood as ours, as a user of Pyro writes them: mini-batches under a plate,
stock SVI with one particle, ClippedAdam with a decaying rate, and a mixture of 500 draws to predict.

Learning rates (3e-3 to 1e-1), first scales (0.01, 0.05, 0.1) and the number of steps were chosen by the log
likelihood of a tenth of the training rows of concrete and energy, split 0. Twice as many steps as 5 000 gave
0.05 more on concrete and 0.2 on energy. The flow has D² weights of its own and takes some 20 ms a step here,
ten times a Gaussian's; at a rate of 1e-2 it diverges.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from bnn import LOG_SCALE_DEVIATION, LOG_SCALE_MEAN, MIN_SCALE, function, functions, size, widths
from interface import Array, Fit, GaussianMixture, Method, Setup, Standardized
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoGuide, AutoIAFNormal, AutoLowRankMultivariateNormal, AutoNormal
from pyro.infer.autoguide.initialization import init_to_sample
from pyro.optim import ClippedAdam
from torch import Tensor

BATCH = 256
STEPS = 10_000
DECAY = 0.01  # of the learning rate, from the first step to the last
DRAWS = 500
INITIAL_SCALE = 0.01

Model = Callable[[Tensor, Tensor], None]


def normal(model: Model) -> AutoGuide:
    """Mean field."""
    return AutoNormal(model, init_loc_fn=init_to_sample, init_scale=INITIAL_SCALE)


def low_rank(model: Model) -> AutoGuide:
    """A Gaussian of rank √D and a diagonal, as is Pyro's default."""
    return AutoLowRankMultivariateNormal(model, init_loc_fn=init_to_sample, init_scale=INITIAL_SCALE)


def iaf(model: Model) -> AutoGuide:
    """One inverse autoregressive flow (Kingma et al. 2016) whose network is as wide as D, Pyro's default.

    It starts from N(0, I), the prior: Pyro has no other start for it.
    """
    return AutoIAFNormal(model)


def guided(guide: Callable[[Model], AutoGuide], learning_rate: float, steps: int = STEPS) -> Method:
    """The method that fits a guide."""

    def method(X: Any, y: Array, seed: int, setup: Setup) -> Fit:
        pyro.clear_param_store()
        pyro.set_rng_seed(seed)
        data = Standardized(X, y)
        units = widths(data.x.shape[1], setup.hidden)
        made = guide(network(units, len(y)))
        train(network(units, len(y)), made, data, learning_rate, steps)
        with torch.no_grad():
            draws = [made(data.x[:1], data.y[:1]) for _ in range(DRAWS)]
        u, log_scale = (torch.stack([draw[name] for draw in draws]) for name in ("u", "log_scale"))

        def predictive(X_new: Any) -> GaussianMixture:
            values = functions(u, data.encode(X_new), units)
            return data.mixture(values, log_scale.exp()[:, None] + MIN_SCALE)

        return Fit(predictive, steps)

    return method


def network(units: tuple[int, ...], rows: int) -> Model:
    """The Pyro model of mini-batches out of so many rows."""

    def model(x: Tensor, y: Tensor) -> None:
        u = pyro.sample("u", dist.Normal(torch.zeros(size(units)), 1.0).to_event(1))
        log_scale = pyro.sample("log_scale", dist.Normal(LOG_SCALE_MEAN, LOG_SCALE_DEVIATION))
        with pyro.plate("rows", rows, subsample_size=len(x)):
            pyro.sample("obs", dist.Normal(function(u, x, units), log_scale.exp() + MIN_SCALE), obs=y)

    return model


def train(model: Model, guide: AutoGuide, data: Standardized, learning_rate: float, steps: int) -> None:
    """Stock SVI; draws its rows from torch's own generator."""
    optimizer = ClippedAdam(
        {"lr": learning_rate, "lrd": math.exp(math.log(DECAY) / steps), "clip_norm": 10.0}
    )
    svi = SVI(model, guide, optimizer, Trace_ELBO())
    count = len(data.y)
    for _ in range(steps):
        rows = torch.randint(count, (BATCH,)) if count > BATCH else torch.arange(count)
        svi.step(data.x[rows], data.y[rows])


auto_normal = guided(normal, learning_rate=3e-2)
auto_low_rank = guided(low_rank, learning_rate=3e-2)
auto_iaf = guided(iaf, learning_rate=3e-3)
