"""The channel of heads that are not linear in the features: weights seen in the space they move in."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork

from .channel import NUMBERS_AT_ONCE, UnitNoiseChannel

__all__ = ["SubspaceChannel"]


class SubspaceChannel(UnitNoiseChannel):
    """y = QᵀΣ^-½ u of one member, whatever its head.

    Σ^-½ u = Σ^-½ g(z) + n, and the g(z) lie nearly in a space of few dimensions; let Q's r orthonormal
    columns span it. Then y has unit noise too, with I(y; z) ≤ I(θ; z). What it leaves out is the remainder
    ρ = (I − QQᵀ)Σ^-½ g seen through D − r unit Normals, whose information is at most ½ E‖ρ − E ρ‖²: the
    *slack* that the upper bound is raised by.

    Args:
        member: A hypernetwork with one member.
        most: r at most.
        probes: How many z the space is found from, and as many again that the slack is measured on.
    """

    def __init__(self, member: Hypernetwork, *, most: int = 256, probes: int = 512) -> None:
        self.member = copy.deepcopy(member).double().requires_grad_(False)
        self.trunk = self.member.trunk
        generator = torch.Generator().manual_seed(0)
        shape = (2 * probes, self.trunk.noise_dim)
        whitened = self._whitened(torch.randn(shape, generator=generator, dtype=torch.float64))
        found, fresh = whitened[:probes], whitened[probes:]
        self.center = found.mean(0)
        if member.size <= most:
            self.basis = torch.eye(member.size, dtype=torch.float64)
        else:
            _, values, rows = torch.linalg.svd(found - self.center, full_matrices=False)
            self.basis = rows[:most][values[:most] > 1e-9 * values[0]].mT  # Q, (D, r)
        off = fresh - self.center
        remainder = off - off @ self.basis @ self.basis.mT
        self.slack = 0.5 * (remainder - remainder.mean(0)).square().sum(-1).mean().item()

    @property
    def noise_dim(self) -> int:
        """d."""
        return self.trunk.noise_dim

    @property
    def is_silent(self) -> bool:
        """Whether y tells nothing of z."""
        return self.noise_dim == 0 or self.basis.shape[1] == 0

    def observe(self, member: Hypernetwork, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """y ``(n, r)``, and −½ the square ``(n,)`` of the offsets from the weights' mean."""
        white = offsets.double() / self.member.output_noise - self.center
        return white @ self.basis, -0.5 * white.square().sum(-1)

    def law(self, z: Tensor) -> Tensor:
        """QᵀΣ^-½ g(z), ``(n, r)``."""
        rows = max(1, NUMBERS_AT_ONCE // self.member.size)
        return torch.cat([(self._whitened(part) - self.center) @ self.basis for part in z.split(rows)])

    def law_and_slopes(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The mean ``(n, r)`` and its Jacobian by z, ``(n, r, d)``."""
        rows = max(1, NUMBERS_AT_ONCE // (self.member.size * self.noise_dim))
        return self.law(z), torch.cat([self._slopes(part) for part in z.split(rows)])

    def _slopes(self, z: Tensor) -> Tensor:
        features, jacobian = self.trunk.with_jacobian(z.unsqueeze(0))
        slopes = self.member.slopes(features, jacobian)[0] / self.member.output_noise[0].unsqueeze(-1)
        return self.basis.mT @ slopes

    def _whitened(self, z: Tensor) -> Tensor:
        """Σ^-½ g(z), ``(n, D)``."""
        offsets: Tensor = self.member.offsets(self.trunk(z.unsqueeze(0)))[0]
        return offsets / self.member.output_noise
