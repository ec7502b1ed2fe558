"""How the learning rate and the KL weight move over a fit."""

from __future__ import annotations

import math

from .settings import SVISettings

__all__ = ["kl_weight", "learning_rate"]


def learning_rate(step: int, steps: int, settings: SVISettings) -> float:
    """Linear warm-up, then a cosine from the highest rate to ``final`` times it.

    Example:
        >>> settings = SVISettings()
        >>> learning_rate(1000, 1000, settings) / settings.optimizer.learning_rate
        0.01
    """
    optimizer = settings.optimizer
    warmup = min(optimizer.warmup, steps // 10)
    if step <= warmup:
        return optimizer.learning_rate * step / warmup
    progress = (step - warmup) / max(steps - warmup, 1)
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    return optimizer.learning_rate * (optimizer.final + (1.0 - optimizer.final) * cosine)


def kl_weight(step: int, steps: int, settings: SVISettings) -> float:
    """Grows geometrically from ``start`` times the temperature to the temperature, then stays.

    Geometrically, because the posterior widens with its logarithm: a linear rise spends most of its steps
    near the top.

    Example:
        >>> settings = SVISettings()
        >>> kl_weight(1000, 1000, settings) == settings.kl.temperature
        True
    """
    remaining = 1.0 - step / (settings.kl.anneal * steps) if settings.kl.anneal > 0 else 0.0
    weight: float = settings.kl.temperature * settings.kl.start ** max(remaining, 0.0)
    return weight
