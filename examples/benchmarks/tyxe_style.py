"""Mean-field variational inference in Pyro as TyXe does it (Ritter et al. 2022), for its time per step.

One `PyroSample` per tensor of a `PyroModule`, an AutoNormal guide with one site per tensor, closed-form KL,
and a loop over particles: what ``tyxe.VariationalBNN(...).fit(num_particles=S)`` runs, written out so that
the benchmark needs Pyro alone. Pyro's validation is off, its faster setting.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule, PyroSample
from torch import Tensor, nn


class BNN(PyroModule):
    """One hidden layer of ReLU units, with the same prior and likelihood as ours."""

    def __init__(self, features: int, units: int, num_data: int) -> None:
        super().__init__()
        self.num_data = num_data
        self.first = _linear(features, units)
        self.last = _linear(units, 1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Declare the sites for a batch."""
        loc = self.last(torch.relu(self.first(x))).squeeze(-1)
        scale = pyro.sample("log_scale", dist.Normal(-1.5, 1.0)).exp()
        with pyro.plate("data", self.num_data, subsample=torch.arange(len(x))):
            return pyro.sample("obs", dist.Normal(loc, scale), obs=y)


def _linear(fan_in: int, fan_out: int) -> PyroModule:
    layer = PyroModule[nn.Linear](fan_in, fan_out)
    layer.weight = PyroSample(dist.Normal(0.0, math.sqrt(2 / fan_in)).expand([fan_out, fan_in]).to_event(2))
    layer.bias = PyroSample(dist.Normal(0.0, 1.0).expand([fan_out]).to_event(1))
    return layer


def tyxe_step(features: int, units: int, num_data: int, particles: int) -> Callable[[Tensor, Tensor], None]:
    """A training step on a batch ``x (B, F)``, ``y (B,)``."""
    pyro.clear_param_store()
    model = BNN(features, units, num_data)
    svi = SVI(model, AutoNormal(model), pyro.optim.Adam({"lr": 1e-3}), TraceMeanField_ELBO(particles))

    def step(x: Tensor, y: Tensor) -> None:
        with pyro.validation_enabled(False):
            svi.step(x, y)

    return step
