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

    @torch.no_grad()
    def move(self, shift: Tensor, log_scale: Tensor) -> None:
        """Move u by ``(M, D)``, and widen it around m by the exponentials of ``(M, D)``."""
        self.location += shift
        self.factor *= log_scale.exp().unsqueeze(-1)

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
    """u = m + s ∘ w: the frame where D² numbers are too many; s is 1 until the frame is widened.

    Args:
        starts: Where each member starts: m.

    Example:
        >>> Shift([StartingGaussian(torch.ones(2))]).log_volume
        tensor([0.])
    """

    location: Tensor
    scale: Tensor

    def __init__(self, starts: Sequence[StartingGaussian]) -> None:
        super().__init__()
        self.register_buffer("location", torch.stack([start.mean for start in starts]))
        self.register_buffer("scale", torch.ones_like(self.location))

    @torch.no_grad()
    def move(self, shift: Tensor, log_scale: Tensor) -> None:
        """Move u by ``(M, D)``, and widen it around m by the exponentials of ``(M, D)``."""
        self.location += shift
        self.scale *= log_scale.exp()

    @property
    def log_volume(self) -> Tensor:
        """log |∂u/∂w| of each member, ``(M,)``."""
        return self.scale.log().sum(-1)

    def forward(self, coordinates: Tensor) -> Tensor:
        """w to u, ``(M, R, D)``."""
        return torch.addcmul(self.location.unsqueeze(1), self.scale.unsqueeze(1), coordinates)

    def inverse(self, latents: Tensor) -> Tensor:
        """u ``(S, D)`` to the w of each member, ``(M, S, D)``."""
        return (latents - self.location.unsqueeze(1)) / self.scale.unsqueeze(1)


def _factor(start: StartingGaussian) -> Tensor:
    if start.factor is not None:
        return start.factor
    return torch.eye(len(start.mean), dtype=start.mean.dtype, device=start.mean.device)
