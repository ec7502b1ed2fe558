"""Heads: features φ(z) to weights. They differ in how the linear map A is stored.

A head answers three questions about A without having to hold it whole: its product with features, its
Gram matrix M = AᵀΣ⁻¹A (all that the entropy needs), and AᵀΣ⁻¹u (all that the density of a draw needs).
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from .gram import weighted_gram

__all__ = ["HEADS", "DenseHead", "Head"]


class Head(Protocol):
    """What the posterior asks of a head that is linear in the features."""

    def __call__(self, features: Tensor) -> Tensor:
        """A φ: ``(M, S, k)`` to ``(M, S, D)``."""
        ...

    def gram(self, precision: Tensor) -> Tensor:
        """AᵀΣ⁻¹A in float64, ``(M, k, k)``, for the diagonal of Σ⁻¹ ``(M, D)``."""
        ...

    def project(self, offsets: Tensor, precision: Tensor) -> Tensor:
        """AᵀΣ⁻¹u in float64, ``(M, S, k)``, for offsets u ``(M, S, D)``: sufficient for z."""
        ...

    def start_at(self, matrix: Tensor) -> None:
        """Start from a given A, ``(M, D, k)``."""
        ...

    def forget(self, index: int) -> None:
        """Make weight ``index`` the same whatever the features."""
        ...


class DenseHead(nn.Module):
    """A stored whole, ``(M, D, k)``, in units of the prior's scale.

    Args:
        size: D.
        features: k.
        members: M.
        gain: The standard deviation, in prior units, that the MLP features give each weight at the start.

    Example:
        >>> head = DenseHead(10, features=6)
        >>> head(torch.randn(1, 3, 6)).shape, head.gram(torch.ones(1, 10)).shape
        (torch.Size([1, 3, 10]), torch.Size([1, 6, 6]))
    """

    def __init__(self, size: int, *, features: int, members: int = 1, gain: float = 0.1) -> None:
        super().__init__()
        self.gain = gain
        self.matrix = nn.Parameter(torch.empty(members, size, features))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw every column so that k features of unit scale add up to ``gain``."""
        features = self.matrix.shape[-1]
        with torch.no_grad():
            self.matrix.normal_(0.0, self.gain / math.sqrt(max(features, 1)), generator=generator)

    def forward(self, features: Tensor) -> Tensor:
        """A φ: ``(M, S, k)`` to ``(M, S, D)``."""
        return features @ self.matrix.mT

    def gram(self, precision: Tensor) -> Tensor:
        """AᵀΣ⁻¹A in float64, ``(M, k, k)``, for the diagonal of Σ⁻¹ ``(M, D)``."""
        return weighted_gram(self.matrix, precision)

    def project(self, offsets: Tensor, precision: Tensor) -> Tensor:
        """AᵀΣ⁻¹u in float64, ``(M, S, k)``, for offsets u ``(M, S, D)``."""
        return (offsets.double() * precision.double().unsqueeze(-2)) @ self.matrix.double()

    @torch.no_grad()
    def start_at(self, matrix: Tensor) -> None:
        """Start from a given A, ``(M, D, k)``."""
        self.matrix.copy_(matrix)

    @torch.no_grad()
    def forget(self, index: int) -> None:
        """Make weight ``index`` the same whatever the features: its row of A is 0."""
        self.matrix[:, index] = 0.0


HEADS: dict[str, type[DenseHead]] = {"dense": DenseHead}
