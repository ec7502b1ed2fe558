"""Counts: whole numbers of 0 or more, whose mean is the exponential of the network's output."""

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
from torch.nn.functional import logsigmoid

from bayeshyper.errors import DataError

from .gaussian import MIN_SCALE
from .protocol import COUNTS, Latent, Likelihood, TargetFacts

__all__ = ["NegativeBinomial", "Poisson"]

# Of the network's output: e^30 times the typical count is beyond any data, and float32 still holds it.
LARGEST_OUTPUT = 30.0
# Of a target: up to here float64 knows a count's log probability to a hundredth of a nat.
LARGEST_COUNT = 1e12


class _Counts(Likelihood):
    """What the two have in common: the log link, and the count that it is measured from."""

    task = "regression"
    support = COUNTS

    def __init__(self, *, mean: float = 1.0) -> None:
        if not (mean > 0 and math.isfinite(mean)):
            raise ValueError(f"Got mean = {mean}, expected a positive number: the counts' typical size.")
        self.mean = mean

    @classmethod
    def for_target(cls, target: TargetFacts, **options: Any) -> Self:
        """``mean`` is the training targets', unless a recipe sets it."""
        # Targets of no positive mean are not counts: `check_target` names the first that is none.
        return cls(**{"mean": target.mean if target.mean > 0 else 1.0, **options})

    def check_target(self, y: Tensor) -> None:
        """Refuse what is no count, and counts so large that their log probabilities are lost in rounding."""
        super().check_target(y)
        if bool((y > LARGEST_COUNT).any()):
            row = int((y > LARGEST_COUNT).nonzero()[0, 0])
            raise DataError(
                f"Got the target {y[row].item():.10g} in row {row + 1} (counting from 1), expected counts up "
                f"to {LARGEST_COUNT:g} for the likelihood {type(self).__name__}; count in larger units, or "
                "choose the likelihood gaussian."
            )

    def log_rate(self, outputs: Tensor) -> Tensor:
        """log E[y | x] = log mean + f(x), ``(…, N)``."""
        return outputs[..., 0].clamp(-LARGEST_OUTPUT, LARGEST_OUTPUT) + math.log(self.mean)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean:.6g})"


class Poisson(_Counts):
    """Counts y ~ Poisson(λ(x)) with λ(x) = mean · exp(f(x)): variance and mean are the same.

    Args:
        mean: The counts' typical size, which λ is where the network's output is 0; an estimator takes the
            training targets' mean, so that the network's outputs are of order one whatever the counts are.

    Example:
        >>> part = Poisson(mean=3.0).distribution(torch.zeros(2, 4, 1), {})
        >>> part.mean[0, 0], part.batch_shape
        (tensor(3.), torch.Size([2, 4]))
    """

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """Poisson with batch shape ``(…, N)``."""
        rate = self.log_rate(outputs).exp()
        return _Poisson(rate, validate_args=False)  # type: ignore[no-untyped-call]


class NegativeBinomial(_Counts):
    """Counts y ~ Poisson(λ) whose rate λ varies between rows that look the same.

    λ is Gamma distributed with mean m(x) = mean · exp(f(x)) and standard deviation τ m(x), so that

        E[y] = m,   Var[y] = m + τ² m²

    (the "NB2" of Cameron & Trivedi 1998, with dispersion τ²); it is Poisson as τ → 0. log τ has prior
    N(−1, 1).

    Args:
        mean: As for `Poisson`.

    Example:
        >>> latents = {"log_scale": torch.zeros(1, 1)}
        >>> part = NegativeBinomial(mean=3.0).distribution(torch.zeros(1, 4, 1), latents)
        >>> part.mean[0, 0].round(), part.variance[0, 0].round()
        (tensor(3.), tensor(12.))
    """

    latents = MappingProxyType({"log_scale": Latent(-1.0, 1.0)})
    scale_latent = "log_scale"

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """Negative binomial with batch shape ``(…, N)``."""
        log_rate = self.log_rate(outputs)
        # The floor lets log τ fall for ever: 0.01 % is nothing beside a count's own noise.
        log_shape = -2.0 * (latents["log_scale"].exp() + MIN_SCALE).log().expand_as(log_rate)
        return _NegativeBinomial(log_shape.exp(), logits=log_rate - log_shape, validate_args=False)


class _Poisson(dist.Poisson):
    """The Poisson with the distribution function that torch lacks (no gradient)."""

    def log_prob(self, value: Tensor) -> Tensor:
        # The terms are a hundred thousand times their sum where counts are in the thousands.
        rate, count = self.rate.double(), value.double()
        return (count.xlogy(rate) - rate - (count + 1.0).lgamma()).to(self.rate.dtype)

    def cdf(self, value: Tensor) -> Tensor:
        """P(Y ≤ k) = Q(k + 1, λ), the regularised incomplete gamma function."""
        count = value.detach().floor()
        below = special.gammaincc(count.clamp(min=0.0).numpy() + 1.0, self.rate.detach().numpy())
        return torch.where(count < 0, 0.0, torch.from_numpy(below))


class _NegativeBinomial(dist.NegativeBinomial):
    """The negative binomial with the distribution function that torch lacks (no gradient)."""

    def log_prob(self, value: Tensor) -> Tensor:
        # As above; here the terms are as large as the shape 1/τ², whatever the counts.
        shape, logits, count = self.total_count.double(), self.logits.double(), value.double()
        log_choices = (shape + count).lgamma() - shape.lgamma() - (count + 1.0).lgamma()
        sigmoids = logsigmoid(-logits), logsigmoid(logits)
        result: Tensor = log_choices + shape * sigmoids[0] + count * sigmoids[1]
        return result.to(self.logits.dtype)

    def cdf(self, value: Tensor) -> Tensor:
        """P(Y ≤ k) = I_{1−p}(r, k + 1), the regularised incomplete beta function."""
        count = value.detach().floor()
        at = torch.sigmoid(-self.logits.detach()).numpy()
        below = special.betainc(self.total_count.detach().numpy(), count.clamp(min=0.0).numpy() + 1.0, at)
        return torch.where(count < 0, 0.0, torch.from_numpy(below))
