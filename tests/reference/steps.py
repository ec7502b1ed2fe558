"""One training step of the library and the same step by hand, to be timed beside each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork, HypernetworkSettings
from bayeshyper.inference import ImplicitGuide, elbo_terms
from bayeshyper.inference.clipping import clip_gradients
from bayeshyper.models import MLP, BayesianModel, FanInPrior, Gaussian, Target

from .floor import Floor, Noise, clip_by_member

__all__ = ["Shape", "floor_step", "library_step"]

FEATURES, ROWS = 8, 1000

Step = Callable[[Tensor, Tensor], None]


@dataclass(frozen=True)
class Shape:
    """What decides the cost of a step: M, S of each member, the batch's rows, the network, the posterior."""

    members: int = 1
    particles: int = 8
    rows: int = 128
    units: int = 50
    noise_dim: int = 8
    trunk: tuple[int, ...] = (32, 32)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Rows to step on."""
        return torch.randn(self.rows, FEATURES), torch.randn(self.rows)


def library_step(shape: Shape, *, local: bool = True) -> Step:
    """A step as `bayeshyper.inference.fit` takes it."""
    target = Target(MLP(FEATURES, 1, hidden=(shape.units,)))
    particles = shape.members * shape.particles
    model = BayesianModel(target, FanInPrior(), Gaussian(), num_data=ROWS, particles=particles)
    settings = HypernetworkSettings(noise_dim=shape.noise_dim, hidden=shape.trunk)
    mean = torch.zeros(shape.members, model.spec.size)
    guide = ImplicitGuide(model, Hypernetwork(mean, model.prior.scale, settings), local=local)
    optimizer = torch.optim.Adam(guide.parameters(), lr=1e-3, fused=True)

    def step(x: Tensor, y: Tensor) -> None:
        terms = elbo_terms(model, guide, x, y)
        terms.check(1)
        optimizer.zero_grad()
        (terms.loss / ROWS).backward()
        clip_gradients(guide.hypernetwork.parameters(), 10.0, 1)
        optimizer.step()

    return step


def floor_step(shape: Shape) -> Step:
    """The same arithmetic in plain torch."""
    floor = Floor(FEATURES, shape.units, noise_dim=shape.noise_dim, trunk=shape.trunk, members=shape.members)
    parameters = list(floor.parameters())
    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)

    def step(x: Tensor, y: Tensor) -> None:
        loss = -floor.elbo(x, y, ROWS, Noise.draw(floor, shape.particles, len(x))).mean() / ROWS
        loss.item()  # the library, too, looks at its loss before it steps
        optimizer.zero_grad()
        loss.backward()
        clip_by_member(iter(parameters), 10.0)
        optimizer.step()

    return step
