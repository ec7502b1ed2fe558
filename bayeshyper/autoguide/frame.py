"""The coordinates that the hypernetwork works in: an invertible map of each member's own to the latents."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .start import StartingGaussian

__all__ = ["Frame", "Shift"]


class Frame(nn.Module):
    """u = m + F (I + T) w, with F fixed and T strictly lower triangular and learned: a frame for each member.

    The hypernetwork makes w of unit scale, and the frame gives latents u their location, scale and
    correlation. Latents keep the order in which the model draws them, so that each depends on those before
    it, as in the model. log |∂u/∂w| = Σ log F_ii does not depend on T.

    Args:
        starts: Where each member starts: m and F.

    Example:
        >>> frame = Frame([StartingGaussian(torch.ones(2), 0.5 * torch.eye(2))])
        >>> frame(torch.zeros(1, 3, 2))[0, 0], round(frame.log_volume.item(), 3)
        (tensor([1., 1.], grad_fn=<SelectBackward0>), -1.386)
    """

    location: Tensor
    factor: Tensor

    def __init__(self, starts: Sequence[StartingGaussian]) -> None:
        super().__init__()
        self.register_buffer("location", torch.stack([start.mean for start in starts]))
        self.register_buffer("factor", torch.stack([_factor(start) for start in starts]))
        self.shear = nn.Parameter(torch.zeros_like(self.factor))

    @property
    def log_volume(self) -> Tensor:
        """log |∂u/∂w| of each member, ``(M,)``."""
        return self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def matrix(self) -> Tensor:
        """F (I + T), ``(M, D, D)``."""
        return self.factor + self.factor @ self.shear.tril(-1)

    def forward(self, coordinates: Tensor) -> Tensor:
        """w to u, ``(M, R, D)``."""
        return torch.baddbmm(self.location.unsqueeze(1), coordinates, self.matrix().mT)

    def inverse(self, latents: Tensor) -> Tensor:
        """u ``(S, D)`` to the w of each member, ``(M, S, D)``."""
        offsets = latents - self.location.unsqueeze(1)
        coordinates: Tensor = torch.linalg.solve_triangular(self.matrix(), offsets.mT, upper=False).mT
        return coordinates


class Shift(nn.Module):
    """u = m + w: the frame where D² numbers are too many.

    Args:
        starts: Where each member starts: m.

    Example:
        >>> Shift([StartingGaussian(torch.ones(2))]).log_volume
        tensor([0.])
    """

    location: Tensor

    def __init__(self, starts: Sequence[StartingGaussian]) -> None:
        super().__init__()
        self.register_buffer("location", torch.stack([start.mean for start in starts]))

    @property
    def log_volume(self) -> Tensor:
        """0 for each member, ``(M,)``."""
        return torch.zeros_like(self.location[:, 0])

    def forward(self, coordinates: Tensor) -> Tensor:
        """w to u, ``(M, R, D)``."""
        return self.location.unsqueeze(1) + coordinates

    def inverse(self, latents: Tensor) -> Tensor:
        """u ``(S, D)`` to the w of each member, ``(M, S, D)``."""
        return latents - self.location.unsqueeze(1)


def _factor(start: StartingGaussian) -> Tensor:
    if start.factor is not None:
        return start.factor
    return torch.eye(len(start.mean), dtype=start.mean.dtype, device=start.mean.device)
