"""Likelihoods: what the network's outputs mean for the observed target.

A likelihood says how many outputs it needs per row, which unknowns of its own are inferred together
with the weights (``latents``), and which distribution of the target follows. A new one is ten lines:

    >>> class Laplace(Likelihood):
    ...     task = "regression"
    ...     latents = {"log_scale": Latent(loc=-1.5, scale=1.0)}
    ...
    ...     def distribution(self, outputs, latents):
    ...         return torch.distributions.Laplace(outputs[..., 0], latents["log_scale"].exp())
    >>> Laplace().distribution(torch.zeros(3, 5, 1), {"log_scale": torch.zeros(3, 1)}).batch_shape
    torch.Size([3, 5])
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import pyro.distributions as dist
import torch
from scipy import special
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import softplus

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Categorical",
    "Gaussian",
    "HeteroscedasticGaussian",
    "Latent",
    "Likelihood",
    "StudentT",
]

Task = Literal["regression", "classification"]

# Targets are standardised, so a noise scale below this is numerically a delta, and a gradient of 1/scale.
MIN_SCALE = 1e-4


@dataclass(frozen=True)
class Latent:
    """A scalar unknown of a likelihood, with its Normal prior in standardised units."""

    loc: float = 0.0
    scale: float = 1.0


class Likelihood:
    """The protocol of a likelihood; subclass it and give ``task``, ``latents`` and ``distribution``.

    Attributes:
        task: ``"regression"`` (targets are standardised) or ``"classification"`` (class indices).
        latents: Scalar unknowns inferred with the weights: name → `Latent`.
        n_outputs: How many outputs per row the network must give.
        scale_latent: The latent that is the log of the noise scale, which held-out rows can set; None where
            there is none.
    """

    task: ClassVar[Task]
    latents: ClassVar[Mapping[str, Latent]] = {}
    n_outputs: int = 1
    scale_latent: ClassVar[str | None] = None

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """The target's distribution.

        Args:
            outputs: ``(…, N, n_outputs)`` from the network, one leading index per weight draw.
            latents: Name → ``(…, 1)``, which broadcasts against the rows.

        Returns:
            A distribution with batch shape ``(…, N)``.
        """
        raise NotImplementedError(f"{type(self).__name__} must define distribution(outputs, latents).")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Gaussian(Likelihood):
    """y ~ N(f(x), σ²) with one unknown noise scale σ; log σ has prior N(−1.5, 1).

    Example:
        >>> Gaussian().distribution(torch.zeros(2, 4, 1), {"log_scale": torch.zeros(2, 1)}).stddev[0, 0]
        tensor(1.0001)
    """

    task = "regression"
    latents: ClassVar[Mapping[str, Latent]] = {"log_scale": Latent(-1.5, 1.0)}
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
    latents: ClassVar[Mapping[str, Latent]] = {
        "log_scale": Latent(-1.5, 1.0),
        "log_df": Latent(1.5, 1.0),
    }
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


class Bernoulli(Likelihood):
    """Two classes from one logit: p(y = 1) = sigmoid(f(x)).

    Example:
        >>> Bernoulli().distribution(torch.zeros(3, 5, 1), {}).probs[0, 0]
        tensor(0.5000)
    """

    task = "classification"

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """Bernoulli with batch shape ``(…, N)``."""
        result: Distribution = dist.Bernoulli(logits=outputs[..., 0], validate_args=False)
        return result


class Categorical(Likelihood):
    """C classes from C logits: p(y = c) = softmax(f(x))_c.

    Args:
        n_classes: C, at least two.
    """

    task = "classification"

    def __init__(self, n_classes: int) -> None:
        if n_classes < 2:
            raise ValueError(f"Got n_classes = {n_classes}, expected at least 2.")
        self.n_outputs = n_classes

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """Categorical with batch shape ``(…, N)``."""
        return dist.Categorical(logits=outputs, validate_args=False)

    def __repr__(self) -> str:
        return f"Categorical(n_classes={self.n_outputs})"


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "gaussian": Gaussian,
    "heteroscedastic": HeteroscedasticGaussian,
    "student-t": StudentT,
    "bernoulli": Bernoulli,
    "categorical": Categorical,
}
