"""Densities known exactly, as Pyro models without data: log p is normalised, so that the ELBO is −KL(q‖p).

No bound on the ELBO may be above 0: an estimator of the entropy that puts it there is wrong by that much.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from bayeshyper.threads import seeded

__all__ = ["TARGETS", "Circle", "KnownTarget"]

WIDTH = 3.0  # the standard deviation of the funnel's v
NARROWED = 9  # how many numbers' scale it is
RADIUS = 4.0  # of the circle


@dataclass(frozen=True)
class KnownTarget:
    """A model that draws its target when it is run, and the target's moments.

    Args:
        name: What it is called in tables.
        model: Takes no arguments, and has no observed site.
        mean: Of all numbers in the order of the sites, ``(D,)``.
        sd: Their standard deviations, ``(D,)``.

    Example:
        >>> TARGETS["banana"].draws(1000, seed=0).shape
        torch.Size([1000, 2])
    """

    name: str
    model: Callable[[], None]
    mean: Tensor
    sd: Tensor

    def draws(self, count: int, seed: int) -> Tensor:
        """Independent draws, ``(count, D)``."""
        with seeded(seed), torch.no_grad(), pyro.plate("draws", count, dim=-1):
            trace = poutine.trace(self.model).get_trace()
        sites = trace.iter_stochastic_nodes()
        return torch.cat([node["value"].reshape(count, -1) for name, node in sites if name != "draws"], dim=1)


class Circle(TorchDistribution):
    """A point on a circle of radius R, seen with noise of variance 1: it has a hole, unlike any Gaussian.

    With r = ‖x‖, log p(x) = −½(r − R)² + log(e^−rR I₀(rR)) − log 2π, I₀ a Bessel function: the mean over the
    circle of N(x; point, I).

    Args:
        radius: R.
        batch_shape: Of independent ones.

    Example:
        >>> Circle(0.0).log_prob(torch.zeros(2))  # of a point at its mean: −log 2π
        tensor(-1.8379)
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, radius: float, batch_shape: torch.Size | tuple[int, ...] = ()) -> None:
        self.radius = radius
        super().__init__(torch.Size(batch_shape), torch.Size([2]), validate_args=False)

    def expand(self, batch_shape: torch.Size, _instance: Circle | None = None) -> Circle:
        """As many as asked for."""
        return Circle(self.radius, batch_shape)

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws ``(…, 2)``."""
        shape = torch.Size(sample_shape) + self.batch_shape
        angle = 2.0 * math.pi * torch.rand(shape)
        return self.radius * torch.stack([angle.cos(), angle.sin()], dim=-1) + torch.randn(*shape, 2)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p of points ``(…, 2)``."""
        r = value.norm(dim=-1)
        density = torch.special.i0e(self.radius * r).log() - 0.5 * (r - self.radius).square()
        return density - math.log(2.0 * math.pi)


def mixture(distance: float, share: float) -> KnownTarget:
    """Two standard Normal densities in the plane, so far apart; the left one with a share of the mass."""

    def model() -> None:
        centers = torch.tensor([[-0.5 * distance, 0.0], [0.5 * distance, 0.0]])
        logits = torch.tensor([share, 1.0 - share]).log()
        pyro.sample("x", dist.MixtureOfDiagNormals(centers, torch.ones(2, 2), logits))

    mean = torch.tensor([(0.5 - share) * distance, 0.0])
    sd = torch.tensor([1.0 + share * (1.0 - share) * distance**2, 1.0]).sqrt()
    shares = f"{share:.0%} and {1.0 - share:.0%}"
    return KnownTarget(f"mixture, {shares}, {distance:g} sd apart", model, mean, sd)


def banana() -> KnownTarget:
    """x₁ ~ N(0, 1) and x₂ ~ N(x₁² − 1, ½²)."""

    def model() -> None:
        first = pyro.sample("x1", dist.Normal(0.0, 1.0))
        pyro.sample("x2", dist.Normal(first.square() - 1.0, 0.5))

    # Var x₁² = 2.
    return KnownTarget("banana", model, torch.zeros(2), torch.tensor([1.0, 2.0 + 0.25]).sqrt())


def funnel() -> KnownTarget:
    """v ~ N(0, 3²) and x_i ~ N(0, exp v), i = 1 … 9: the scale of nine numbers is the tenth (Neal 2003)."""

    def model() -> None:
        v = pyro.sample("v", dist.Normal(0.0, WIDTH))
        scale = (0.5 * v).exp().unsqueeze(-1).expand(*v.shape, NARROWED)
        pyro.sample("x", dist.Normal(0.0, scale).to_event(1))

    # Var x = E exp v.
    sd = torch.tensor([WIDTH, *[math.exp(0.25 * WIDTH**2)] * NARROWED])
    return KnownTarget("funnel", model, torch.zeros(1 + NARROWED), sd)


def circle() -> KnownTarget:
    """A circle of radius 4 with noise of scale 1."""

    def model() -> None:
        pyro.sample("x", Circle(RADIUS))

    return KnownTarget("circle", model, torch.zeros(2), torch.full((2,), 1.0 + 0.5 * RADIUS**2).sqrt())


TARGETS = {
    "mixture": mixture(4.0, 0.5),
    "far mixture": mixture(8.0, 0.5),
    "unequal mixture": mixture(8.0, 0.2),
    "banana": banana(),
    "funnel": funnel(),
    "circle": circle(),
}
