"""A head that stores A whole: the default, and the one that can start anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bayeshyper.models import WeightPiece, WeightSpec

from .base import LinearHead
from .gram import weighted, weighted_gram

__all__ = ["DenseHead"]


class DenseHead(LinearHead, name="dense"):
    """A stored whole, ``(M, D, k)``, in units of the prior's scale; arguments as for `Head`.

    Every MLP hypernetwork ends in such a layer; others are the same map with fewer numbers.

    Example:
        >>> spec = WeightSpec([("weight", (2, 4)), ("bias", (2,))])
        >>> head = DenseHead(spec, features=6)
        >>> head(torch.randn(1, 3, 6)).shape, head.gram(torch.ones(1, 10)).shape
        (torch.Size([1, 3, 10]), torch.Size([1, 6, 6]))
    """

    def __init__(
        self, spec: WeightSpec, *, features: int, members: int = 1, gain: float | Sequence[float] = 0.1
    ) -> None:
        super().__init__(spec, features=features, members=members, gain=gain)
        self.matrix = nn.Parameter(torch.empty(members, spec.size, features))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw every column so that k features of unit scale add up to the gain."""
        with torch.no_grad():
            self.matrix.normal_(0.0, 1.0 / math.sqrt(max(self.features, 1)), generator=generator)
            for piece in self.spec:
                self.matrix[:, piece.slice] *= self.gains[piece.name]

    def forward(self, features: Tensor, base: Tensor | None = None) -> Tensor:
        """A φ: ``(M, S, k)`` to ``(M, S, D)``."""
        return features @ self.matrix.mT

    def generate(self, piece: WeightPiece, features: Tensor, base: Tensor | None = None) -> Tensor:
        """One tensor's weights, ``(M, S, size)``."""
        return features @ self.rows(piece).mT

    def rows(self, piece: WeightPiece) -> Tensor:
        """One tensor's rows of A, ``(M, size, k)``."""
        return self.matrix[:, piece.slice]

    def gram(self, precision: Tensor) -> Tensor:
        """AᵀΣ⁻¹A in float64, ``(M, k, k)``, in one product."""
        return weighted_gram(self.matrix, precision)

    def project(self, offsets: Tensor, precision: Tensor) -> Tensor:
        """AᵀΣ⁻¹u in float64, ``(M, S, k)``, in one product."""
        return weighted(offsets, precision) @ self.matrix.double()

    @torch.no_grad()
    def start_at(self, matrix: Tensor) -> None:
        """Start from a given A, ``(M, D, k)``."""
        self.matrix.copy_(matrix)

    @torch.no_grad()
    def forget(self, index: int) -> None:
        """Make weight ``index`` the same whatever the features: its row of A is 0."""
        self.matrix[:, index] = 0.0
