"""A head per layer: every tensor has a code of its own, and a map from that code to its weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bayeshyper.models import WeightPiece, WeightSpec

from .gram import weighted, weighted_gram
from .parts import Part, PartsHead

__all__ = ["PerLayerHead"]


class PerLayerHead(PartsHead, name="per-layer"):
    """A_ℓ = B_ℓ C_ℓ: features to a tensor's code of r numbers, code to its weights (HyperGAN's structure).

    Ratzlaff & Fuxin 2019 (arXiv 1901.11058). It has D·r numbers where a dense head has D·k.

    Args:
        spec: The tensors.
        features: k.
        members: M.
        gain: As for `Head`.
        code: r, at most k of which are of use.

    Example:
        >>> spec = WeightSpec([("weight", (50, 40)), ("bias", (50,))])
        >>> head = PerLayerHead(spec, features=32, code=4)
        >>> sum(p.numel() for p in head.parameters()) < 32 * spec.size // 4
        True
    """

    def __init__(
        self,
        spec: WeightSpec,
        *,
        features: int,
        members: int = 1,
        gain: float | Sequence[float] = 0.1,
        code: int = 8,
    ) -> None:
        if code < 1:
            raise ValueError(f"Got code = {code}, expected at least 1 number for each tensor.")
        self.code = code
        super().__init__(spec, features=features, members=members, gain=gain)

    def make_part(self, piece: WeightPiece) -> Part:
        """A bottleneck of as many numbers as are of use: no more than k, or than the tensor has."""
        code = min(self.code, self.features, piece.size)
        return _Bottleneck(
            piece.size, code, features=self.features, members=self.members, gain=self.gains[piece.name]
        )


class _Bottleneck(Part):
    def __init__(self, size: int, code: int, *, features: int, members: int, gain: float) -> None:
        super().__init__(features=features, members=members, gain=gain)
        self.encode = nn.Parameter(torch.empty(members, code, features))  # C
        self.matrix = nn.Parameter(torch.empty(members, size, code))  # B

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        code = max(self.encode.shape[1], 1)
        with torch.no_grad():
            self.encode.normal_(0.0, 1.0 / math.sqrt(max(self.features, 1)), generator=generator)
            self.matrix.normal_(0.0, self.gain / math.sqrt(code), generator=generator)

    def forward(self, features: Tensor) -> Tensor:
        return features @ self.encode.mT @ self.matrix.mT

    def gram(self, precision: Tensor) -> Tensor:
        """Cᵀ (BᵀPB) C: the sum over weights is r × r."""
        encode = self.encode.double()
        gram: Tensor = encode.mT @ weighted_gram(self.matrix, precision) @ encode
        return gram

    def project(self, offsets: Tensor, precision: Tensor) -> Tensor:
        """(uᵀPB) C."""
        return weighted(offsets, precision) @ self.matrix.double() @ self.encode.double()
