"""The hypernetwork: noise in, weights out; their frequencies are the posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bayeshyper.threads import seeded

from .heads import HEADS
from .trunk import Trunk

__all__ = ["MIN_OUTPUT_NOISE", "Hypernetwork", "HypernetworkSettings", "WeightDraw"]

# σ is never 0 (in prior units): the output noise is what gives the posterior a density.
MIN_OUTPUT_NOISE = 1e-4


@dataclass(frozen=True)
class HypernetworkSettings:
    """The sizes and starting scales of a hypernetwork: the ``[hypernetwork]`` table of a model recipe.

    Args:
        head: How the map from features to weights is stored; ``"dense"``.
        noise_dim: d, the dimension of the noise z. 0 gives a mean-field posterior.
        hidden: Units of the trunk's tanh layers; ``()`` gives a low-rank-plus-diagonal Gaussian.
        gain: Standard deviation that the features give each weight at the start, in prior units.
        output_noise: σ at the start, in prior units.
    """

    head: str = "dense"
    noise_dim: int = 8
    hidden: Sequence[int] = (32, 32)
    gain: float = 0.02
    output_noise: float = 0.03

    def build(self, mean: Tensor, unit: Tensor) -> Hypernetwork:
        """The hypernetwork around given mean weights ``(M, D)``, in units ``(D,)`` of the prior's scale."""
        return Hypernetwork(mean, unit, self)


@dataclass(frozen=True)
class WeightDraw:
    """Draws of all members, with what the entropy needs to know of them.

    Args:
        weights: θ, ``(M, R, D)``.
        mean: E[θ | z] = μ + s ∘ A φ(z), ``(M, R, D)``.
        scale: s ∘ σ, ``(M, 1, D)``.
        jacobian: ∂φ/∂z, ``(M, R, k, d)``; None where it was not asked for.
        z: The noise behind each draw, ``(M, R, d)``.
        features: φ(z), ``(M, R, k)``.
        generator: Where estimators that need further noise take it from; None is torch's global generator.
    """

    weights: Tensor
    mean: Tensor
    scale: Tensor
    jacobian: Tensor | None
    z: Tensor
    features: Tensor
    generator: torch.Generator | None = None


class Hypernetwork(nn.Module):
    """θ = μ + s ∘ (A φ(z) + σ ∘ ε), with z ~ N(0, I_d) and ε ~ N(0, I_D) (DESIGN section 2).

    M members are independent posteriors of equal weight, made in one batched pass; every parameter has a
    leading index M.

    Args:
        mean: Where μ starts, ``(M, D)``: a row per member.
        unit: s, ``(D,)``: the prior's scale of each weight, which A and σ are measured in.
        settings: Sizes and starting scales.

    Raises:
        ValueError: An unknown head, or shapes that do not fit together.

    Example:
        >>> net = Hypernetwork(torch.zeros(1, 10), torch.ones(10), HypernetworkSettings(noise_dim=4))
        >>> net.sample(100).shape
        torch.Size([100, 10])
        >>> net.draw(3).mean.shape
        torch.Size([1, 3, 10])
    """

    unit: Tensor

    def __init__(self, mean: Tensor, unit: Tensor, settings: HypernetworkSettings | None = None) -> None:
        super().__init__()
        settings = settings or HypernetworkSettings()
        if mean.dim() != 2 or unit.shape != mean.shape[1:]:
            raise ValueError(
                f"Got mean of shape {tuple(mean.shape)} and unit of shape {tuple(unit.shape)}, "
                "expected (members, D) and (D,)."
            )
        if settings.head not in HEADS:
            raise ValueError(f"Got head {settings.head!r}, expected one of {', '.join(HEADS)}.")
        if not settings.output_noise > MIN_OUTPUT_NOISE:
            raise ValueError(
                f"Got output_noise = {settings.output_noise}, expected more than {MIN_OUTPUT_NOISE}."
            )
        self.settings = settings
        self.members, self.size = mean.shape
        self.register_buffer("unit", unit.detach().clone())
        self.mean = nn.Parameter(mean.detach().clone())
        self.log_output_noise = nn.Parameter(torch.empty_like(self.mean))
        self.trunk = Trunk(settings.noise_dim, hidden=settings.hidden, members=self.members)
        self.head = HEADS[settings.head](
            self.size,
            features=self.trunk.features,
            members=self.members,
            gain=settings.gain,
        )
        self.reset_parameters()
        self.to(mean)  # all of it in the type, and on the device, of the weights it makes

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Start trunk, head and output noise afresh; the mean weights stay."""
        self.trunk.reset_parameters(generator)
        self.head.reset_parameters(generator)
        with torch.no_grad():
            self.log_output_noise.fill_(self.settings.output_noise - MIN_OUTPUT_NOISE).log_()

    @property
    def output_noise(self) -> Tensor:
        """σ in prior units, ``(M, D)``."""
        return self.log_output_noise.exp() + MIN_OUTPUT_NOISE

    def draw(
        self, draws: int, *, generator: torch.Generator | None = None, with_jacobian: bool = True
    ) -> WeightDraw:
        """Draw R weight vectors from each member, differentiably.

        Args:
            draws: R.
            generator: Where the noise comes from; None is torch's global generator.
            with_jacobian: Whether the draw's entropy will be asked for.
        """
        z = self._noise(draws, self.trunk.noise_dim, generator)
        features, jacobian = self.trunk.with_jacobian(z) if with_jacobian else (self.trunk(z), None)
        mean = torch.addcmul(self.mean.unsqueeze(1), self.unit, self.head(features))
        scale = (self.unit * self.output_noise).unsqueeze(1)
        weights = torch.addcmul(mean, scale, self._noise(draws, self.size, generator))
        return WeightDraw(weights, mean, scale, jacobian, z, features, generator)

    def _noise(self, draws: int, width: int, generator: torch.Generator | None) -> Tensor:
        shape = (self.members, draws, width)
        return torch.randn(shape, generator=generator, dtype=self.mean.dtype, device=self.mean.device)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``(n, D)`` weight vectors from the mixture, in random order.

        Members are drawn from equally often (as nearly as n allows), which has the mixture's mean and
        less variance than drawing the member too.
        """
        per_member = -(-n // self.members)
        weights = self.draw(per_member, generator=generator, with_jacobian=False).weights
        # Row r of every member before row r + 1 of any, so that cutting at n drops at most one per member.
        order = torch.stack(
            [
                torch.randperm(self.members, generator=generator, device=weights.device)
                for _ in range(per_member)
            ]
        )
        rows = weights.transpose(0, 1).gather(1, order.unsqueeze(-1).expand(-1, -1, self.size))
        return rows.reshape(-1, self.size)[:n]

    def member(self, index: int) -> Hypernetwork:
        """One member alone, as a hypernetwork of its own (a copy)."""
        with seeded(0):  # what the constructor draws is overwritten
            alone = Hypernetwork(self.mean[index : index + 1], self.unit, self.settings)
        state = {
            name: tensor[index : index + 1] if name != "unit" else tensor
            for name, tensor in self.state_dict().items()
        }
        alone.load_state_dict(state)
        return alone

    def extra_repr(self) -> str:
        """Sizes, for ``print``."""
        parameters = sum(p.numel() for p in self.parameters())
        size = sum(p.numel() * p.element_size() for p in self.parameters()) / 1e6
        return f"D={self.size:,}, members={self.members}, parameters={parameters:,} ({size:.1f} MB)"
