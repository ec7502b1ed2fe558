"""The Laplace prior: most weights near zero, a few far from it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Laplace

from .base import Prior

__all__ = ["LaplacePrior"]


class LaplacePrior(Prior):
    """Laplace weights with standard deviation ``scale``: p(u) = exp(−√2 |u|)/√2.

    The arguments are those of `Prior`; biases have the same law with ``bias_scale``.

    Example:
        >>> from bayeshyper.models import MLP, BayesianModel, Gaussian, Target
        >>> model = BayesianModel(Target(MLP(3, 1)), LaplacePrior(gain=1.0), Gaussian(), num_data=10)
        >>> model.prior().sample((5,)).shape
        torch.Size([5, 252])
    """

    def standard(self) -> Distribution:
        """Laplace with standard deviation one, which is √2 times its own scale."""
        return Laplace(self.loc.new_zeros(()), self.loc.new_tensor(math.sqrt(0.5)), validate_args=False)

    def expectation(self, u: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        """−√2 E|u| − ½ log 2, by the mean of a folded Normal: E|u| = σ√(2/π) e^(−m²/2σ²) + m erf(m/σ√2)."""
        ratio = mean / (math.sqrt(2.0) * spread)
        folded = spread * math.sqrt(2.0 / math.pi) * torch.exp(-ratio.square()) + mean * torch.erf(ratio)
        return -math.sqrt(2.0) * folded - 0.5 * math.log(2.0)
