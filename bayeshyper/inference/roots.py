"""Cholesky roots that recover from rounding, and are counted where they had to."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

__all__ = ["Recoveries", "cholesky_root", "counted"]


class Recoveries:
    """How many matrices needed a jitter.

    Attributes:
        count: That number.
    """

    def __init__(self) -> None:
        self.count = 0

    def state_dict(self) -> dict[str, int]:
        """The count so far."""
        return {"count": self.count}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from another count.

        Raises:
            KeyError, ValueError: It is none.
        """
        if type(state["count"]) is not int or state["count"] < 0:
            raise ValueError("the count of recoveries is none")
        self.count = state["count"]


_recoveries: ContextVar[Recoveries | None] = ContextVar("recoveries", default=None)


@contextmanager
def counted() -> Iterator[Recoveries]:
    """Count what `cholesky_root` recovers within the block, in this thread.

    Example:
        >>> with counted() as recoveries:
        ...     _ = cholesky_root(torch.ones(2, 2)), cholesky_root(torch.eye(2))
        >>> recoveries.count
        1
    """
    recoveries = Recoveries()
    token = _recoveries.set(recoveries)
    try:
        yield recoveries
    finally:
        _recoveries.reset(token)


def cholesky_root(matrix: Tensor) -> Tensor:
    """L with L Lᵀ = W for matrices ``(…, K, K)`` that are positive definite but for rounding.

    Where W is not, L Lᵀ = W + δ max(diag W) I with the first δ of 10 ε, 100 ε … √ε that makes it so (ε is the
    rounding of its type): more than that is no rounding, and L is NaN. Where W is not finite, nor is L.

    Example:
        >>> cholesky_root(torch.ones(2, 2, dtype=torch.float64)).diagonal()[1].item() < 1e-7
        True
        >>> cholesky_root(-torch.eye(2)).isnan().all().item()
        True
    """
    root: Tensor
    root, failed = torch.linalg.cholesky_ex(matrix)
    if not bool(failed.any()):
        return root
    jitter, lost = _least_jitter(matrix.detach(), failed != 0)
    if (recoveries := _recoveries.get()) is not None:
        recoveries.count += int(((failed != 0) & ~lost).sum())
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    # Anew for all: what has no root must have no part in the gradient either.
    mended = torch.where(lost[..., None, None], identity, matrix + jitter[..., None, None] * identity)
    root = torch.linalg.cholesky_ex(mended)[0]
    return root.masked_fill(lost[..., None, None], math.nan)


def _least_jitter(matrix: Tensor, failed: Tensor) -> tuple[Tensor, Tensor]:
    """What to add to the diagonal of each of the matrices, ``(…,)``, and which have no root even so."""
    lost, jitter = failed.clone(), torch.zeros_like(matrix[..., 0, 0])
    largest = matrix.diagonal(dim1=-2, dim2=-1).abs().amax(-1)
    rounding = torch.finfo(matrix.dtype).eps
    for power in range(1, 1 + math.floor(-0.5 * math.log10(rounding))):
        tried = torch.where(lost, rounding * 10.0**power * largest, jitter)
        added = torch.diag_embed(tried.unsqueeze(-1).expand(matrix.shape[:-1]))
        _, still = torch.linalg.cholesky_ex(matrix + added)
        jitter, lost = torch.where(lost & (still == 0), tried, jitter), lost & (still != 0)
        if not bool(lost.any()):
            break
    return jitter, lost
