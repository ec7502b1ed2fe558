"""The coordinates that the hypernetwork works in: an invertible triangular map of each member's own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .start import StartingGaussian

__all__ = ["Frame"]


class Frame(nn.Module):
    """u = m + F (I + T) w, with F fixed and T strictly lower triangular and learned: a frame for each member.

    The hypernetwork makes w of unit scale, and the frame gives latents u their location, scale and
    correlation. Latents keep the order in which the model draws them, so that each depends on those before
    it, as in the model. log |∂u/∂w| = Σ log F_ii does not depend on T.

    Args:
        starts: Where each member starts: m and F.
        learned: Whether there is a T, D² numbers a member.

    Example:
        >>> start = StartingGaussian(torch.ones(2), 0.5 * torch.eye(2))
        >>> frame = Frame([start])
        >>> frame(torch.zeros(1, 3, 2))[0, 0], round(frame.log_volume.item(), 3)
        (tensor([1., 1.], grad_fn=<SelectBackward0>), -1.386)
    """

    location: Tensor
    factor: Tensor

    def __init__(self, starts: Sequence[StartingGaussian], *, learned: bool = True) -> None:
        super().__init__()
        self.register_buffer("location", torch.stack([start.mean for start in starts]))
        self.register_buffer("factor", torch.stack([start.factor for start in starts]))
        self.shear = nn.Parameter(torch.zeros_like(self.factor)) if learned else None

    @property
    def log_volume(self) -> Tensor:
        """log |∂u/∂w| of each member, ``(M,)``."""
        return self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def matrix(self) -> Tensor:
        """F (I + T), ``(M, D, D)``."""
        return self.factor if self.shear is None else self.factor + self.factor @ self.shear.tril(-1)

    def forward(self, coordinates: Tensor) -> Tensor:
        """w to u, ``(M, R, D)``."""
        return torch.baddbmm(self.location.unsqueeze(1), coordinates, self.matrix().mT)

    def inverse(self, latents: Tensor) -> Tensor:
        """u ``(S, D)`` to the w of each member, ``(M, S, D)``."""
        offsets = latents - self.location.unsqueeze(1)
        coordinates: Tensor = torch.linalg.solve_triangular(self.matrix(), offsets.mT, upper=False).mT
        return coordinates
