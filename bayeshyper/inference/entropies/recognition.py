"""A guess of the noise behind a weight vector, from the statistic alone."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bayeshyper.hypernets import Hypernetwork, Trunk

__all__ = ["Recognition"]


class Recognition(nn.Module):
    """Mean and precision of a Gaussian τ(z | t), one for each draw; members are independent copies.

    The features' ridge solution φ̂ = (I + M)⁻¹t is of unit scale, and nearly φ(z) where the weights tell z
    well; its last d entries, z itself, are the first guess, and a small tanh network adds to them. Then a few
    Gauss–Newton steps on tᵀφ(z) − ½ φ(z)ᵀMφ(z) − ½‖z‖²:

        z ← z + P⁻¹(Jᵀ(t − Mφ(z)) − z),   P = I + JᵀMJ

    One of them ends at q(z | θ)'s mean where φ is affine, wherever it starts; one that leads downhill is not
    taken.

    Args:
        hypernetwork: Gives the sizes.
        hidden: Units of the tanh layer.
        newton_steps: How many Gauss–Newton steps; 0 leaves the network's guess.
    """

    def __init__(self, hypernetwork: Hypernetwork, *, hidden: int, newton_steps: int) -> None:
        super().__init__()
        if hidden < 1 or newton_steps < 0:
            raise ValueError(
                f"Got hidden = {hidden} and newton_steps = {newton_steps}, expected at least 1 and 0."
            )
        trunk = hypernetwork.trunk
        self.newton_steps = newton_steps
        like = hypernetwork.mean.detach()
        generator = torch.Generator(device=like.device).manual_seed(0)  # nobody else's random state moves
        first = like.new_empty(hypernetwork.members, hidden, trunk.features)
        first.normal_(0.0, 1.0 / math.sqrt(max(trunk.features, 1)), generator=generator)
        self.first = nn.Parameter(first)
        self.bias = nn.Parameter(like.new_zeros(hypernetwork.members, 1, hidden))
        self.last = nn.Parameter(like.new_zeros(hypernetwork.members, trunk.noise_dim, hidden))

    def forward(self, trunk: Trunk, gram: Tensor, statistic: Tensor) -> tuple[Tensor, Tensor]:
        """The mean ``(M, R, d)``, and the lower Cholesky factor ``(M, R, d, d)`` of the precision.

        Args:
            trunk: φ.
            gram: M, ``(M, k, k)``.
            statistic: t, ``(M, R, k)``; never the z that the weights were made from.
        """
        ridge, _ = torch.linalg.cholesky_ex(gram + torch.eye(gram.shape[-1]).to(gram))
        features = torch.cholesky_solve(statistic.mT, ridge).mT
        units = torch.tanh(torch.baddbmm(self.bias, features.to(self.first.dtype), self.first.mT))
        z = features[..., features.shape[-1] - trunk.noise_dim :] + units @ self.last.mT
        place = self._look(trunk, gram, statistic, z)
        for _ in range(self.newton_steps):
            step = torch.cholesky_solve(place.gradient.unsqueeze(-1), place.factor).squeeze(-1)
            other = self._look(trunk, gram, statistic, place.z + step)
            higher = other.height > place.height
            place = _Place(*(_where(higher, new, old) for new, old in zip(other, place, strict=True)))
        return place.z, place.factor

    def _look(self, trunk: Trunk, gram: Tensor, statistic: Tensor, z: Tensor) -> _Place:
        features, jacobian = trunk.with_jacobian(z.to(self.first.dtype))
        features, jacobian = features.double(), jacobian.double()
        product = features @ gram
        height = ((statistic - 0.5 * product) * features).sum(-1) - 0.5 * z.square().sum(-1)
        gradient = (jacobian.mT @ (statistic - product).unsqueeze(-1)).squeeze(-1) - z
        precision = jacobian.mT @ gram.unsqueeze(1) @ jacobian
        factor, _ = torch.linalg.cholesky_ex(precision + torch.eye(z.shape[-1]).to(precision))
        return _Place(z, height, gradient, factor)


class _Place(NamedTuple):
    """A point z ``(M, R, d)``: log q(z | θ) there but for a constant, its gradient, its precision's L."""

    z: Tensor
    height: Tensor
    gradient: Tensor
    factor: Tensor


def _where(which: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Choose draw by draw, ``(M, R)``."""
    return torch.where(which.reshape(*which.shape, *[1] * (new.dim() - 2)), new, old)
