"""The density of the implicit posterior, between two bounds (DESIGN section 3, "Audit").

With u = (θ − μ)/s, Σ = diag(σ²) and M = AᵀΣ⁻¹A, the k numbers t = AᵀΣ⁻¹u are sufficient for z:

    log q(θ) = −D/2·log 2π − Σ log(s_i σ_i) − ½‖Σ^-½ u‖² + log ∫ N(z; 0, I) exp(tᵀφ(z) − ½ φ(z)ᵀMφ(z)) dz

so the density of a D-dimensional vector is a d-dimensional integral, for any A and k. Written with the
factor M = BᵀB and y = B⁺ᵀt, the integrand's exponent is yᵀBφ − ½‖Bφ‖², and a posterior draw has
y = Bφ(z) + n with n ~ N(0, I_r): a *channel* from z to y, in which D no longer occurs. The entropy is

    H[q] = D/2·log 2πe + Σ log(s_i σ_i) + I(θ; z),     I(θ; z) = I(y; z)

and the mutual information is what the bounds are on.

A head that is not linear in the features has no such t; but the weights themselves are a channel,
Σ^-½ u = Σ^-½ g(z) + n, in D numbers. The g(z) lie nearly in a space of few dimensions; let Q's r
orthonormal columns span it. Then y = QᵀΣ^-½ u is a channel of the same kind, with I(y; z) ≤ I(θ; z). What it
leaves out is the remainder ρ = (I − QQᵀ)Σ^-½ g seen through D − r unit Normals, whose information is at most
½ E‖ρ − E ρ‖²: the *slack* that the upper bound is raised by.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork, LinearHead, Trunk

__all__ = ["LatentChannel", "SubspaceChannel"]

# Numbers that are held at once where D of them belong to every noise: 32 MB of float64.
NUMBERS_AT_ONCE = 2**22


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
        if not isinstance(member.head, LinearHead):
            return SubspaceChannel(member)
        return cls(member.trunk, member.head.gram(member.output_precision)[0])

    @property
    def has_cheap_jacobian(self) -> bool:
        """Whether B ∂φ/∂z costs no more than a small multiple of Bφ."""
        return True

    @property
    def slack(self) -> float:
        """Nats that I(θ; z) may exceed I(y; z) by; 0 where y is sufficient."""
        return 0.0

    def observe(self, member: Hypernetwork, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """y ``(n, r)`` of offsets u = (θ − μ)/s ``(n, D)``, and the square ‖Σ^-½ u‖² ``(n,)`` beside it."""
        head = member.head
        if not isinstance(head, LinearHead):
            raise ValueError(f"Got {type(head).__name__}, expected a linear head; take LatentChannel.of.")
        noise = member.output_noise.detach().double()
        t = head.project(offsets.unsqueeze(0), noise.pow(-2))[0]
        return t @ self.pseudo_inverse, (offsets.double() / noise).square().sum(-1)

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


class SubspaceChannel(LatentChannel):
    """The channel y = QᵀΣ^-½ u of one member whose head is not linear in the features, in float64.

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
        self.factor = torch.eye(self.basis.shape[1], dtype=torch.float64)
        self.pseudo_inverse = self.gram = self.factor
        off = fresh - self.center
        remainder = off - off @ self.basis @ self.basis.mT
        self._slack = 0.5 * (remainder - remainder.mean(0)).square().sum(-1).mean().item()

    @property
    def has_cheap_jacobian(self) -> bool:
        """D numbers for each of z's directions, and each draw: it is not."""
        return False

    @property
    def slack(self) -> float:
        """½ E‖ρ − E ρ‖², which is most of what y leaves out."""
        return self._slack

    def observe(self, member: Hypernetwork, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """y ``(n, r)``, and the square ``(n,)`` of the offsets from the weights' mean."""
        white = offsets.double() / self.member.output_noise - self.center
        return white @ self.basis, white.square().sum(-1)

    def mean(self, z: Tensor) -> Tensor:
        """Qᵀ Σ^-½ g(z): ``(n, d)`` to ``(n, r)``."""
        rows = max(1, NUMBERS_AT_ONCE // self.member.size)
        return torch.cat([(self._whitened(part) - self.center) @ self.basis for part in z.split(rows)])

    def mean_and_jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The mean ``(n, r)`` and its Jacobian by z ``(n, r, d)``."""
        rows = max(1, NUMBERS_AT_ONCE // (self.member.size * self.noise_dim))
        return self.mean(z), torch.cat([self._jacobian(part) for part in z.split(rows)])

    def _jacobian(self, z: Tensor) -> Tensor:
        features, jacobian = self.trunk.with_jacobian(z.unsqueeze(0))
        slopes = self.member.slopes(features, jacobian)[0] / self.member.output_noise[0].unsqueeze(-1)
        return self.basis.mT @ slopes

    def features_and_jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The mean is its own features: the factor is the identity."""
        return self.mean_and_jacobian(z)

    def _whitened(self, z: Tensor) -> Tensor:
        """Σ^-½ g(z), ``(n, D)``."""
        offsets: Tensor = self.member.offsets(self.trunk(z.unsqueeze(0)))[0]
        return offsets / self.member.output_noise
