"""A modulation head: each channel's weights scaled, each bias shifted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bayeshyper.models import WeightPiece, WeightSpec

from .base import Head, matrix_shape

__all__ = ["ModulationHead"]


class ModulationHead(Head, name="modulation"):
    """W = μ ∘ (1 + r(z))(1 + s(z))ᵀ and b = μ + t(z), with r, s and t linear in the features.

    A scale for every output channel and one for every input channel (rank-1, Dusenberry et al. 2020, arXiv
    2005.07186; BatchEnsemble's fast weights made random), a shift for every entry of a tensor of fewer than
    two dimensions (FiLM, Perez et al. 2018, arXiv 1709.07871): k(in + out) numbers for a layer. The product
    of two scales is not linear in the features, so its entropy goes by the Jacobian at each draw.

    Args:
        spec: The tensors.
        features: k.
        members: M.
        gain: As for `Head`; for the scales, relative to the mean weights, it is ``relative``.
        relative: Standard deviation of either scale at the start.

    Example:
        >>> spec = WeightSpec([("weight", (500, 400)), ("bias", (500,))])
        >>> head = ModulationHead(spec, features=16)
        >>> head(torch.randn(1, 3, 16), torch.ones(1, spec.size)).shape
        torch.Size([1, 3, 200500])
        >>> sum(p.numel() for p in head.parameters())
        22400
    """

    multiplies = True

    def __init__(
        self,
        spec: WeightSpec,
        *,
        features: int,
        members: int = 1,
        gain: float | Sequence[float] = 0.1,
        relative: float = 0.05,
    ) -> None:
        if not relative > 0:
            raise ValueError(f"Got relative = {relative}, expected a positive share of the mean weights.")
        super().__init__(spec, features=features, members=members, gain=gain)
        self.relative = relative
        sides = [_sides(piece) for piece in spec]
        self.left = nn.ParameterList(nn.Parameter(torch.empty(members, out, features)) for out, _ in sides)
        self.right = nn.ParameterList(nn.Parameter(torch.empty(members, into, features)) for _, into in sides)
        self._index = {piece.name: index for index, piece in enumerate(spec)}
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Scales near 1 and shifts near 0."""
        root = math.sqrt(max(self.features, 1))
        with torch.no_grad():
            for piece, left, right in zip(self.spec, self.left, self.right, strict=True):
                gain = self.gains[piece.name] if matrix_shape(piece) is None else self.relative
                left.normal_(0.0, gain / root, generator=generator)
                right.normal_(0.0, gain / root, generator=generator)

    def generate(self, piece: WeightPiece, features: Tensor, base: Tensor | None = None) -> Tensor:
        """One tensor's offsets from its mean weights, ``(M, S, size)``."""
        if base is None:
            raise ValueError("Got no mean weights, expected those that the modulation head scales.")
        index = self._index[piece.name]
        left: Tensor = features @ self.left[index].mT  # (M, S, out)
        if matrix_shape(piece) is None:
            return left
        right = features @ self.right[index].mT  # (M, S, in)
        scales = left.unsqueeze(-1) + right.unsqueeze(-2) + left.unsqueeze(-1) * right.unsqueeze(-2)
        kernel = math.prod(piece.shape[2:])
        offsets: Tensor = scales.flatten(2).repeat_interleave(kernel, dim=-1) * base
        return offsets

    def slopes(
        self, piece: WeightPiece, features: Tensor, jacobian: Tensor, base: Tensor | None = None
    ) -> Tensor:
        """∂ of (1 + r)(1 + s)ᵀ ∘ μ by z: (∂r)(1 + s)ᵀ ∘ μ + (1 + r)(∂s)ᵀ ∘ μ, ``(M, S, size, d)``."""
        if base is None:
            raise ValueError("Got no mean weights, expected those that the modulation head scales.")
        index = self._index[piece.name]
        left: Tensor = self.left[index].unsqueeze(1) @ jacobian  # (M, S, out, d)
        if matrix_shape(piece) is None:
            return left
        right: Tensor = self.right[index].unsqueeze(1) @ jacobian  # (M, S, in, d)
        by_left = left.unsqueeze(3) * (1.0 + features @ self.right[index].mT)[:, :, None, :, None]
        by_right = right.unsqueeze(2) * (1.0 + features @ self.left[index].mT)[..., None, None]
        slopes = (by_left + by_right).flatten(2, 3).repeat_interleave(math.prod(piece.shape[2:]), dim=2)
        scaled: Tensor = slopes * base.unsqueeze(-1)
        return scaled


def _sides(piece: WeightPiece) -> tuple[int, int]:
    """Outputs and inputs that have a scale, ``(size, 0)`` for a tensor that is shifted."""
    return (piece.shape[0], piece.shape[1]) if len(piece.shape) > 1 else (piece.size, 0)
