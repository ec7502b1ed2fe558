"""The trunk: noise z to features φ(z), with its Jacobian in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["Trunk"]


class Trunk(nn.Module):
    """A small tanh MLP of the noise, with the noise itself appended: φ(z) = (h_L(z), z).

    Members are independent copies in one batched pass: every parameter has a leading index M. With
    ``hidden=()`` the features are z alone, and the posterior is exactly a low-rank-plus-diagonal Gaussian;
    with ``noise_dim=0`` as well there are none, and it is mean field.

    Args:
        noise_dim: d, the dimension of z.
        hidden: Units of each tanh layer.
        members: M.

    Attributes:
        features: k, the number of features: the last hidden width plus d.

    Example:
        >>> trunk = Trunk(4, hidden=(16, 16), members=2)
        >>> features, jacobian = trunk.with_jacobian(torch.randn(2, 5, 4))
        >>> features.shape, jacobian.shape
        (torch.Size([2, 5, 20]), torch.Size([2, 5, 20, 4]))
    """

    def __init__(self, noise_dim: int, *, hidden: Sequence[int] = (64, 64), members: int = 1) -> None:
        super().__init__()
        if noise_dim < 0 or members < 1:
            raise ValueError(
                f"Got noise_dim = {noise_dim} and members = {members}, expected at least 0 and 1."
            )
        self.noise_dim = noise_dim
        self.members = members
        self.hidden = tuple(hidden) if noise_dim else ()
        widths = [noise_dim, *self.hidden]
        self.weights = nn.ParameterList(
            nn.Parameter(torch.empty(members, fan_out, fan_in)) for fan_in, fan_out in pairwise(widths)
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.empty(members, 1, width)) for width in self.hidden)
        self.features = (self.hidden[-1] if self.hidden else 0) + noise_dim
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw weights N(0, 1/fan_in), which keeps unit-variance noise at unit scale, and biases N(0, 0.25).

        The biases break the symmetry φ(−z) = −φ(z), under which no feature could have a mean.
        """
        with torch.no_grad():
            for weight, bias in zip(self.weights, self.biases, strict=True):
                weight.normal_(0.0, 1.0 / math.sqrt(weight.shape[-1]), generator=generator)
                bias.normal_(0.0, 0.5, generator=generator)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``(M, S, d)`` to ``(M, S, k)``."""
        h = z
        for weight, bias in zip(self.weights, self.biases, strict=True):
            h = torch.tanh(torch.baddbmm(bias, h, weight.mT))
        return torch.cat([h, z], dim=-1) if self.hidden else z

    def with_jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``(M, S, k)`` and ∂φ/∂z ``(M, S, k, d)``.

        By the chain rule from the input up, J_l = diag(1 − h_l²) W_l J_{l−1}: d columns through layers
        of small width, instead of one backward pass per feature.
        """
        members, draws, _ = z.shape
        identity = torch.eye(self.noise_dim, dtype=z.dtype, device=z.device)
        identity = identity.expand(members, draws, -1, -1)
        if not self.hidden:
            return z, identity
        h, jacobian = z, identity
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.tanh(torch.baddbmm(bias, h, weight.mT))
            slope = (1.0 - h.square()).unsqueeze(-1)
            product = weight.unsqueeze(1) if layer == 0 else weight.unsqueeze(1) @ jacobian
            jacobian = slope * product
        return torch.cat([h, z], dim=-1), torch.cat([jacobian, identity], dim=-2)

    def extra_repr(self) -> str:
        """Sizes, for ``print``."""
        return (
            f"noise_dim={self.noise_dim}, hidden={list(self.hidden)}, "
            f"features={self.features}, members={self.members}"
        )
