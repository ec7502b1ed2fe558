"""Discrete states that are summed out: Pyro's capture–recapture models and the mixture of its enumeration."""

from __future__ import annotations

from functools import partial

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO, config_enumerate
from pyro.infer.autoguide import AutoDiagonalNormal, AutoNormal
from pyro.ops.indexing import Vindex
from pyro.optim import Adam
from torch import Tensor

from .kind import Model, PublicExample, generator

ONE_PLATE = partial(TraceEnum_ELBO, max_plate_nesting=1)


def birds() -> tuple[Tensor, Tensor]:
    """294 dippers on 7 occasions, caught (N, T), and their sex (N,); survival 0.56, recapture 0.9."""
    g = generator()
    count, occasions = 294, 7
    first = torch.randint(occasions - 1, (count,), generator=g)
    caught = torch.zeros(count, occasions)
    alive = torch.ones(count)
    for t in range(occasions):
        survives = torch.rand(count, generator=g) < 0.56
        alive = torch.where(t > first, alive * survives, alive)
        seen = (torch.rand(count, generator=g) < 0.9) & (alive > 0)
        caught[:, t] = torch.where(t == first, True, seen & (t > first)).float()
    return caught, (torch.rand(count, generator=g) < 0.5).float()


def follow(caught: Tensor, survival: list[Tensor], recapture: Tensor) -> None:
    """Alive or not at each occasion, given the survival to it, from each bird's first capture on."""
    count, occasions = caught.shape
    alive = torch.ones(count)
    known = torch.zeros(count).bool()
    animals = pyro.plate("animals", count, dim=-1)
    for t in pyro.markov(range(occasions)):
        with animals, poutine.mask(mask=known):
            lives = torch.where(known, survival[t] * alive, 1.0)
            alive = pyro.sample(f"z_{t}", dist.Bernoulli(lives), infer={"enumerate": "parallel"})
            pyro.sample(f"y_{t}", dist.Bernoulli(recapture * alive), obs=caught[:, t])
        known = known | caught[:, t].bool()


def constant_survival(caught: Tensor, sex: Tensor) -> None:
    """One survival and one recapture probability."""
    phi = pyro.sample("phi", dist.Uniform(0.0, 1.0))
    rho = pyro.sample("rho", dist.Uniform(0.0, 1.0))
    follow(caught, [phi] * caught.shape[1], rho)


def random_survival(caught: Tensor, sex: Tensor) -> None:
    """A survival for each interval, from a population of them."""
    mean = pyro.sample("phi_mean", dist.Uniform(0.0, 1.0))
    sigma = pyro.sample("phi_sigma", dist.Uniform(0.0, 10.0))
    rho = pyro.sample("rho", dist.Uniform(0.0, 1.0))
    survival = [torch.tensor(0.5)]
    for t in range(1, caught.shape[1]):
        survival.append(pyro.sample(f"phi_logit_{t}", dist.Normal(torch.logit(mean), sigma)).sigmoid())
    follow(caught, survival, rho)


def survival_by_sex(caught: Tensor, sex: Tensor) -> None:
    """Effects of sex and of each interval on the logit of survival."""
    beta = sex * pyro.sample("phi_beta", dist.Normal(0.0, 10.0))
    rho = pyro.sample("rho", dist.Uniform(0.0, 1.0))
    survival = [beta.sigmoid()]
    for t in range(1, caught.shape[1]):
        survival.append((beta + pyro.sample(f"phi_gamma_{t}", dist.Normal(0.0, 10.0))).sigmoid())
    follow(caught, survival, rho)


def capture_recapture(model: Model) -> PublicExample:
    """One of the Cormack–Jolly–Seber models; the file's dippers are not at hand, so these are drawn."""
    return PublicExample(
        "pyro-ppl/pyro examples/capture_recapture/cjs.py",
        model,
        birds(),
        AutoDiagonalNormal,
        lambda: Adam({"lr": 0.002}),
        steps=400,
        guided=poutine.block(model, expose_fn=lambda site: site["name"][:3] in ("phi", "rho")),
        elbo=ONE_PLATE,
        particles=20,
    )


@config_enumerate  # type: ignore[untyped-decorator]
def three_components(y: Tensor) -> None:
    """Weights, locations and one scale of three components."""
    weights = pyro.sample("p", dist.Dirichlet(0.5 * torch.ones(3)))
    scale = pyro.sample("scale", dist.LogNormal(0.0, 3.0))
    locs = pyro.sample("loc", dist.Normal(torch.zeros(3), 10.0).to_event(1))
    with pyro.plate("data", len(y)):
        k = pyro.sample("x", dist.Categorical(weights))
        pyro.sample("obs", dist.Normal(Vindex(locs)[..., k], scale), obs=y)


def mixture() -> PublicExample:
    """The mixture of the tutorial on enumeration, on rows with clusters; it only takes the ELBO once there.

    Trained as the tutorial on mixtures does it, for 200 steps at a rate of 0.1.
    """
    g = generator()
    centres = torch.tensor([-6.0, 0.0, 5.0])[torch.arange(60) % 3]
    return PublicExample(
        "pyro-ppl/pyro tutorial/source/enumeration.ipynb",
        three_components,
        (centres + torch.randn(60, generator=g),),
        AutoNormal,
        lambda: Adam({"lr": 0.1, "betas": (0.8, 0.99)}),
        steps=200,
        guided=poutine.block(three_components, hide=["x", "data"]),
        elbo=ONE_PLATE,
    )
