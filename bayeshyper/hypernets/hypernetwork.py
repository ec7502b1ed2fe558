"""The hypernetwork: noise in, weights out; their frequencies are the posterior."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bayeshyper.memory import check_draws
from bayeshyper.models import WeightSpec

from .heads import LinearHead
from .heads.dense import DenseHead
from .precision import precision_of
from .settings import MIN_OUTPUT_NOISE, HypernetworkSettings
from .varying import VaryingNoise

__all__ = ["Hypernetwork", "WeightDraw"]

# Over so many numbers of a tensor, a shift by the features' mean adds nothing to speak of to its scale.
MANY = 64


@dataclass(frozen=True)
class WeightDraw:
    """Draws of all members, with what the entropy needs to know of them.

    Args:
        weights: θ, ``(M, R, D)``.
        mean: E[θ | z] = μ + s ∘ A φ(z), ``(M, R, D)``.
        scale: s ∘ σ, ``(M, 1, D)``; ``(M, R, D)`` where σ varies with z.
        jacobian: ∂φ/∂z, ``(M, R, k, d)``; None where it was not asked for.
        z: The noise behind each draw, ``(M, R, d)``.
        features: φ(z), ``(M, R, k)``.
        generator: Where estimators that need further noise take it from; None is torch's global generator.
        context: Features of data that each draw is conditioned on, ``(M, R, C)``; None where it is not.
    """

    weights: Tensor
    mean: Tensor
    scale: Tensor
    jacobian: Tensor | None
    z: Tensor
    features: Tensor
    generator: torch.Generator | None = None
    context: Tensor | None = None


class Hypernetwork(nn.Module):
    """θ = μ + s ∘ (A φ(z) + σ ∘ ε), with z ~ N(0, I_d) and ε ~ N(0, I_D) (DESIGN section 2).

    M members are independent posteriors of equal weight, made in one batched pass; every parameter has a
    leading index M. With the setting ``noise = "varying"``, σ is a function of z too (`VaryingNoise`). With a
    context, φ is a function of features of data too, and q(θ | c) one posterior for each of their values.

    Args:
        mean: Where μ starts, ``(M, D)``: a row per member.
        unit: s, ``(D,)``: the prior's scale of each weight, which A and σ are measured in.
        settings: Sizes and starting scales.
        spec: The tensors that the weights are made of, for heads that treat them apart; None for one vector.
        context: C, how many features of data the trunk sees beside the noise.

    Raises:
        ValueError: Shapes that do not fit together, or sizes that do not fit in memory.

    Example:
        >>> net = Hypernetwork(torch.zeros(1, 10), torch.ones(10), HypernetworkSettings(noise_dim=4))
        >>> net.sample(100).shape
        torch.Size([100, 10])
        >>> net.draw(3).mean.shape
        torch.Size([1, 3, 10])
    """

    unit: Tensor

    def __init__(
        self,
        mean: Tensor,
        unit: Tensor,
        settings: HypernetworkSettings | None = None,
        spec: WeightSpec | None = None,
        *,
        context: int = 0,
    ) -> None:
        super().__init__()
        settings = settings or HypernetworkSettings()
        if mean.dim() != 2 or unit.shape != mean.shape[1:]:
            raise ValueError(
                f"Got mean of shape {tuple(mean.shape)} and unit of shape {tuple(unit.shape)}, "
                "expected (members, D) and (D,)."
            )
        if not bool((unit > 0).all()):
            raise ValueError("Got a unit with entries that are not positive, expected the prior's scales.")
        spec = spec or WeightSpec([("weights", tuple(unit.shape))])
        if spec.size != len(unit):
            raise ValueError(f"Got a spec of {spec.size} weights, expected D = {len(unit)}.")
        settings.check_size(spec, len(mean))
        self.settings, self.spec = settings, spec
        self.members, self.size = mean.shape
        self.register_buffer("unit", unit.detach().clone())
        self.mean = nn.Parameter(mean.detach().clone(), requires_grad=not settings.mean_is_frozen)
        noises = len(spec) if settings.noise_per_tensor else self.size
        self.log_output_noise = nn.Parameter(mean.new_empty(self.members, noises))
        most = [settings.start_share * scale for scale in _own_scales(mean, unit, spec)]
        few = [min(1.0, math.sqrt(piece.size / MANY)) for piece in spec]
        gains = [min(settings.gain, share * part) for share, part in zip(most, few, strict=True)]
        self.trunk, self.head = settings.parts(spec, self.members, gains, context)
        varies = settings.noise == "varying"
        self.varying = VaryingNoise(self.size, self.trunk.features, self.members) if varies else None
        self._start_noise = [max(min(settings.output_noise, share), 2 * MIN_OUTPUT_NOISE) for share in most]
        self.reset_parameters()
        self.to(mean)  # all of it in the type, and on the device, of the weights it makes

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Start trunk, head and output noise afresh; the mean weights stay."""
        self.trunk.reset_parameters(generator)
        self.head.reset_parameters(generator)
        if self.varying is not None:
            self.varying.reset_parameters()
        start = self.log_output_noise.new_tensor(self._start_noise)
        with torch.no_grad():
            per_number = start if self.settings.noise_per_tensor else self.spec.repeat(start)
            self.log_output_noise.copy_((per_number - MIN_OUTPUT_NOISE).log())

    @property
    def output_noise(self) -> Tensor:
        """σ in prior units, ``(M, D)``; where it varies, what it varies around."""
        noise = self.log_output_noise.exp() + MIN_OUTPUT_NOISE
        return self.spec.repeat(noise) if self.settings.noise_per_tensor else noise

    @property
    def output_precision(self) -> Tensor:
        """The diagonal of Σ⁻¹ in float64, ``(M, D)``."""
        return precision_of(self.output_noise)

    def noise_at(self, features: Tensor) -> Tensor:
        """σ(z) in prior units, ``(M, R, D)``, or ``(M, 1, D)`` where it does not vary."""
        noise = self.output_noise.unsqueeze(1)
        return noise if self.varying is None else noise * self.varying(features).exp()

    @property
    def linear(self) -> bool:
        """Whether θ given z is a Gaussian of one covariance, whose mean is linear in the features."""
        return isinstance(self.head, LinearHead) and self.varying is None

    @property
    def stored_whole(self) -> bool:
        """Whether A, μ and σ are stored weight by weight, so that a fit can start from any Gaussian."""
        return isinstance(self.head, DenseHead) and not (
            self.settings.mean_is_frozen or self.settings.noise_per_tensor or self.varying is not None
        )

    def offsets(self, features: Tensor) -> Tensor:
        """How far the features move the weights from μ, in prior units: ``(M, R, k)`` to ``(M, R, D)``."""
        moved: Tensor = self.head(features, self._base())
        return moved

    def slopes(self, features: Tensor, jacobian: Tensor) -> Tensor:
        """G, the Jacobian of the offsets by z, ``(M, R, D, d)``: for few draws of few weights."""
        return self.head.all_slopes(features, jacobian, self._base())

    def curvature(self, features: Tensor, jacobian: Tensor) -> Tensor:
        """GᵀΣ⁻¹G in float64, ``(M, R, d, d)``, for the Jacobian G of the offsets by z."""
        if self.varying is not None:
            scaled = self._scaled_slopes(features, jacobian)
            return scaled.mT @ scaled
        return self.head.curvature(features, jacobian.to(features.dtype), self.output_precision, self._base())

    def pull(self, features: Tensor, jacobian: Tensor, offsets: Tensor) -> Tensor:
        """GᵀΣ⁻¹u in float64, ``(M, R, d)``, for offsets u ``(M, R, D)`` in prior units."""
        if self.varying is not None:
            scaled = (offsets / self.noise_at(features)).double().unsqueeze(-1)
            return (self._scaled_slopes(features, jacobian).mT @ scaled).squeeze(-1)
        jacobian = jacobian.to(features.dtype)
        return self.head.pull(features, jacobian, offsets, self.output_precision, self._base())

    def _scaled_slopes(self, features: Tensor, jacobian: Tensor) -> Tensor:
        """Σ(z)^-½ G in float64, ``(M, R, D, d)``."""
        slopes = self.slopes(features, jacobian.to(features.dtype))
        return (slopes / self.noise_at(features).unsqueeze(-1)).double()

    def _base(self) -> Tensor | None:
        return self.mean / self.unit if self.head.multiplies else None

    def center(self) -> Tensor:
        """θ at z = 0 and ε = 0, ``(M, D)``: where a fit with frozen mean weights trains the head first."""
        z = self.mean.new_zeros(self.members, 1, self.trunk.noise_dim)
        return self.mean + self.unit * self.offsets(self.trunk(z))[:, 0]

    def draw(
        self,
        draws: int,
        *,
        generator: torch.Generator | None = None,
        with_jacobian: bool = True,
        context: Tensor | None = None,
    ) -> WeightDraw:
        """Draw R weight vectors from each member, differentiably.

        Args:
            draws: R.
            generator: Where the noise comes from; None is torch's global generator.
            with_jacobian: Whether the draw's entropy will be asked for.
            context: What each draw is conditioned on, ``(M, R, C)``.
        """
        z = self._noise(draws, self.trunk.noise_dim, generator)
        features, jacobian = (
            self.trunk.with_jacobian(z, context) if with_jacobian else (self.trunk(z, context), None)
        )
        mean = torch.addcmul(self.mean.unsqueeze(1), self.unit, self.offsets(features))
        scale = self.unit * self.noise_at(features)
        weights = torch.addcmul(mean, scale, self._noise(draws, self.size, generator))
        return WeightDraw(weights, mean, scale, jacobian, z, features, generator, context)

    def _noise(self, draws: int, width: int, generator: torch.Generator | None) -> Tensor:
        shape = (self.members, draws, width)
        return torch.randn(shape, generator=generator, dtype=self.mean.dtype, device=self.mean.device)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``(n, D)`` weight vectors from the mixture, in random order.

        Members are drawn from equally often (as nearly as n allows), which has the mixture's mean and
        less variance than drawing the member too.

        Raises:
            TooLarge: They need more memory than is free.
        """
        check_draws(n, self.size, instead="draw fewer, several times, each time with another seed")
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
        alone = copy.deepcopy(self)
        for module in alone.modules():
            if hasattr(module, "members"):
                setattr(module, "members", 1)  # noqa: B010 - a plain attribute, which nn.Module's type hides
        for parameter in alone.parameters():
            parameter.data = parameter.data[index : index + 1].clone()
        return alone

    def extra_repr(self) -> str:
        """Sizes, for ``print``."""
        return repr(self.settings.size(self.spec, self.members))


def _own_scales(mean: Tensor, unit: Tensor, spec: WeightSpec) -> list[float]:
    """For each tensor, the root mean square of its starting weights in prior units, of the smallest member.

    A tensor that starts at zero, as biases often do, has no scale of its own to keep to: it is infinite.
    """
    squares = (mean / unit).double().square()
    roots = [squares[:, piece.slice].mean(1).min().sqrt().item() if piece.size else 0.0 for piece in spec]
    return [root if root > 0 else math.inf for root in roots]
