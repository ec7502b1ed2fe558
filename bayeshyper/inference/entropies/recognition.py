"""A guess of the noise behind a weight vector, from the weights alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bayeshyper.hypernets import Hypernetwork
from bayeshyper.hypernets.context import ContextShift

from .views import NoiseView, Place

__all__ = ["Recognition"]


class Recognition(nn.Module):
    """Mean and precision of a Gaussian τ(z | θ), one for each draw; members are independent copies.

    A small tanh network adds to the first guess that the view of the weights has (`views`). Then a few
    Newton steps with the expected curvature P, up the log of q(z | θ):

        z ← z + P⁻¹ ∇_z log q(z | θ)

    One of them ends at q(z | θ)'s mean where φ is affine and σ constant, wherever it starts; one that leads
    downhill is not taken.

    Args:
        hypernetwork: Gives the sizes.
        hidden: Units of the tanh layer.
        newton_steps: How many Newton steps; 0 leaves the network's guess.
    """

    def __init__(self, hypernetwork: Hypernetwork, *, hidden: int, newton_steps: int) -> None:
        super().__init__()
        if hidden < 1 or newton_steps < 0:
            raise ValueError(
                f"Got hidden = {hidden} and newton_steps = {newton_steps}, expected at least 1 and 0."
            )
        trunk, members = hypernetwork.trunk, hypernetwork.members
        self.newton_steps = newton_steps
        like = hypernetwork.mean.detach()
        generator = torch.Generator(device=like.device).manual_seed(0)  # nobody else's random state moves
        inputs = trunk.features if hypernetwork.linear else hypernetwork.size
        first = like.new_empty(members, hidden, inputs)
        first.normal_(0.0, 1.0 / math.sqrt(max(inputs, 1)), generator=generator)
        self.first = nn.Parameter(first)
        self.bias = nn.Parameter(like.new_zeros(members, 1, hidden))
        self.shift = ContextShift(trunk.context, hidden, members).to(like) if trunk.context else None
        self.last = nn.Parameter(like.new_zeros(members, trunk.noise_dim, hidden))

    def fix_context(self, context: Tensor) -> None:
        """See one context ``(M, 1, C)`` from now on, as part of the biases."""
        if self.shift is not None:
            self.shift.fix(self, "bias", context)
            self.shift = None

    def forward(self, view: NoiseView) -> tuple[Tensor, Tensor]:
        """The mean ``(M, R, d)``, and the lower Cholesky factor ``(M, R, d, d)`` of the precision."""
        bias: Tensor = self.bias
        if self.shift is not None:
            bias = bias + self.shift(view.context)
        units = torch.tanh(torch.baddbmm(bias, view.inputs.to(self.first.dtype), self.first.mT))
        place = view.look(view.guess + units @ self.last.mT)
        for _ in range(self.newton_steps):
            step = torch.cholesky_solve(place.gradient.unsqueeze(-1), place.factor).squeeze(-1)
            other = view.look(place.z + step)
            higher = other.height > place.height
            place = Place(*(_where(higher, new, old) for new, old in zip(other, place, strict=True)))
        return place.z, place.factor


def _where(which: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Choose draw by draw, ``(M, R)``."""
    return torch.where(which.reshape(*which.shape, *[1] * (new.dim() - 2)), new, old)
