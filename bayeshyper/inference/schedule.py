"""How the learning rate and the KL weight move over a fit."""

from __future__ import annotations

import math

from .settings import KLSettings, OptimizerSettings

__all__ = ["kl_weight", "rate_share"]


def rate_share(step: int, steps: int, optimizer: OptimizerSettings) -> float:
    """Linear warm-up, then a cosine down to ``final``, as a share of the highest learning rate.

    Example:
        >>> rate_share(1000, 1000, OptimizerSettings())
        0.01
    """
    warmup = min(optimizer.warmup, steps // 10)
    if step <= warmup:
        return step / warmup
    progress = (step - warmup) / max(steps - warmup, 1)
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    return optimizer.final + (1.0 - optimizer.final) * cosine


def kl_weight(step: int, steps: int, kl: KLSettings, temperature: float) -> float:
    """Grows geometrically from ``start`` times the temperature to the temperature, then stays.

    Geometrically, because the posterior widens with its logarithm: a linear rise spends most of its steps
    near the top.

    Example:
        >>> kl_weight(1000, 1000, KLSettings(), 0.1)
        0.1
    """
    remaining = 1.0 - step / (kl.anneal * steps) if kl.anneal > 0 else 0.0
    weight: float = temperature * kl.start ** max(remaining, 0.0)
    return weight
