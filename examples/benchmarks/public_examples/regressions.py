"""Lines through rows: Pyro's tutorials on regression and on modules, and its example of mini-batches."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoDiagonalNormal, AutoMultivariateNormal, AutoNormal, init_to_mean
from pyro.nn import PyroModule, PyroSample
from pyro.optim import Adam
from torch import Tensor

from .kind import PublicExample, generator


def ruggedness() -> tuple[Tensor, Tensor, Tensor]:
    """170 nations, 49 of them in Africa: (in Africa, ruggedness, log GDP), drawn near the posterior mean."""
    g = generator()
    africa = (torch.arange(170) < 49).float()
    rugged = torch.distributions.Exponential(0.75).icdf(torch.rand(170, generator=g)).clamp(max=6.2)
    mean = 9.2 - 1.9 * africa - 0.19 * rugged + 0.35 * africa * rugged
    return africa, rugged, mean + 0.95 * torch.randn(170, generator=g)


def gdp(africa: Tensor, rugged: Tensor, log_gdp: Tensor | None = None) -> None:
    """A regression on ruggedness, Africa and both."""
    a = pyro.sample("a", dist.Normal(0.0, 10.0))
    b_africa = pyro.sample("bA", dist.Normal(0.0, 1.0))
    b_rugged = pyro.sample("bR", dist.Normal(0.0, 1.0))
    b_both = pyro.sample("bAR", dist.Normal(0.0, 1.0))
    sigma = pyro.sample("sigma", dist.Uniform(0.0, 10.0))
    mean = a + b_africa * africa + b_rugged * rugged + b_both * africa * rugged
    with pyro.plate("data", len(rugged)):
        pyro.sample("obs", dist.Normal(mean, sigma), obs=log_gdp)


def introduction() -> PublicExample:
    """The introduction to Pyro: mean field."""
    return PublicExample(
        "pyro-ppl/pyro tutorial/source/intro_long.ipynb",
        gdp,
        ruggedness(),
        AutoNormal,
        lambda: Adam({"lr": 0.02}),
        steps=1000,
    )


def full_covariance() -> PublicExample:
    """The second part of the tutorial on Bayesian regression."""
    return PublicExample(
        "pyro-ppl/pyro tutorial/source/bayesian_regression_ii.ipynb",
        gdp,
        ruggedness(),
        partial(AutoMultivariateNormal, init_loc_fn=init_to_mean),
        lambda: Adam({"lr": 0.01}),
        steps=5000,
    )


class LinearLayer(PyroModule):
    """bias + x·weight with priors on both."""

    def __init__(self, inputs: int, outputs: int, bias: dist.Distribution) -> None:
        super().__init__()
        self.weight = PyroSample(dist.Normal(0.0, 1.0).expand([inputs, outputs]).to_event(2))
        self.bias = PyroSample(bias.expand([outputs]).to_event(1))

    def forward(self, x: Tensor) -> Tensor:
        """The outputs, ``(N, outputs)``."""
        outputs: Tensor = self.bias + x @ self.weight
        return outputs


class ModuleRegression(PyroModule):
    """A linear layer with random weights, and a noise that is one latent."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = LinearLayer(3, 1, dist.Normal(0.0, 10.0))

    def forward(self, x: Tensor, y: Tensor) -> None:
        """Observe y, ``(N,)``."""
        sigma = pyro.sample("sigma", dist.Uniform(0.0, 10.0))
        mean = self.linear(x).squeeze(-1)
        with pyro.plate("data", len(x)):
            pyro.sample("obs", dist.Normal(mean, sigma), obs=y)


def module_regression() -> PublicExample:
    """The first part of the tutorial on Bayesian regression: weights of a module."""
    africa, rugged, log_gdp = ruggedness()
    return PublicExample(
        "pyro-ppl/pyro tutorial/source/bayesian_regression.ipynb",
        ModuleRegression(),
        (torch.stack([africa, rugged, africa * rugged], -1), log_gdp),
        AutoDiagonalNormal,
        lambda: Adam({"lr": 0.03}),
        steps=1500,
        vectorized=False,
    )


class NestedModules(PyroModule):
    """Two outputs of five inputs with positive biases."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = LinearLayer(5, 2, dist.LogNormal(0.0, 1.0))
        self.obs_scale = PyroSample(dist.LogNormal(0.0, 1.0))

    def forward(self, x: Tensor, y: Tensor) -> None:
        """Observe y, ``(N, 2)``."""
        loc, scale = self.linear(x), self.obs_scale
        with pyro.plate("instances", len(x)):
            pyro.sample("obs", dist.Normal(loc, scale).to_event(1), obs=y)


def nested_modules() -> PublicExample:
    """The tutorial on modules; like there, 100 rows of the model itself."""
    g = generator()
    x = torch.randn(100, 5, generator=g)
    weight, bias = torch.randn(5, 2, generator=g), torch.randn(2, generator=g).exp()
    y = x @ weight + bias + 0.7 * torch.randn(100, 2, generator=g)
    return PublicExample(
        "pyro-ppl/pyro tutorial/source/modules.ipynb",
        NestedModules(),
        (x, y),
        AutoNormal,
        lambda: Adam({"lr": 0.01}),
        steps=501,
        vectorized=False,
    )


def one_feature(x: Tensor, y: Tensor) -> None:
    """A line through 10 000 rows that come in batches."""
    coeff = pyro.sample("coeff", dist.Normal(0.0, 1.0))
    bias = pyro.sample("bias", dist.Normal(0.0, 1.0))
    scale = pyro.sample("scale", dist.LogNormal(0.0, 1.0))
    with pyro.plate("data", 10_000, len(x)):
        pyro.sample("obs", dist.Normal(bias + coeff * x, scale), obs=y)


def minibatches() -> PublicExample:
    """Ten epochs of batches of 100 rows, in order; like there, rows of the model itself."""
    g = generator()
    x = torch.randn(10_000, generator=g)
    y = 0.8 * x - 0.4 + 1.3 * torch.randn(10_000, generator=g)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from zip(x.split(100), y.split(100), strict=True)

    return PublicExample(
        "pyro-ppl/pyro examples/svi_torch.py",
        one_feature,
        (x, y),
        AutoNormal,
        lambda: Adam({"lr": 0.01}),
        steps=1000,
        batches=batches,
    )
