"""An adapter head: a frozen network, and a generated update of low rank."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bayeshyper.models import WeightPiece

from .base import matrix_shape
from .gram import weighted
from .parts import Part, RankedHead

__all__ = ["AdapterHead"]


class AdapterHead(RankedHead, name="adapter"):
    """W = W₀ + B mat(C φ): of LoRA's two factors one is learned, (out, r), and one generated, (r, in).

    Hu et al. 2021 (arXiv 2106.09685); that one random factor is enough is from BLoB (arXiv 2406.11675). W₀,
    the weights that the network starts at, stays as it is. Tensors with fewer than two dimensions, and so the
    biases and what a likelihood infers, are generated whole. It is for pretrained networks, in which r·in·k
    numbers are few beside the D that training would touch.

    Args:
        spec: The tensors.
        features: k.
        members: M.
        gain: As for `Head`.
        rank: r; None is 4, or less where no layer has as many units.

    Raises:
        ValueError: A rank that is more than any layer's smaller side.

    Example:
        >>> from bayeshyper.models import WeightSpec
        >>> spec = WeightSpec([("weight", (500, 40)), ("bias", (500,))])
        >>> head = AdapterHead(spec, features=16, rank=2)
        >>> head(torch.randn(1, 3, 16)).shape, sum(p.numel() for p in head.parameters())
        (torch.Size([1, 3, 20500]), 10280)
    """

    compressive = True

    def make_part(self, piece: WeightPiece) -> Part:
        """A factor to learn and a factor to generate for a matrix; other tensors whole."""
        sides = matrix_shape(piece)
        if sides is None:
            return self.whole(piece)
        return _Update(
            sides,
            min(self.rank, *sides),
            features=self.features,
            members=self.members,
            gain=self.gains[piece.name],
        )


class _Update(Part):
    def __init__(
        self, sides: tuple[int, int], rank: int, *, features: int, members: int, gain: float
    ) -> None:
        super().__init__(features=features, members=members, gain=gain)
        self.left = nn.Parameter(torch.empty(members, sides[0], rank))  # B
        self.right = nn.Parameter(torch.empty(members, rank, sides[1], features))  # C

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        rank = self.left.shape[2]
        with torch.no_grad():
            self.left.normal_(0.0, 1.0, generator=generator)
            self.right.normal_(0.0, self.gain / math.sqrt(rank * max(self.features, 1)), generator=generator)

    def forward(self, features: Tensor) -> Tensor:
        right = (features @ self.right.flatten(1, 2).mT).unflatten(-1, self.right.shape[1:3])
        weights: Tensor = (self.left.unsqueeze(1) @ right).flatten(2)
        return weights

    def gram(self, precision: Tensor) -> Tensor:
        """Σ_i C_iᵀ (Bᵀ P_i B) C_i over the inputs i, with the r × r matrix of each between."""
        left, right = self.left.double(), self.right.double()
        by_row = precision.double().unflatten(-1, (left.shape[1], right.shape[2]))
        kernel = torch.einsum("moi,moa,mob->miab", by_row, left, left)
        return torch.einsum("maik,miab,mbil->mkl", right, kernel, right)

    def project(self, offsets: Tensor, precision: Tensor) -> Tensor:
        """vec(Bᵀ (P ∘ u))ᵀ C."""
        spread = weighted(offsets, precision).unflatten(-1, (self.left.shape[1], self.right.shape[2]))
        small = self.left.double().unsqueeze(1).mT @ spread
        projection: Tensor = small.flatten(2) @ self.right.double().flatten(1, 2)
        return projection
