"""Shares: numbers strictly between 0 and 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

import pyro.distributions as dist
import torch
from scipy import special
from torch import Tensor
from torch.distributions import Distribution

from .gaussian import MIN_SCALE
from .protocol import SHARES, Latent, Likelihood, TargetFacts

__all__ = ["Beta"]

# Means nearer to 0 or 1 than e^-15 are not told from them: further out, float32 would.
LARGEST_LOGIT = 15.0


class Beta(Likelihood):
    """Shares y ~ Beta(μφ, (1 − μ)φ) with mean μ(x) = sigmoid(f(x) + logit(mean)) and precision φ = 1/τ².

    Var[y] = μ(1 − μ)/(1 + φ), so that τ is the noise as a share of the most that a mean of μ allows, where it
    is small (beta regression, Ferrari & Cribari-Neto 2004). log τ has prior N(−1, 1).

    Args:
        mean: The typical share, which μ is where the network's output is 0; an estimator takes the training
            targets' mean.

    Example:
        >>> part = Beta(mean=0.2).distribution(torch.zeros(1, 4, 1), {"log_scale": torch.zeros(1, 1)})
        >>> part.mean[0, 0], part.batch_shape
        (tensor(0.2000), torch.Size([1, 4]))
    """

    task = "regression"
    support = SHARES
    latents = MappingProxyType({"log_scale": Latent(-1.0, 1.0)})
    scale_latent = "log_scale"

    def __init__(self, *, mean: float = 0.5) -> None:
        if not 0 < mean < 1:
            raise ValueError(
                f"Got mean = {mean}, expected a number strictly between 0 and 1: the typical share."
            )
        self.mean = mean

    @classmethod
    def for_target(cls, target: TargetFacts, **options: Any) -> Self:
        """``mean`` is the training targets', unless a recipe sets it."""
        # Targets whose mean is no share are none either: `check_target` names the first.
        return cls(**{"mean": target.mean if 0 < target.mean < 1 else 0.5, **options})

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """Beta with batch shape ``(…, N)``."""
        logit = outputs[..., 0] + (math.log(self.mean) - math.log1p(-self.mean))
        logit = logit.clamp(-LARGEST_LOGIT, LARGEST_LOGIT)
        precision = (latents["log_scale"].exp() + MIN_SCALE).pow(-2.0)
        return _Beta(precision * logit.sigmoid(), precision * (-logit).sigmoid(), validate_args=False)

    def __repr__(self) -> str:
        return f"Beta(mean={self.mean:.6g})"


class _Beta(dist.Beta):
    """The Beta with the distribution function that torch lacks (no gradient), its draws inside (0, 1)."""

    def log_prob(self, value: Tensor) -> Tensor:
        # As for counts: with a precision in the thousands, the terms are far larger than their sum.
        a, b, share = self.concentration1.double(), self.concentration0.double(), value.double()
        log_beta = a.lgamma() + b.lgamma() - (a + b).lgamma()
        inside = (share > 0) & (share < 1)
        kept = torch.where(inside, share, 0.5)
        density = (a - 1.0) * kept.log() + (b - 1.0) * torch.log1p(-kept) - log_beta
        return torch.where(inside, density, -math.inf).to(self.concentration1.dtype)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """A share that rounds to 0 or 1 is the nearest number that does not."""
        drawn: Tensor = super().rsample(torch.Size(sample_shape))
        limits = torch.finfo(drawn.dtype)
        return drawn.clamp(limits.tiny, 1.0 - limits.eps)

    def cdf(self, value: Tensor) -> Tensor:
        """P(Y ≤ y) = I_y(a, b), the regularised incomplete beta function."""
        parameters = (self.concentration1.detach().numpy(), self.concentration0.detach().numpy())
        return torch.from_numpy(special.betainc(*parameters, value.detach().clamp(0.0, 1.0).numpy()))
