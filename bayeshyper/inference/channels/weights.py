"""The channel of noise that varies with z: the weights themselves."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork
from bayeshyper.hypernets.varying import VaryingNoise
from bayeshyper.inference.entropies.views import score_and_information

from .channel import NUMBERS_AT_ONCE, Channel

__all__ = ["WeightChannel"]


class WeightChannel(Channel):
    """y = Σ^-½ u, all D numbers of one member, whose scales tell of z as its means do.

        y = m(z) + e^v(z) ∘ n,   ℓ(z; y) = −½‖(y − m)/e^v‖² − Σ_i v_i

    with n ~ N(0, I_D), m = Σ^-½ g(z) and v = log σ(z)/σ. With the Jacobians G and L of m and v by z, the
    Fisher information about z is GᵀVG + 2LᵀL, V = diag(e^-2v).

    Args:
        member: A hypernetwork with one member.

    Raises:
        ValueError: Noise that does not vary, which needs no more numbers than A has columns.
    """

    def __init__(self, member: Hypernetwork) -> None:
        if member.varying is None:
            raise ValueError(
                f"Got {member.settings.noise!r} noise, expected 'varying'; take channel_of(member)."
            )
        self.member = copy.deepcopy(member).double().requires_grad_(False)
        self._varying = cast(VaryingNoise, self.member.varying)

    is_crooked = True

    @property
    def noise_dim(self) -> int:
        """d."""
        return self.member.trunk.noise_dim

    @property
    def is_silent(self) -> bool:
        """Whether there is no noise to tell of."""
        return self.noise_dim == 0

    def rows_at_once(self, draws: int) -> int:
        """Fewer, the more weights there are."""
        return max(1, min(64, 4 * NUMBERS_AT_ONCE // (2 * self.member.size * draws)))

    def observe(self, member: Hypernetwork, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """y = Σ^-½ u ``(n, D)``, which leaves nothing out."""
        y = offsets.double() / self.member.output_noise
        return y, y.new_zeros(len(y))

    def law(self, z: Tensor) -> Tensor:
        """m and v, ``(n, 2, D)``."""
        return self._law(self.member.trunk(z.unsqueeze(0)))

    def log_likelihood(self, law: Tensor, y: Tensor) -> Tensor:
        """−½‖(y − m)/e^v‖² − Σ v_i over the last dimension."""
        mean, widening = law.unbind(-2)
        return -0.5 * ((y - mean) * (-widening).exp()).square().sum(-1) - widening.sum(-1)

    def joint(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n draws of z ``(n, d)`` and y ``(n, D)``."""
        z = torch.randn(n, self.noise_dim, generator=generator, dtype=torch.float64)
        mean, widening = self.law(z).unbind(-2)
        noise = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
        return z, mean + widening.exp() * noise

    def score_and_information(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """GᵀV(y − m) + Lᵀ(n² − 1) ``(n, d)``, and GᵀVG + 2LᵀL ``(n, d, d)``."""
        law, slopes = self._law_and_slopes(z)
        noise, scaled, widening = self._standardized(law, slopes, y)
        return score_and_information(noise, scaled, widening)

    def linearized(self, z: Tensor) -> Tensor:
        """½ logdet(I + GᵀVG), ``(n,)``: of what the means tell."""
        law, slopes = self._law_and_slopes(z)
        scaled = slopes[:, 0] * (-law[:, 1]).exp().unsqueeze(-1)
        return 0.5 * torch.logdet(torch.eye(self.noise_dim, dtype=z.dtype) + scaled.mT @ scaled)

    def _standardized(self, law: Tensor, slopes: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """n ``(n, D)``, e^-v G and L, ``(n, D, d)``."""
        mean, widening = law.unbind(1)
        precision = (-widening).exp()
        return (y - mean) * precision, slopes[:, 0] * precision.unsqueeze(-1), slopes[:, 1]

    def _law(self, features: Tensor) -> Tensor:
        net = self.member
        mean = net.offsets(features)[0] / net.output_noise
        return torch.stack([mean, self._varying(features)[0]], dim=1)

    def _law_and_slopes(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """m and v, ``(n, 2, D)``, and their Jacobians ``(n, 2, D, d)``."""
        net = self.member
        features, jacobian = net.trunk.with_jacobian(z.unsqueeze(0))
        slopes = net.slopes(features, jacobian)[0] / net.output_noise[0].unsqueeze(-1)
        return self._law(features), torch.stack([slopes, self._varying.slopes(features, jacobian)[0]], dim=1)
