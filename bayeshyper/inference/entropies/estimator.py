"""What an estimator of the posterior's entropy is, and the part of the entropy that needs no estimating."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from bayeshyper.hypernets import Hypernetwork, WeightDraw

__all__ = ["Entropy", "EntropyEstimator", "conditional_log_density", "noise_entropy", "options_of"]

EntropyEstimator = Callable[[Hypernetwork, WeightDraw], Tensor]
"""``(hypernetwork, draw) → (M, R)``: nats, one estimate for each draw."""


class Entropy(nn.Module):
    """An estimator of H[q]: called with a hypernetwork and a draw of it, it gives ``(M, R)`` nats.

        H[q] = D/2·log 2πe + Σ_i log(s_i σ_i) + I(θ; z)

    The output noise's own entropy is exact and the same for all; they differ in how much of the *mutual
    information* I(θ; z), what the weights tell of the noise they were made from, each of them credits.
    Subclass it and give ``information``; a keyword argument with a default can be set in a recipe's table
    ``[entropy_options]``. What learns along with the posterior (``nn.Parameter``) has a leading index M.

    Args:
        hypernetwork: What it will be asked about; sizes whatever the estimator learns.

    Attributes:
        estimates: What its mean over draws is an estimate of, in a few words.
        direction: On which side of the entropy that is.
        cost: Of one step, beside drawing the weights.
        pointwise: Whether it knows the density at each draw (`log_density`), as importance weights need.
        optimizer: Of what it trains by itself; its state is kept in checkpoints.

    Example:
        >>> class Nothing(Entropy):
        ...     estimates, direction, cost = "the output noise's entropy", "lower bound", "O(D)"
        ...
        ...     def information(self, hypernetwork, draw):
        ...         return torch.zeros(draw.weights.shape[:2])
        >>> net = Hypernetwork(torch.zeros(1, 2), torch.ones(2))
        >>> Nothing(net)(net, net.draw(3)).shape
        torch.Size([1, 3])
    """

    estimates: ClassVar[str]
    direction: ClassVar[str]
    cost: ClassVar[str]
    pointwise: ClassVar[bool] = False
    optimizer: torch.optim.Optimizer | None = None

    def __init__(self, hypernetwork: Hypernetwork) -> None:
        super().__init__()

    def forward(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """The estimate of each draw, ``(M, R)``; its mean over draws is what counts."""
        entropy = noise_entropy(hypernetwork, draw)
        if hypernetwork.trunk.noise_dim > 0:
            entropy = entropy + self.information(hypernetwork, draw)
        return entropy.to(draw.mean.dtype)

    def information(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """What is credited of I(θ; z), ``(M, R)`` in float64."""
        raise NotImplementedError(f"{type(self).__name__} must define information(hypernetwork, draw).")

    def log_density(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """log q(θ) at each draw, ``(M, R)``: of a single draw, not of the mean of many.

        Raises:
            ValueError: The estimator knows no density (``pointwise`` is False).
        """
        raise ValueError(
            f"Got {type(self).__name__}, which knows no density at a single draw; importance weights need an "
            "estimator that does, such as 'linearized' or 'hierarchical'."
        )


def options_of(kind: type) -> list[str]:
    """The arguments of a class that a recipe may set: those with a default."""
    parameters = inspect.signature(kind).parameters.values()
    return [parameter.name for parameter in parameters if parameter.default is not parameter.empty]


def noise_entropy(hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
    """D/2·log 2πe + Σ_i log(s_i σ_i), the entropy of θ given z, as ``(M, R)`` in float64."""
    log_scale = draw.scale.log().sum(-1, dtype=torch.float64)
    entropy = 0.5 * hypernetwork.size * math.log(2 * math.pi * math.e) + log_scale
    return entropy.expand(draw.mean.shape[:2])


def conditional_log_density(hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
    """log q(θ | z) at each draw, ``(M, R)`` in float64."""
    noise = (draw.weights - draw.mean) / draw.scale
    excess = 0.5 * (noise.square().sum(-1, dtype=torch.float64) - hypernetwork.size)
    return -noise_entropy(hypernetwork, draw) - excess
