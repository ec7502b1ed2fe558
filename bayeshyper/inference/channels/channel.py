"""What importance sampling of the noise z behind a weight vector asks of the family."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork
from bayeshyper.inference.entropies import linearized_information

from .sheet import Sheet

__all__ = ["NUMBERS_AT_ONCE", "Channel", "UnitNoiseChannel"]

# Numbers that are held at once where D of them belong to every noise: 32 MB of float64.
NUMBERS_AT_ONCE = 2**22


class Channel(ABC):
    """p(y | z) of one member in float64: what numbers y, taken from a weight vector, tell of its noise z.

    Attributes:
        slack: Nats that I(θ; z) may exceed I(y; z) by; 0 where y is sufficient.
        is_crooked: Whether p(z | y) may have many modes, whose widths the information does not tell.
    """

    slack: float = 0.0
    is_crooked: bool = False

    @property
    @abstractmethod
    def noise_dim(self) -> int:
        """d."""

    @property
    @abstractmethod
    def is_silent(self) -> bool:
        """Whether y tells nothing of z: it moves no weight, or there is none."""

    def rows_at_once(self, draws: int) -> int:
        """For how many y so many draws of z each are held at once."""
        return 64

    @abstractmethod
    def observe(self, member: Hypernetwork, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """y ``(n, r)`` of offsets u = (θ − μ)/s ``(n, D)``, and what ℓ(z; y) leaves out, ``(n,)``.

        log q(θ | z) = −D/2·log 2π − Σ log(s_i σ_i) + ℓ(z; y) + what it leaves out.
        """

    @abstractmethod
    def law(self, z: Tensor) -> Tensor:
        """The parameters of p(y | z), ``(n, …)`` for z ``(n, d)``."""

    @abstractmethod
    def log_likelihood(self, law: Tensor, y: Tensor) -> Tensor:
        """ℓ(z; y): log p(y | z) but for what depends on y alone, over the last dimension."""

    @abstractmethod
    def joint(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n draws of z ``(n, d)`` and y ``(n, r)``."""

    @abstractmethod
    def score_and_information(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """∇_z ℓ(z; y) ``(n, d)``, and the Fisher information of y about z, ``(n, d, d)``."""

    @abstractmethod
    def linearized(self, z: Tensor) -> Tensor:
        """½ logdet(I + GᵀΣ⁻¹G), ``(n,)``, with the Jacobian G of the weights by z: what training credits."""

    def sheet(self, mode: Tensor, y: Tensor) -> Sheet | None:
        """What z is on at modes ``(n, d)`` of p(z | y); None where its Jacobians would cost too much."""
        return None


class UnitNoiseChannel(Channel):
    """y = m(z) + n with n ~ N(0, I_r), so that ℓ(z; y) = yᵀm − ½‖m‖²."""

    @abstractmethod
    def law_and_slopes(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """m(z) ``(n, r)`` and its Jacobian G by z, ``(n, r, d)``."""

    def log_likelihood(self, law: Tensor, y: Tensor) -> Tensor:
        """yᵀm − ½‖m‖² over the last dimension."""
        return (y * law).sum(-1) - 0.5 * law.square().sum(-1)

    def joint(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n draws of z ``(n, d)`` and y ``(n, r)``."""
        z = torch.randn(n, self.noise_dim, generator=generator, dtype=torch.float64)
        mean = self.law(z)
        return z, mean + torch.randn(mean.shape, generator=generator, dtype=torch.float64)

    def score_and_information(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Gᵀ(y − m) ``(n, d)`` and GᵀG ``(n, d, d)``."""
        mean, slopes = self.law_and_slopes(z)
        return (slopes.mT @ (y - mean).unsqueeze(-1)).squeeze(-1), slopes.mT @ slopes

    def linearized(self, z: Tensor) -> Tensor:
        """½ logdet(I + GᵀG), ``(n,)``."""
        slopes = self.law_and_slopes(z)[1]
        identity = torch.eye(slopes.shape[1], dtype=torch.float64).unsqueeze(0)
        return linearized_information(identity, slopes.unsqueeze(0))[0]
