"""A low-rank head: a tensor's weights move in the span of few row and few column patterns."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bayeshyper.models import WeightPiece

from .base import matrix_shape
from .gram import weighted
from .parts import Part, RankedHead

__all__ = ["LowRankHead"]


class LowRankHead(RankedHead, name="low-rank"):
    """ΔW = U mat(C φ) Vᵀ for every matrix, and so A = (U ⊗ V) C: r(in + out) numbers, and r²k for C.

    A convolution's kernel counts as a matrix of (out, in · kernel). Tensors with fewer than two dimensions,
    and matrices with fewer numbers than their factors would have, are stored whole.

    Args:
        spec: The tensors.
        features: k.
        members: M.
        gain: As for `Head`.
        rank: r; None is 4, or less where no layer has as many units. A layer with fewer has that side whole.

    Raises:
        ValueError: A rank that is more than any layer's smaller side.

    Example:
        >>> from bayeshyper.models import WeightSpec
        >>> spec = WeightSpec([("weight", (500, 400)), ("bias", (500,))])
        >>> head = LowRankHead(spec, features=16, rank=4)
        >>> head(torch.randn(1, 3, 16)).shape, sum(p.numel() for p in head.parameters())
        (torch.Size([1, 3, 200500]), 11856)
    """

    def make_part(self, piece: WeightPiece) -> Part:
        """Two factors where they are fewer numbers than the tensor's rows of A; else those."""
        sides = matrix_shape(piece)
        if sides is not None:
            ranks = min(self.rank, sides[0]), min(self.rank, sides[1])
            numbers = ranks[0] * sides[0] + ranks[1] * sides[1] + ranks[0] * ranks[1] * self.features
            if numbers < piece.size * self.features:
                return _Kronecker(
                    sides, ranks, features=self.features, members=self.members, gain=self.gains[piece.name]
                )
        return self.whole(piece)


class _Kronecker(Part):
    def __init__(
        self, sides: tuple[int, int], ranks: tuple[int, int], *, features: int, members: int, gain: float
    ) -> None:
        super().__init__(features=features, members=members, gain=gain)
        self.left = nn.Parameter(torch.empty(members, sides[0], ranks[0]))  # U
        self.right = nn.Parameter(torch.empty(members, sides[1], ranks[1]))  # V
        self.core = nn.Parameter(torch.empty(members, ranks[0], ranks[1], features))  # C

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        ranks = self.core.shape[1] * self.core.shape[2]
        with torch.no_grad():
            self.left.normal_(0.0, 1.0, generator=generator)
            self.right.normal_(0.0, 1.0, generator=generator)
            self.core.normal_(0.0, self.gain / math.sqrt(ranks * max(self.features, 1)), generator=generator)

    def forward(self, features: Tensor) -> Tensor:
        """U mat(C φ) Vᵀ, the narrower product first."""
        core = (features @ self.core.flatten(1, 2).mT).unflatten(-1, self.core.shape[1:3])
        weights: Tensor = (self.left.unsqueeze(1) @ (core @ self.right.unsqueeze(1).mT)).flatten(2)
        return weights

    def gram(self, precision: Tensor) -> Tensor:
        """Cᵀ K C with K = (U ⊗ V)ᵀ P (U ⊗ V), r² × r².

        K_(ab)(cd) = Σ_oi P_oi U_oa U_oc V_ib V_id: the products U_oa U_oc and V_ib V_id are two thin matrices
        with P between them, so nothing is longer than P but its own copy.
        """
        left, right, core = self.left.double(), self.right.double(), self.core.double().flatten(1, 2)
        by_row = precision.double().unflatten(-1, (left.shape[1], right.shape[1]))
        kernel = _pairs(left).mT @ (by_row @ _pairs(right))  # (M, ac, bd)
        a, b = left.shape[2], right.shape[2]
        kernel = kernel.reshape(-1, a, a, b, b).transpose(2, 3).reshape(-1, a * b, a * b)
        gram: Tensor = core.mT @ kernel @ core
        return gram

    def project(self, offsets: Tensor, precision: Tensor) -> Tensor:
        """vec(Uᵀ (P ∘ u) V)ᵀ C."""
        spread = weighted(offsets, precision).unflatten(-1, (self.left.shape[1], self.right.shape[1]))
        small = self.left.double().unsqueeze(1).mT @ spread @ self.right.double().unsqueeze(1)
        projection: Tensor = small.flatten(2) @ self.core.double().flatten(1, 2)
        return projection


def _pairs(factor: Tensor) -> Tensor:
    """All products of two columns, ``(M, n, r²)`` for ``(M, n, r)``."""
    return (factor.unsqueeze(-1) * factor.unsqueeze(-2)).flatten(2)
