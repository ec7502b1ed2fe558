"""The channel of weights that are linear in the features, in as many numbers as A has rank."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork, LinearHead, Trunk

from .channel import UnitNoiseChannel
from .sheet import Sheet

__all__ = ["LatentChannel"]


class LatentChannel(UnitNoiseChannel):
    """y = Bφ(z) + n with n ~ N(0, I_r), of one member; sufficient for z.

    Args:
        trunk: φ, of one member.
        gram: M = AᵀΣ⁻¹A, ``(k, k)``, of any rank.
    """

    def __init__(self, trunk: Trunk, gram: Tensor) -> None:
        self.trunk = copy.deepcopy(trunk).double().requires_grad_(False)
        values, vectors = torch.linalg.eigh(gram.detach().double())
        # Directions that no weight moves along carry no information; they are dropped, not inverted.
        keep = values > values.max().clamp_min(1e-300) * 1e-13 if len(values) else values > 0
        root = values[keep].sqrt()
        self.factor = root.unsqueeze(-1) * vectors[:, keep].mT  # B, (r, k)
        self.pseudo_inverse = vectors[:, keep] / root  # B⁺, (k, r)
        self.gram = gram.detach().double()

    @classmethod
    def of(cls, member: Hypernetwork) -> LatentChannel:
        """The channel of a hypernetwork with one member.

        Raises:
            ValueError: Weights that are not linear in the features, or noise that varies.
        """
        return cls(member.trunk, _linear_head(member).gram(member.output_precision)[0])

    @property
    def noise_dim(self) -> int:
        """d."""
        return self.trunk.noise_dim

    @property
    def is_silent(self) -> bool:
        """Whether y tells nothing of z."""
        return self.noise_dim == 0 or len(self.factor) == 0

    def observe(self, member: Hypernetwork, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """y = B⁺ᵀAᵀΣ⁻¹u ``(n, r)`` of offsets u ``(n, D)``, and −½‖Σ^-½ u‖² ``(n,)``, which it leaves out."""
        noise = member.output_noise.detach().double()
        t = _linear_head(member).project(offsets.unsqueeze(0), noise.pow(-2))[0]
        return t @ self.pseudo_inverse, -0.5 * (offsets.double() / noise).square().sum(-1)

    def law(self, z: Tensor) -> Tensor:
        """Bφ(z), ``(n, r)``."""
        features: Tensor = self.trunk(z.unsqueeze(0))
        mean: Tensor = features[0] @ self.factor.mT
        return mean

    def sheet(self, mode: Tensor, y: Tensor) -> Sheet:
        """z + GᵀBφ(z) − Gᵀy, with G at the mode."""
        slopes = self.law_and_slopes(mode)[1]
        shift = (slopes.mT @ y.unsqueeze(-1)).squeeze(-1)
        return Sheet(self.features_and_jacobian, slopes.mT @ self.factor, shift)

    def features_and_jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """φ(z) ``(n, k)`` and J = ∂φ/∂z ``(n, k, d)``."""
        features, jacobian = self.trunk.with_jacobian(z.unsqueeze(0))
        return features[0], jacobian[0]

    def law_and_slopes(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Bφ(z) ``(n, r)`` and G = B J ``(n, r, d)``."""
        features, jacobian = self.features_and_jacobian(z)
        return features @ self.factor.mT, self.factor @ jacobian


def _linear_head(member: Hypernetwork) -> LinearHead:
    if not (isinstance(member.head, LinearHead) and member.linear):
        raise ValueError(
            f"Got the head {member.settings.head!r} with {member.settings.noise!r} noise, expected weights "
            "that are linear in the features, and noise that does not vary; take channel_of(member)."
        )
    return member.head
