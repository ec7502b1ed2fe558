"""An equal mixture of the weight draws' distributions: its distribution function, quantiles and entropy.

Each function takes a distribution of batch shape ``(S, rows, …)`` and mixes over the first dimension.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor
from torch.distributions import Distribution

from bayeshyper.models import Support

__all__ = ["class_probabilities", "entropy", "mixed_cdf", "quantile"]

Array = NDArray[np.float64]

MAX_ROOT_STEPS = 100


def mixed_cdf(part: Distribution, value: Array) -> Array:
    """The mixture's distribution function at one value per row, ``(rows, …)``."""
    mixed: Array = part.cdf(torch.from_numpy(value)).mean(0).numpy()
    return mixed


def quantile(part: Distribution, level: float, support: Support) -> Array:
    """One quantile of the mixture per row, ``(rows, …)``: the smallest y with P(Y ≤ y) ≥ level.

    Args:
        part: The draws' distributions.
        level: Strictly between 0 and 1.
        support: Where they are; the quantile of whole numbers is one.
    """
    means, variances = part.mean.numpy(), part.variance.numpy()
    # Chebyshev: every draw's quantile, and so the mixture's, lies within this many standard deviations.
    reach = 1.001 / np.sqrt(min(level, 1.0 - level)) * np.sqrt(variances)
    low = np.maximum((means - reach).min(0), support.lower)
    high = np.minimum((means + reach).max(0), support.upper)
    start = means.mean(0) + ndtri(level) * np.sqrt(variances.mean(0) + means.var(0))
    search = _discrete_quantile if support.discrete else _continuous_quantile
    return search(part, level, start, low, high)


def _continuous_quantile(part: Distribution, level: float, start: Array, low: Array, high: Array) -> Array:
    """Newton steps from ``start``, inside a shrinking bracket.

    A row stops moving once it has converged, so that its result does not depend on the rows beside it.
    """
    tolerance = 1e-12 * (high - low)
    # Where a draw has no variance, there is no start.
    value = np.where((start > low) & (start < high), start, 0.5 * (low + high))
    step = high - low
    moving = np.ones_like(value, dtype=bool)
    for _ in range(MAX_ROOT_STEPS):
        density = np.exp(part.log_prob(torch.from_numpy(value)).numpy()).mean(0)
        excess = mixed_cdf(part, value) - level
        low, high = np.where(excess < 0, value, low), np.where(excess < 0, high, value)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            newton = value - excess / density
        # A step of nothing, at the root itself, is inside. Steps that do not halve may go on for ever.
        inside = (newton >= low) & (newton <= high) & (np.abs(newton - value) <= 0.5 * np.abs(step))
        step = np.where(inside, newton, 0.5 * (low + high)) - value
        value = np.where(moving, value + step, value)
        moving &= np.abs(step) > tolerance
        if not moving.any():
            break
    result: Array = value
    return result


def _discrete_quantile(part: Distribution, level: float, start: Array, low: Array, high: Array) -> Array:
    """Newton steps over whole numbers, of which ``low`` is always too low and ``high`` never."""
    value, low, high = start, np.floor(low) - 1.0, np.ceil(high)
    width = high - low
    for step in itertools.count(1):
        value = np.clip(np.ceil(value), low + 1.0, high)
        with np.errstate(over="ignore"):  # beyond 1e15 the log probability is rounded to more than 0
            mass = np.exp(part.log_prob(torch.from_numpy(value)).numpy()).mean(0)
        excess = mixed_cdf(part, value) - level
        enough = excess >= 0
        low, high = np.where(enough, low, value), np.where(enough, value, high)
        # P(Y ≤ y − 1) is known, too, where it differs from P(Y ≤ y) by more than their last digits.
        low = np.where(enough & (excess < mass) & (mass > 1e-12), value - 1.0, low)
        # Beyond 2^53 not every whole number is a float64.
        if (high - low <= np.maximum(1.0, np.spacing(high))).all():
            break
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value = value - excess / mass
        creeping = (high - low > 0.5 * width) if step % 3 == 0 else False
        value = np.where(creeping | ~np.isfinite(value), 0.5 * (low + high), value)
        width = high - low if step % 3 == 0 else width
    result: Array = high
    return result


def class_probabilities(part: Distribution) -> Array:
    """``(S, rows, C)``; a Bernoulli's one number per row is completed to two."""
    probs: Tensor = part.probs  # type: ignore[attr-defined]
    if probs.dim() == 2:
        probs = torch.stack([1.0 - probs, probs], dim=-1)
    result: Array = probs.numpy()
    return result


def entropy(probs: Array) -> Array:
    """In nats, of probabilities ``(…, C)``."""
    logs = np.log(probs, out=np.zeros_like(probs), where=probs > 0)
    result: Array = -(probs * logs).sum(-1)
    return result
