"""Structured output noise: a random matrix for every layer, beside the diagonal σ, around any linear head."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bayeshyper.models import WeightPiece, WeightSpec

from .base import Head, LinearHead, matrix_shape, usable_rank
from .gram import weighted

__all__ = ["MatrixNoiseHead"]


class MatrixNoiseHead(LinearHead):
    """A head's A φ plus U_ℓ E_ℓ V_ℓᵀ for every matrix, with E_ℓ a matrix of r × r independent Normals.

    So the weights of a layer have, given z, the covariance (UUᵀ ⊗ VVᵀ) + diag(σ²): correlated along rows and
    columns, as the exact posterior's are (Louizos & Welling 2016, arXiv 1603.04733, with few rows and
    columns). E is r² more dimensions of z for each layer, in which all is linear, and so the entropy, the
    audit and local reparameterisation (given z) stay as exact as they are without it.

    Args:
        head: A linear head, of the features but for E.
        rank: r.
        gain: Standard deviation that it gives the weights at the start, as a share of the head's own gain.

    Raises:
        ValueError: A head that is not linear, or a rank that is more than any layer's smaller side.

    Example:
        >>> from bayeshyper.hypernets import HEADS
        >>> spec = WeightSpec([("weight", (8, 6)), ("bias", (8,))])
        >>> dense = HEADS["dense"](spec, features=5)
        >>> MatrixNoiseHead.own_noise(spec, rank=2), MatrixNoiseHead(dense, 2)(torch.randn(1, 3, 9)).shape
        (4, torch.Size([1, 3, 56]))
    """

    def __init__(self, head: Head, rank: int, *, gain: float = 1.0) -> None:
        if not isinstance(head, LinearHead):
            raise ValueError(
                f"Got matrix noise for {type(head).__name__}, expected a head that is linear in the "
                "features; set matrix_noise = 0."
            )
        usable_rank(rank, head.spec)
        own = self.own_noise(head.spec, rank=rank)
        gains = list(head.gains.values())
        super().__init__(head.spec, features=head.features + own, members=head.members, gain=gains)
        self.head, self.rank, self.share = head, rank, gain
        layers = [piece for piece in head.spec if matrix_shape(piece) is not None]
        self._place = {piece.name: index for index, piece in enumerate(layers)}
        shapes = [matrix_shape(piece) or (0, 0) for piece in layers]
        self.left = nn.ParameterList(nn.Parameter(torch.empty(head.members, out, rank)) for out, _ in shapes)
        self.right = nn.ParameterList(
            nn.Parameter(torch.empty(head.members, into, rank)) for _, into in shapes
        )
        self._reset_factors(None)

    @classmethod
    def own_noise(cls, spec: WeightSpec, *, rank: int = 1, **options: int) -> int:
        """r² for each matrix."""
        return rank * rank * sum(matrix_shape(piece) is not None for piece in spec)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Start the head within and both factors afresh."""
        self.head.reset_parameters(generator)
        self._reset_factors(generator)

    def _reset_factors(self, generator: torch.Generator | None) -> None:
        with torch.no_grad():
            for name, index in self._place.items():
                scale = math.sqrt(self.share * self.gains[name] / self.rank)  # of U V: gain/r, r² times
                self.left[index].normal_(0.0, scale, generator=generator)
                self.right[index].normal_(0.0, scale, generator=generator)

    def generate(self, piece: WeightPiece, features: Tensor, base: Tensor | None = None) -> Tensor:
        """One tensor's weights, ``(M, S, size)``."""
        made = self.head.generate(piece, features[..., : self.head.features])
        if piece.name not in self._place:
            return made
        noise = features[..., self._own(piece)].unflatten(-1, (self.rank, self.rank))
        left, right = self._factors(piece)
        weights: Tensor = made + (left.unsqueeze(1) @ noise @ right.mT.unsqueeze(1)).flatten(2)
        return weights

    def piece_gram(self, piece: WeightPiece, precision: Tensor) -> Tensor:
        """In blocks: the head's own, the noise's own, and what they have in common."""
        gram = precision.new_zeros(self.members, self.features, self.features, dtype=torch.float64)
        inner = self.head.features
        gram[:, :inner, :inner] = self.head.piece_gram(piece, precision)
        if piece.name in self._place:
            own = self._own(piece)
            columns = self._columns(piece)  # (M, size, r²)
            common = self.head.piece_projection(piece, columns.mT, precision)  # (M, r², k)
            gram[:, own, :inner] = common
            gram[:, :inner, own] = common.mT
            scaled = columns * precision.double().sqrt().unsqueeze(-1)
            gram[:, own, own] = scaled.mT @ scaled
        return gram

    def piece_projection(self, piece: WeightPiece, offsets: Tensor, precision: Tensor) -> Tensor:
        """The head's and the noise's, side by side."""
        shape = (*offsets.shape[:2], self.features)
        projection = offsets.new_zeros(shape, dtype=torch.float64)
        projection[..., : self.head.features] = self.head.piece_projection(piece, offsets, precision)
        if piece.name in self._place:
            projection[..., self._own(piece)] = weighted(offsets, precision) @ self._columns(piece)
        return projection

    def _own(self, piece: WeightPiece) -> slice:
        first = self.head.features + self.rank**2 * self._place[piece.name]
        return slice(first, first + self.rank**2)

    def _factors(self, piece: WeightPiece) -> tuple[Tensor, Tensor]:
        index = self._place[piece.name]
        return self.left[index], self.right[index]

    def _columns(self, piece: WeightPiece) -> Tensor:
        """U ⊗ V in float64, ``(M, size, r²)``."""
        left, right = (factor.double() for factor in self._factors(piece))
        return torch.einsum("moa,mib->moiab", left, right).flatten(3).flatten(1, 2)
