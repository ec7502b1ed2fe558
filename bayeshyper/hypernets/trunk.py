"""The trunk: noise z to features φ(z), with its Jacobian in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from .context import ContextShift

__all__ = ["Trunk"]


class Trunk(nn.Module):
    """A small tanh MLP of the noise, with the noise itself appended: φ(z) = (h_L(z), z).

    Members are independent copies in one batched pass: every parameter has a leading index M. With
    ``hidden=()`` the features are z alone, and the posterior is exactly a low-rank-plus-diagonal Gaussian;
    with ``noise_dim=0`` as well there are none, and it is mean field.

    Args:
        noise_dim: d, the dimension of the noise that the MLP sees.
        hidden: Units of each tanh layer.
        members: M.
        own_noise: Further dimensions of z, which the MLP does not see: a head's own.
        constant: Whether the first feature is the number 1, through which a head can generate a mean.
        spectral_norm: Whether every layer is divided by its largest singular value (Miyato et al. 2018, arXiv
            1802.05957): no two z then give features further apart than themselves.
        constant_norm: Whether the MLP sees √d z/‖z‖: all generated weights at once are then never scaled by
            the length of z (Ortiz et al. 2024, arXiv 2304.07645).
        context: C, features c of data that the MLP sees beside the noise: Wc is added to its first biases.

    Attributes:
        noise_dim: The dimension of z, the head's own noise included.
        features: k, the number of features.
        context: C, the number of the data's.

    Example:
        >>> trunk = Trunk(4, hidden=(16, 16), members=2)
        >>> features, jacobian = trunk.with_jacobian(torch.randn(2, 5, 4))
        >>> features.shape, jacobian.shape
        (torch.Size([2, 5, 20]), torch.Size([2, 5, 20, 4]))
    """

    def __init__(
        self,
        noise_dim: int,
        *,
        hidden: Sequence[int] = (64, 64),
        members: int = 1,
        own_noise: int = 0,
        constant: bool = False,
        spectral_norm: bool = False,
        constant_norm: bool = False,
        context: int = 0,
    ) -> None:
        super().__init__()
        if noise_dim < 0 or members < 1 or own_noise < 0:
            raise ValueError(
                f"Got noise_dim = {noise_dim}, own_noise = {own_noise} and members = {members}, "
                "expected at least 0, 0 and 1."
            )
        self.seen = noise_dim
        self.noise_dim = noise_dim + own_noise
        self.members = members
        self.constant, self.spectral_norm, self.constant_norm = constant, spectral_norm, constant_norm
        self.hidden = tuple(hidden) if noise_dim else ()
        widths = [noise_dim, *self.hidden]
        self.weights = nn.ParameterList(
            nn.Parameter(torch.empty(members, fan_out, fan_in)) for fan_in, fan_out in pairwise(widths)
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.empty(members, 1, width)) for width in self.hidden)
        self.context = context
        self.shift = ContextShift(context, self.hidden[0], members) if context and self.hidden else None
        self.features = constant + (self.hidden[-1] if self.hidden else 0) + self.noise_dim
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw weights N(0, 1/fan_in), which keeps unit-variance noise at unit scale, and biases N(0, 0.25).

        The biases break the symmetry φ(−z) = −φ(z), under which no feature could have a mean.
        """
        with torch.no_grad():
            for weight, bias in zip(self.weights, self.biases, strict=True):
                weight.normal_(0.0, 1.0 / math.sqrt(weight.shape[-1]), generator=generator)
                bias.normal_(0.0, 0.5, generator=generator)
        if self.shift is not None:
            self.shift.reset_parameters()

    def fix_context(self, context: Tensor) -> None:
        """See one context ``(M, 1, C)`` from now on, as part of the biases."""
        if self.shift is not None:
            self.shift.fix(self.biases, "0", context)
            self.context, self.shift = 0, None

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map ``(M, S, d)``, and contexts ``(M, S, C)``, to ``(M, S, k)``."""
        h = self._input(z)
        for weight, bias in self._layers(context):
            h = torch.tanh(torch.baddbmm(bias, h, weight.mT))
        return self._join(h, z)

    def with_jacobian(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Features ``(M, S, k)`` and ∂φ/∂z ``(M, S, k, d)``.

        By the chain rule from the input up, J_l = diag(1 − h_l²) W_l J_{l−1}: d columns through layers
        of small width, instead of one backward pass per feature.
        """
        members, draws, noise_dim = z.shape
        identity = torch.eye(noise_dim, dtype=z.dtype, device=z.device)
        identity = identity.expand(members, draws, -1, -1)
        h, jacobian = self._input(z), self._input_jacobian(z)
        for weight, bias in self._layers(context):
            h = torch.tanh(torch.baddbmm(bias, h, weight.mT))
            slope = (1.0 - h.square()).unsqueeze(-1)
            product = weight.unsqueeze(1) if jacobian is None else weight.unsqueeze(1) @ jacobian
            jacobian = slope * product
        parts = [z.new_zeros(members, draws, 1, noise_dim)] if self.constant else []
        if jacobian is not None and self.hidden:
            parts.append(nn.functional.pad(jacobian, (0, noise_dim - self.seen)))
        return self._join(h, z), torch.cat([*parts, identity], dim=-2)

    def _layers(self, context: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        biases = [*self.biases]
        if self.shift is not None:
            biases[0] = biases[0] + self.shift(context)
        for weight, bias in zip(self.weights, biases, strict=True):
            if self.spectral_norm:
                largest = torch.linalg.matrix_norm(weight, ord=2).clamp_min(1e-12)
                yield weight / largest[:, None, None], bias
            else:
                yield weight, bias

    def _input(self, z: Tensor) -> Tensor:
        """What the MLP sees of z."""
        seen = z[..., : self.seen]
        return math.sqrt(self.seen) * nn.functional.normalize(seen, dim=-1) if self.constant_norm else seen

    def _input_jacobian(self, z: Tensor) -> Tensor | None:
        """∂(what the MLP sees)/∂(its part of z): None for the identity.

        ∂(√d z/‖z‖)/∂z = (√d/‖z‖) (I − ẑẑᵀ).
        """
        if not self.constant_norm:
            return None
        seen = z[..., : self.seen]
        direction = nn.functional.normalize(seen, dim=-1)
        across = torch.eye(self.seen, dtype=z.dtype, device=z.device) - direction.unsqueeze(
            -1
        ) * direction.unsqueeze(-2)
        jacobian: Tensor = across * (math.sqrt(self.seen) / seen.norm(dim=-1))[..., None, None]
        return jacobian

    def _join(self, h: Tensor, z: Tensor) -> Tensor:
        """The features: 1 where asked for, the MLP's, z."""
        ones = [torch.ones_like(z[..., :1]) if z.shape[-1] else z.new_ones(*z.shape[:-1], 1)]
        parts = [*(ones if self.constant else []), *([h] if self.hidden else []), z]
        return torch.cat(parts, dim=-1) if len(parts) > 1 else z

    def extra_repr(self) -> str:
        """Sizes, for ``print``."""
        return (
            f"noise_dim={self.noise_dim}, hidden={list(self.hidden)}, "
            f"features={self.features}, members={self.members}"
        )
