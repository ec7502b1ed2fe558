"""Small Pyro models, one for each thing a guide has to cope with."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import config_enumerate
from pyro.nn import PyroModule, PyroSample
from pyro.ops.indexing import Vindex
from torch import Tensor, nn


def every_support() -> Tensor:
    """A latent of every usual support, as scalars, events and in plates; nothing is observed but a factor."""
    real = pyro.sample("real", dist.Normal(0.0, 1.0))
    pyro.sample("positive", dist.LogNormal(0.0, 1.0))
    pyro.sample("interval", dist.Uniform(-1.0, 3.0))
    pyro.sample("vector", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    pyro.sample("simplex", dist.Dirichlet(torch.full((3,), 2.0)))
    pyro.sample("corr", dist.LKJCholesky(3, torch.tensor(2.0)))
    with pyro.plate("columns", 2, dim=-1):
        pyro.sample("rates", dist.Gamma(2.0, 1.0))
        with pyro.plate("rows", 4, dim=-2):
            pyro.sample("table", dist.Normal(real, 1.0))
            pyro.sample("events", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    pyro.factor("tilt", -0.1 * real**2)
    return real


EVERY_SHAPE = {
    "real": (),
    "positive": (),
    "interval": (),
    "vector": (2,),
    "simplex": (3,),
    "corr": (3, 3),
    "rates": (2,),
    "table": (4, 2),
    "events": (4, 2, 3),
}


def two_sites() -> None:
    """Two plain latents and no arguments."""
    pyro.sample("x", dist.Normal(1.0, 0.5))
    pyro.sample("y", dist.Normal(torch.tensor([0.0, 2.0]), 0.5).to_event(1))


def conjugate(y: Tensor) -> Tensor:
    """z ~ LogNormal(0, 1), yᵢ ~ LogNormal(ln z, 1): normal-normal seen through the exponential."""
    z: Tensor = pyro.sample("z", dist.LogNormal(0.0, 1.0))
    with pyro.plate("data", len(y)):
        pyro.sample("obs", dist.LogNormal(z.log(), 1.0), obs=y)
    return z


def conjugate_evidence(y: Tensor) -> float:
    """ln p(y) of `conjugate`: ln y ~ N(0, I + 11ᵀ), and a Jacobian −Σ ln yᵢ."""
    n = len(y)
    cov = torch.eye(n) + torch.ones(n, n)
    log_y = y.log()
    return float(dist.MultivariateNormal(torch.zeros(n), cov).log_prob(log_y) - log_y.sum())


class LinearRegression(PyroModule):
    """A linear layer with priors on its weights, as Pyro's tutorials write it."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = PyroModule[nn.Linear](features, 1)
        self.linear.weight = PyroSample(dist.Normal(0.0, 1.0).expand([1, features]).to_event(2))
        self.linear.bias = PyroSample(dist.Normal(0.0, 10.0).expand([1]).to_event(1))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The mean of each row; the site "obs" is drawn where no y is given."""
        sigma = pyro.sample("sigma", dist.Uniform(0.0, 10.0))
        mean: Tensor = self.linear(x).squeeze(-1)
        with pyro.plate("data", len(x)):
            pyro.sample("obs", dist.Normal(mean, sigma), obs=y)
        return mean


REGRESSION_SITES = {"sigma": (), "linear.weight": (1, 2), "linear.bias": (1,)}


def regression_data(rows: int = 30) -> tuple[Tensor, Tensor]:
    """Inputs (N, 2) and targets (N,) of a plane with noise 0.5."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 2, generator=generator)
    y = x @ torch.tensor([1.0, -2.0]) + 0.5 + 0.5 * torch.randn(rows, generator=generator)
    return x, y


def with_parameters(y: Tensor) -> None:
    """A model with a parameter of its own, to be learned beside the guide."""
    scale = pyro.param("noise", lambda: torch.tensor(2.0), constraint=constraints.positive)
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    with pyro.plate("data", len(y)):
        pyro.sample("obs", dist.Normal(loc, scale), obs=y)


def shared_mean(y: Tensor, batch: int | None = None) -> None:
    """A global latent and rows that are taken in subsamples by Pyro itself."""
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    with pyro.plate("data", len(y), subsample_size=batch):
        pyro.sample("obs", dist.Normal(loc, 1.0), obs=pyro.subsample(y, event_dim=0))


def row_means(y: Tensor, batch: int | None = None) -> None:
    """A global latent, and one latent for each row that is in the subsample."""
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    with pyro.plate("data", len(y), subsample_size=batch):
        mean = pyro.sample("mean", dist.Normal(loc, 1.0))
        scale = pyro.sample("scale", dist.LogNormal(0.0, 0.5))
        pyro.sample("obs", dist.Normal(mean, scale), obs=pyro.subsample(y, event_dim=0))


def given_rows(y: Tensor, rows: Tensor, size: int) -> None:
    """Rows handed over by a data loader: the plate is told which they are."""
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    with pyro.plate("data", size, subsample=rows):
        mean = pyro.sample("mean", dist.Normal(loc, 1.0))
        pyro.sample("obs", dist.Normal(mean, 1.0), obs=y)


def plates_of_given_rows(y: Tensor, rows: Tensor, size: int) -> pyro.plate:
    """What ``create_plates=`` wants for `given_rows`."""
    return pyro.plate("data", size, subsample=rows)


@config_enumerate  # type: ignore[untyped-decorator]
def mixture(y: Tensor) -> None:
    """Two components and an assignment of every row, which is summed over."""
    weights = pyro.sample("weights", dist.Dirichlet(torch.full((2,), 2.0)))
    scale = pyro.sample("scale", dist.LogNormal(0.0, 1.0))
    locs = pyro.sample("locs", dist.Normal(torch.zeros(2), 10.0).to_event(1))
    with pyro.plate("data", len(y)):
        k = pyro.sample("assignment", dist.Categorical(weights))
        pyro.sample("obs", dist.Normal(Vindex(locs)[..., k], scale), obs=y)


def continuous_part() -> object:
    """`mixture` with its assignments hidden, which is what an autoguide is given."""
    return poutine.block(mixture, hide=["assignment"])


def every_site_is_positive() -> None:
    """A gamma in a plate of three: the site of which a Delta would lose the Jacobian."""
    with pyro.plate("three", 3):
        pyro.sample("rate", dist.Gamma(3.0, 2.0))
