"""The Gram matrix AᵀPA with half of its gradient's work."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["weighted_gram"]


def weighted_gram(matrix: Tensor, precision: Tensor) -> Tensor:
    """AᵀPA in float64, ``(M, k, k)``, for A ``(M, D, k)`` and the diagonal ``(M, D)`` of P.

    These D·k² products are the dearest of a training step's entropy. Autograd differentiates both factors
    of a product, which costs twice as much again; but they are one and the same, and one product gives
    the gradient A P (G + Gᵀ): a third of the work is saved.

    Example:
        >>> weighted_gram(torch.ones(1, 3, 2), torch.tensor([[1.0, 2.0, 3.0]]))[0, 0, 1]
        tensor(6., dtype=torch.float64)
    """
    gram: Tensor = _WeightedGram.apply(matrix, precision.double())  # type: ignore[no-untyped-call]
    return gram


class _WeightedGram(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor, precision: Tensor) -> Tensor:
        root = precision.sqrt().unsqueeze(-1)
        scaled = matrix * root  # in float64, as the root is
        ctx.save_for_backward(scaled, root)
        ctx.dtype = matrix.dtype
        return scaled.mT @ scaled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        scaled, root = ctx.saved_tensors
        product = scaled @ (gradient + gradient.mT)
        by_precision = (product * scaled).sum(-1) / (2.0 * root.squeeze(-1).square())
        return (product * root).to(ctx.dtype), by_precision
