"""The Gram matrix AᵀPA with half of its gradient's work, and no copy of a large A kept for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

__all__ = ["weighted", "weighted_gram"]

# So many numbers of A are taken to float64 at a time, 8 MB of them.
BLOCK = 1 << 20


def weighted(offsets: Tensor, precision: Tensor) -> Tensor:
    """Pu in float64, ``(M, S, D)``, for offsets u of that shape and the diagonal ``(M, D)`` of P.

    Example:
        >>> weighted(torch.ones(1, 1, 2), torch.tensor([[1.0, 2.0]]))
        tensor([[[1., 2.]]], dtype=torch.float64)
    """
    return offsets.double() * precision.double().unsqueeze(-2)


def weighted_gram(matrix: Tensor, precision: Tensor) -> Tensor:
    """AᵀPA in float64, ``(M, k, k)``, for A ``(M, D, k)`` and the diagonal ``(M, D)`` of P.

    These D·k² products are the dearest of a training step's entropy. Autograd differentiates both factors
    of a product, which costs twice as much again; but they are one and the same, and one product gives
    the gradient A P (G + Gᵀ): a third of the work is saved. It would keep P^½A in float64, too, twice the
    size of A; where that is much, blocks of rows are made again for the gradient.

    Example:
        >>> weighted_gram(torch.ones(1, 3, 2), torch.tensor([[1.0, 2.0, 3.0]]))[0, 0, 1]
        tensor(6., dtype=torch.float64)
    """
    gram: Tensor = _WeightedGram.apply(matrix, precision.double())  # type: ignore[no-untyped-call]
    return gram


class _WeightedGram(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor, precision: Tensor) -> Tensor:
        rows = BLOCK // max(matrix.shape[0] * matrix.shape[2], 1) + 1
        ctx.blocks, ctx.dtype = -(-matrix.shape[1] // rows), matrix.dtype
        if ctx.blocks <= 1:
            scaled, root = _scaled(matrix, precision)
            ctx.save_for_backward(scaled, root)
            return scaled.mT @ scaled
        ctx.save_for_backward(matrix, precision)
        gram = precision.new_zeros(len(matrix), matrix.shape[2], matrix.shape[2])
        for some, of_precision in _blocks(ctx.blocks, matrix, precision):
            scaled, _ = _scaled(some, of_precision)
            gram += scaled.mT @ scaled
        return gram

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        both = gradient + gradient.mT
        if ctx.blocks <= 1:
            scaled, root = ctx.saved_tensors
            by_matrix, by_precision = _gradients(scaled, root, both)
            return by_matrix.to(ctx.dtype), by_precision
        matrix, precision = ctx.saved_tensors
        by_matrix, by_precision = torch.empty_like(matrix), torch.empty_like(precision)
        for some, of_precision, place, of_place in _blocks(
            ctx.blocks, matrix, precision, by_matrix, by_precision
        ):
            slopes, of_slopes = _gradients(*_scaled(some, of_precision), both)
            place.copy_(slopes)
            of_place.copy_(of_slopes)
        return by_matrix, by_precision


def _scaled(matrix: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
    """P^½A, in float64 as P is, and P^½."""
    root = precision.sqrt().unsqueeze(-1)
    return matrix * root, root


def _gradients(scaled: Tensor, root: Tensor, both: Tensor) -> tuple[Tensor, Tensor]:
    """By A and by P, for G + Gᵀ."""
    product = scaled @ both
    by_precision = (product * scaled).sum(-1) / (2.0 * root.squeeze(-1).square())
    return product.mul_(root), by_precision


def _blocks(count: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Blocks of rows, as views."""
    return zip(*(tensor.tensor_split(count, dim=1) for tensor in tensors), strict=True)
