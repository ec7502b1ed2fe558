"""The density of the implicit posterior, between two bounds (DESIGN section 3, "Audit").

With u = (θ − μ)/s, Σ = diag(σ²) and M = AᵀΣ⁻¹A, the k numbers t = AᵀΣ⁻¹u are sufficient for z:

    log q(θ) = −D/2·log 2π − Σ log(s_i σ_i) − ½‖Σ^-½ u‖² + log ∫ N(z; 0, I) exp(tᵀφ(z) − ½ φ(z)ᵀMφ(z)) dz

so the density of a D-dimensional vector is a d-dimensional integral, for any A and k. Written with the
factor M = BᵀB and y = B⁺ᵀt, the integrand's exponent is yᵀBφ − ½‖Bφ‖², and a posterior draw has
y = Bφ(z) + n with n ~ N(0, I_r): a *channel* from z to y, in which D no longer occurs. The entropy is

    H[q] = D/2·log 2πe + Σ log(s_i σ_i) + I(θ; z),     I(θ; z) = I(y; z)

and the mutual information is what the bounds are on.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork, Trunk

__all__ = ["LatentChannel"]


class LatentChannel:
    """The channel y = Bφ(z) + n of one member, in float64.

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
        """The channel of a hypernetwork with one member."""
        if member.members != 1:
            raise ValueError(f"Got {member.members} members, expected one; take hypernetwork.member(i).")
        return cls(member.trunk, member.head.gram(member.output_noise.double().pow(-2))[0])

    @property
    def noise_dim(self) -> int:
        """d."""
        return self.trunk.noise_dim

    def mean(self, z: Tensor) -> Tensor:
        """Bφ(z): ``(n, d)`` to ``(n, r)``."""
        features: Tensor = self.trunk(z.unsqueeze(0))
        mean: Tensor = features[0] @ self.factor.mT
        return mean

    def features_and_jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """φ(z) ``(n, k)`` and ∂φ/∂z ``(n, k, d)``."""
        features, jacobian = self.trunk.with_jacobian(z.unsqueeze(0))
        return features[0], jacobian[0]

    def mean_and_jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Bφ(z) ``(n, r)`` and B ∂φ/∂z ``(n, r, d)``."""
        features, jacobian = self.trunk.with_jacobian(z.unsqueeze(0))
        return features[0] @ self.factor.mT, self.factor @ jacobian[0]

    def log_weight(self, mean: Tensor, y: Tensor) -> Tensor:
        """yᵀBφ − ½‖Bφ‖² over the last dimension."""
        return (y * mean).sum(-1) - 0.5 * mean.square().sum(-1)

    def joint(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n draws of z ``(n, d)`` and y ``(n, r)``."""
        z = torch.randn(n, self.noise_dim, generator=generator, dtype=torch.float64)
        mean = self.mean(z)
        return z, mean + torch.randn(mean.shape, generator=generator, dtype=torch.float64)
