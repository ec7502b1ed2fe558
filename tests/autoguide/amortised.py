"""Models whose posterior is known for any data, to train amortised guides on."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import Trace_ELBO
from torch import Tensor

from bayeshyper import AutoHypernetwork


def local(y: Tensor, scale: Tensor, size: int | None = None, dim: int = -1) -> None:
    """θ_i ~ N(0, 1), y_i ~ N(θ_i, s_i): rows of a larger data set where its size is given."""
    with pyro.plate("rows", size or len(y), subsample_size=len(y), dim=dim):
        shape = (-1, *[1] * (-1 - dim))
        theta = pyro.sample("theta", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(theta, scale.reshape(shape)), obs=y.reshape(shape))


def local_context(y: Tensor, scale: Tensor, *_: Any) -> Tensor:
    return torch.stack([y, scale.log()], dim=-1)


def local_exact(y: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    variance = scale.square() / (1.0 + scale.square())
    return y * variance / scale.square(), variance.sqrt()


def local_data(rows: int) -> tuple[Tensor, Tensor]:
    scale = torch.exp(0.5 * torch.randn(rows))
    return torch.randn(rows) + scale * torch.randn(rows), scale


def pooled(y: Tensor) -> None:
    """One mean of all rows."""
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y)


def pooled_context(y: Tensor) -> Tensor:
    return torch.stack([y.mean(), torch.tensor(len(y)).log()])


def pooled_exact(y: Tensor) -> tuple[float, float]:
    variance = 1.0 / (len(y) + 1.0)
    return (variance * y.sum()).item(), math.sqrt(variance)


def pooled_data() -> tuple[Tensor]:
    rows = int(torch.randint(1, 10, ()))
    return (torch.randn(()) + torch.randn(rows),)


def train(
    model: Callable[..., Any],
    guide: AutoHypernetwork,
    data: Callable[[], tuple[Any, ...]],
    steps: int,
    particles: int = 1,
) -> None:
    """On data that are new in each step, as an amortised guide has them."""
    elbo = Trace_ELBO(particles, vectorize_particles=True, max_plate_nesting=1)
    guide(*data())
    optimizer = torch.optim.Adam(guide.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        elbo.differentiable_loss(model, guide, *data()).backward()
        optimizer.step()
        schedule.step()


@functools.cache
def guide_of_rows() -> AutoHypernetwork:
    """Trained on `local`, rows of which are never seen twice; whichever test comes first."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        guide = AutoHypernetwork(local, context=local_context, noise_dim=1, hidden=(16, 16))
        train(local, guide, lambda: local_data(64), 400)
    return guide
