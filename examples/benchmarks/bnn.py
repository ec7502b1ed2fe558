"""The Bayesian network that the peers share with ours, in the coordinates where its prior is N(0, I).

An MLP with ReLU; a weight is √(2/fan_in) times its coordinate and a bias is its coordinate, so that weights
have prior N(0, 2/fan_in) and biases N(0, 1). The noise has log σ ~ N(−1.5, 1). All in standardised units.
Arrays may be torch's or JAX's: nothing here but arithmetic that both know.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch

LOG_SCALE_MEAN, LOG_SCALE_DEVIATION = -1.5, 1.0
BATCH = 128
LEAST_STEPS, MOST_STEPS, EPOCHS = 6000, 20_000, 200
MIN_SCALE = 1e-4  # added to exp(log σ), as bayeshyper's Gaussian likelihood does


def widths(features: int, hidden: tuple[int, ...]) -> tuple[int, ...]:
    """Units of every layer, from the features to the one output."""
    return (features, *hidden, 1)


def size(units: tuple[int, ...]) -> int:
    """How many weights and biases, D."""
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(units))


def function(u: Any, x: Any, units: tuple[int, ...], before: Callable[[Any], Any] | None = None) -> Any:
    """The network's output.

    Args:
        u: Coordinates, ``(…, D)``.
        x: Rows, ``(…, N, F)``.
        units: As from `widths`.
        before: What is done to the input of every layer: dropout, say.

    Returns:
        ``(…, N)``.
    """
    # Rows stand side by side, (units, N): their sums then run along memory, which halves JAX's gradient.
    values, start, last = x.swapaxes(-1, -2), 0, len(units) - 2
    for layer, (fan_in, fan_out) in enumerate(pairwise(units)):
        middle = start + fan_in * fan_out
        weight = u[..., start:middle].reshape((*u.shape[:-1], fan_out, fan_in)) * math.sqrt(2 / fan_in)
        start = middle + fan_out
        values = weight @ (values if before is None else before(values)) + u[..., middle:start, None]
        if layer < last:
            values = values.clip(min=0.0)
    return values[..., 0, :]


def functions(u: torch.Tensor, x: torch.Tensor, units: tuple[int, ...], chunk: int = 32) -> torch.Tensor:
    """The same for many draws ``(S, D)``, a few at a time, since hidden layers of all are large."""
    return torch.cat([function(part, x, units) for part in u.split(chunk)])


def prior_draw(units: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Where an optimiser starts: a draw from the prior, its biases at 0, ``(D,)``."""
    u = torch.randn(size(units), generator=generator)
    start = 0
    for fan_in, fan_out in pairwise(units):
        start += (fan_in + 1) * fan_out
        u[start - fan_out : start] = 0.0
    return u


def is_weight(units: tuple[int, ...]) -> torch.Tensor:
    """Which coordinates are weights, and not biases, ``(D,)``."""
    kinds = [torch.arange((fan_in + 1) * fan_out) < fan_in * fan_out for fan_in, fan_out in pairwise(units)]
    return torch.cat(kinds)


def steps_for(rows: int) -> int:
    """Gradient steps on mini-batches: 200 epochs, in bounds."""
    return min(max(LEAST_STEPS, EPOCHS * rows // BATCH), MOST_STEPS)
