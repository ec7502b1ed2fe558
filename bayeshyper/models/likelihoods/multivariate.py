"""Several numbers per row, whose errors may go together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from .gaussian import MIN_SCALE
from .protocol import Latent, Likelihood, TargetFacts

__all__ = ["ColumnOf", "MultivariateGaussian"]


class MultivariateGaussian(Likelihood):
    """K numbers y ~ N(f(x), Σ) with one unknown covariance of the noise, full or diagonal.

    Σ = LLᵀ with L = diag(σ) C, where C is lower triangular with ones on its diagonal (and nothing else where
    Σ is diagonal): column k's error is σ_k times noise of its own, plus σ_k Σ_{j<k} C_kj times the noise of
    the columns before. log σ_k has prior N(−1.5, 1), the entries of C below the diagonal have N(0, 1).

    Args:
        n_columns: K, at least 1.
        covariance: ``"full"`` or ``"diagonal"``.

    Example:
        >>> likelihood = MultivariateGaussian(2)
        >>> latents = {"log_scale": torch.zeros(3, 1, 2), "mixing": torch.ones(3, 1, 1)}
        >>> part = likelihood.distribution(torch.zeros(3, 5, 2), latents)
        >>> part.batch_shape, part.event_shape, part.covariance_matrix[0, 0].round()
        (torch.Size([3, 5]), torch.Size([2]), tensor([[1., 1.],
                [1., 2.]]))
    """

    task = "regression"
    scale_latent = "log_scale"

    def __init__(self, n_columns: int, *, covariance: Literal["full", "diagonal"] = "full") -> None:
        if n_columns < 1:
            raise ValueError(f"Got n_columns = {n_columns}, expected at least 1.")
        if covariance not in ("full", "diagonal"):
            raise ValueError(f"Got covariance = {covariance!r}, expected 'full' or 'diagonal'.")
        self.n_outputs = n_columns
        self.event_shape = (n_columns,)
        self.covariance = covariance
        latents = {"log_scale": Latent(-1.5, 1.0, (n_columns,))}
        if covariance == "full" and n_columns > 1:
            latents["mixing"] = Latent(shape=(n_columns * (n_columns - 1) // 2,))
        self.latents = latents

    @classmethod
    def for_target(cls, target: TargetFacts, **options: Any) -> Self:
        """As many columns as the training targets have."""
        return cls(n_columns=target.n_columns, **options)

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """Normal with batch shape ``(…, N)`` and event shape ``(K,)``."""
        scale = latents["log_scale"].exp() + MIN_SCALE
        if "mixing" not in self.latents:
            alone: Distribution = dist.Normal(outputs, scale.expand_as(outputs), validate_args=False)
            return alone.to_event(1)  # type: ignore[attr-defined, no-any-return]
        mixing = latents["mixing"] @ self._below_diagonal(outputs).flatten(1)
        ones = torch.eye(self.n_outputs, dtype=outputs.dtype, device=outputs.device)
        root = scale.unsqueeze(-1) * (ones + mixing.unflatten(-1, ones.shape))
        result: Distribution = dist.MultivariateNormal(outputs, scale_tril=root, validate_args=False)
        return result

    def marginals(self, distribution: Distribution) -> Distribution:
        """Each column's Normal, batch shape ``(…, N, K)``."""
        return dist.Normal(distribution.mean, distribution.stddev, validate_args=False)

    def _below_diagonal(self, like: Tensor) -> Tensor:
        """The matrices with a single one below the diagonal, ``(K(K−1)/2, K, K)``, row by row."""
        rows, columns = torch.tril_indices(self.n_outputs, self.n_outputs, -1, device=like.device)
        matrices = like.new_zeros(len(rows), self.n_outputs, self.n_outputs)
        matrices[torch.arange(len(rows)), rows, columns] = 1.0
        return matrices

    def __repr__(self) -> str:
        return f"MultivariateGaussian(n_columns={self.n_outputs}, covariance={self.covariance!r})"


class ColumnOf(Likelihood):
    """One column of a likelihood of K numbers, whatever the others are.

    Args:
        likelihood: The likelihood of all of them.
        column: Which one, counted from 0.
    """

    task = "regression"

    def __init__(self, likelihood: Likelihood, column: int) -> None:
        self.likelihood, self.column = likelihood, column
        self.latents, self.n_outputs = likelihood.latents, likelihood.n_outputs
        self.support = likelihood.support

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """The column's own distribution, batch shape ``(…, N)``."""
        together = self.likelihood.distribution(outputs, latents)
        return _Column(self.likelihood.marginals(together), self.column)

    def __repr__(self) -> str:
        return f"ColumnOf({self.likelihood}, {self.column})"


class _Column(Distribution):
    """One entry of the last batch dimension of another distribution."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, columns: Distribution, index: int) -> None:
        self.columns, self.index = columns, index
        super().__init__(columns.batch_shape[:-1], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.columns.mean[..., self.index]

    @property
    def variance(self) -> Tensor:
        return self.columns.variance[..., self.index]

    def log_prob(self, value: Tensor) -> Tensor:
        result: Tensor = self.columns.log_prob(value.unsqueeze(-1))
        return result[..., self.index]

    def cdf(self, value: Tensor) -> Tensor:
        return self.columns.cdf(value.unsqueeze(-1))[..., self.index]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        drawn: Tensor = self.columns.sample(torch.Size(sample_shape))
        return drawn[..., self.index]
