"""Output noise that varies with z: how wide the weights are drawn is generated, as their means are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["VaryingNoise"]

# |log σ(z)/σ| is less: beyond e^±8 no posterior is followed, and exponentials of it overflow.
FURTHEST = 8.0


class VaryingNoise(nn.Module):
    """log σ(z)/σ = c tanh(Bφ(z)/c), with c = 8: a second linear head, for the scales.

    With it q(θ | z) is a Gaussian whose widths follow the noise, as a funnel's do (Neal 2003): the scale of
    many variables is itself a variable. It starts at B = 0, where the noise does not vary.

    Args:
        size: D.
        features: k.
        members: M.

    Example:
        >>> noise = VaryingNoise(3, 5)
        >>> noise(torch.randn(1, 4, 5)).abs().max().item()
        0.0
    """

    def __init__(self, size: int, features: int, members: int = 1) -> None:
        super().__init__()
        self.members = members
        self.matrix = nn.Parameter(torch.empty(members, size, features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """No variation."""
        nn.init.zeros_(self.matrix)

    def forward(self, features: Tensor) -> Tensor:
        """log σ(z)/σ: ``(M, R, k)`` to ``(M, R, D)``."""
        bounded: Tensor = FURTHEST * torch.tanh(features @ self.matrix.mT / FURTHEST)
        return bounded

    def slopes(self, features: Tensor, jacobian: Tensor) -> Tensor:
        """∂ log σ(z)/∂z, ``(M, R, D, d)``, for the trunk's Jacobian ``(M, R, k, d)``."""
        slope = 1.0 - (self(features) / FURTHEST).square()
        slopes: Tensor = slope.unsqueeze(-1) * (self.matrix.unsqueeze(1) @ jacobian)
        return slopes
