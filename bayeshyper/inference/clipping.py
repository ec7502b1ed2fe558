"""Gradient clipping, member by member."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from bayeshyper.errors import TrainingDiverged

__all__ = ["clip_gradients"]


def clip_gradients(parameters: Iterable[Tensor], limit: float, step: int) -> None:
    """Scale each member's gradient to a norm of at most ``limit``; 0 only checks that it is finite.

    Members share no parameter (all have a leading index M), so each has a norm of its own: clipping them
    together would make one member's step depend on another's.

    Raises:
        TrainingDiverged: A gradient is not finite.
    """
    gradients = [p.grad for p in parameters if p.grad is not None and p.grad.numel()]
    of_each = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients]
    norms = torch.linalg.vector_norm(torch.stack(of_each), dim=0)
    largest = norms.max().item()  # NaN if one is
    if not math.isfinite(largest):
        raise TrainingDiverged("gradient", step)
    if 0 < limit < largest:
        factors = (limit / norms).clamp_max(1.0)
        for gradient in gradients:
            gradient.mul_(factors.reshape(-1, *[1] * (gradient.dim() - 1)))
