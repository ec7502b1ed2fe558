"""Real numbers with one peak: Gaussian noise, Gaussian noise that depends on the row, and heavy tails."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pyro.distributions as dist
import torch
from scipy import special
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import softplus

from .protocol import Latent, Likelihood

__all__ = ["MIN_SCALE", "Gaussian", "HeteroscedasticGaussian", "StudentT"]

# Targets are standardised, so a noise scale below this is numerically a delta, and a gradient of 1/scale.
MIN_SCALE = 1e-4


class Gaussian(Likelihood):
    """y ~ N(f(x), σ²) with one unknown noise scale σ; log σ has prior N(−1.5, 1).

    Example:
        >>> Gaussian().distribution(torch.zeros(2, 4, 1), {"log_scale": torch.zeros(2, 1)}).stddev[0, 0]
        tensor(1.0001)
    """

    task = "regression"
    latents = MappingProxyType({"log_scale": Latent(-1.5, 1.0)})
    scale_latent = "log_scale"

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """Normal with batch shape ``(…, N)``."""
        loc = outputs[..., 0]
        scale = latents["log_scale"].exp() + MIN_SCALE
        return dist.Normal(loc, scale.expand_as(loc), validate_args=False)


class HeteroscedasticGaussian(Likelihood):
    """y ~ N(f₁(x), σ(x)²): the network's second output sets the noise, σ(x) = softplus(f₂(x) − 1.25).

    The shift puts σ near 0.25 (in standardised units) where the second output is zero.
    """

    task = "regression"
    n_outputs = 2

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """Normal with batch shape ``(…, N)``."""
        return dist.Normal(outputs[..., 0], softplus(outputs[..., 1] - 1.25) + MIN_SCALE, validate_args=False)


class StudentT(Likelihood):
    """y ~ f(x) + σ·t_ν: heavy tails, for targets with outliers; σ and ν = 2 + exp(log_df) are inferred."""

    task = "regression"
    latents = MappingProxyType({"log_scale": Latent(-1.5, 1.0), "log_df": Latent(1.5, 1.0)})
    scale_latent = "log_scale"

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """Student's t with batch shape ``(…, N)``; ν > 2, so that its variance exists."""
        loc = outputs[..., 0]
        scale = latents["log_scale"].exp() + MIN_SCALE
        df = 2.0 + latents["log_df"].exp()
        return _StudentT(df.expand_as(loc), loc, scale.expand_as(loc), validate_args=False)


class _StudentT(dist.StudentT):
    """Student's t with the distribution function that torch lacks (no gradient)."""

    def cdf(self, value: Tensor) -> Tensor:
        standard = ((value - self.loc) / self.scale).detach()
        return torch.from_numpy(special.stdtr(self.df.detach().numpy(), standard.numpy()))
