"""Heads that are made of one part for each tensor, each part storing its rows of A in its own way."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bayeshyper.models import WeightPiece, WeightSpec

from .base import LinearHead, usable_rank
from .gram import weighted, weighted_gram

__all__ = ["Part", "PartsHead", "RankedHead", "Rows"]


class Part(nn.Module):
    """The rows of A that make one tensor: a linear map of features ``(M, S, k)`` to ``(M, S, size)``.

    Subclasses define ``forward`` and ``reset_parameters``; those whose rows are too many to be made at once
    define the two products too.

    Args:
        features: k.
        members: M.
        gain: Standard deviation, in prior units, that features of unit scale give at the start.
    """

    def __init__(self, *, features: int, members: int, gain: float) -> None:
        super().__init__()
        self.features, self.members, self.gain = features, members, gain

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Start afresh."""
        raise NotImplementedError(f"{type(self).__name__} must define reset_parameters(generator).")

    def rows(self) -> Tensor:
        """The rows of A, ``(M, size, k)``."""
        parameter = next(self.parameters())
        identity = torch.eye(self.features, dtype=parameter.dtype, device=parameter.device)
        rows: Tensor = self(identity.expand(self.members, -1, -1)).mT
        return rows

    def gram(self, precision: Tensor) -> Tensor:
        """AᵀΣ⁻¹A in float64, ``(M, k, k)``, for the diagonal of Σ⁻¹ ``(M, size)``."""
        return weighted_gram(self.rows(), precision)

    def project(self, offsets: Tensor, precision: Tensor) -> Tensor:
        """AᵀΣ⁻¹u in float64, ``(M, S, k)``, for offsets u ``(M, S, size)``."""
        return weighted(offsets, precision) @ self.rows().double()


class Rows(Part):
    """Rows stored whole, ``(M, size, k)``: for biases and other tensors that have no two sides."""

    def __init__(self, size: int, *, features: int, members: int, gain: float) -> None:
        super().__init__(features=features, members=members, gain=gain)
        self.matrix = nn.Parameter(torch.empty(members, size, features))

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw every row so that k features of unit scale add up to the gain."""
        with torch.no_grad():
            self.matrix.normal_(0.0, self.gain / math.sqrt(max(self.features, 1)), generator=generator)

    def forward(self, features: Tensor) -> Tensor:
        """``(M, S, k)`` to ``(M, S, size)``."""
        return features @ self.matrix.mT

    def rows(self) -> Tensor:
        """What is stored."""
        return self.matrix


class PartsHead(LinearHead):
    """A head with a `Part` for each tensor; subclasses say which (`make_part`)."""

    def __init__(
        self, spec: WeightSpec, *, features: int, members: int = 1, gain: float | Sequence[float] = 0.1
    ) -> None:
        super().__init__(spec, features=features, members=members, gain=gain)
        self.parts = nn.ModuleList(self.make_part(piece) for piece in spec)
        self._part_of = {piece.name: index for index, piece in enumerate(spec)}
        self.reset_parameters()

    def make_part(self, piece: WeightPiece) -> Part:
        """The part of one tensor."""
        raise NotImplementedError(f"{type(self).__name__} must define make_part(piece).")

    def whole(self, piece: WeightPiece) -> Rows:
        """The part of a tensor that is stored whole."""
        return Rows(piece.size, features=self.features, members=self.members, gain=self.gains[piece.name])

    def part(self, piece: WeightPiece) -> Part:
        """The part of a tensor, as made."""
        part = self.parts[self._part_of[piece.name]]
        if not isinstance(part, Part):
            raise TypeError(f"Got {part} for {piece.name}, expected a Part.")
        return part

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Start every part afresh."""
        for piece in self.spec:
            self.part(piece).reset_parameters(generator)

    def generate(self, piece: WeightPiece, features: Tensor, base: Tensor | None = None) -> Tensor:
        """One tensor's weights, ``(M, S, size)``."""
        weights: Tensor = self.part(piece)(features)
        return weights

    def rows(self, piece: WeightPiece) -> Tensor:
        """One tensor's rows of A, ``(M, size, k)``."""
        return self.part(piece).rows()

    def piece_gram(self, piece: WeightPiece, precision: Tensor) -> Tensor:
        """One tensor's part of AᵀΣ⁻¹A, ``(M, k, k)`` in float64."""
        return self.part(piece).gram(precision)

    def piece_projection(self, piece: WeightPiece, offsets: Tensor, precision: Tensor) -> Tensor:
        """One tensor's part of AᵀΣ⁻¹u, ``(M, S, k)`` in float64."""
        return self.part(piece).project(offsets, precision)


class RankedHead(PartsHead):
    """A head whose matrices have factors of a rank: an argument more, None for what the layers allow."""

    def __init__(
        self,
        spec: WeightSpec,
        *,
        features: int,
        members: int = 1,
        gain: float | Sequence[float] = 0.1,
        rank: int | None = None,
    ) -> None:
        self.rank = usable_rank(rank, spec)
        super().__init__(spec, features=features, members=members, gain=gain)
