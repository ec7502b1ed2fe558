"""Gradient clipping, member by member."""

from __future__ import annotations

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
    norms = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0).sqrt()
    if not bool(torch.isfinite(norms).all()):
        raise TrainingDiverged("gradient", step)
    if limit > 0 and bool((norms > limit).any()):
        factors = (limit / norms).clamp_max(1.0)
        for gradient in gradients:
            gradient.mul_(factors.reshape(-1, *[1] * (gradient.dim() - 1)))
