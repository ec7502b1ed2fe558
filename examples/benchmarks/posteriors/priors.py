"""The priors' vocabulary, in float64: flat ones, normals, and distributions cut to a part of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution, constraints
from torch import Tensor

Numbers = float | Sequence[float]


def double(numbers: Numbers) -> Tensor:
    """Numbers as float64."""
    return torch.tensor(numbers, dtype=torch.float64)


def flat(*size: int) -> TorchDistribution:
    """A constant density on the real numbers, or on vectors of a size.

    Its draws, N(0, 1), are a guide's first guess and no more; `ImproperUniform` has none to give, and
    Pyro's guides ask for one.
    """
    return dist.Normal(torch.zeros(size, dtype=torch.float64), 1.0).to_event(len(size)).mask(False)


def flat_positive() -> TorchDistribution:
    """A constant density on the positive numbers; its draws are LogNormal(0, 1)."""
    return dist.LogNormal(double(0.0), 1.0).mask(False)


def normal(mean: Numbers, scale: Numbers, *size: int) -> TorchDistribution:
    """N(mean, scale), one number; or a vector of independent ones where mean and scale, or a size, say so."""
    mean, scale = torch.broadcast_tensors(double(mean), double(scale))
    return as_event(dist.Normal(mean.expand(size or mean.shape), scale.expand(size or scale.shape)))


def half_normal(scale: Numbers, *size: int, mean: Numbers = 0.0) -> TorchDistribution:
    """N(mean, scale) cut to positive values."""
    return positive(normal(mean, scale, *size))


def half_cauchy(scale: float) -> TorchDistribution:
    """Cauchy(0, scale) cut to positive values."""
    return dist.HalfCauchy(double(scale))


def half_student_t(df: float, mean: float, scale: float) -> TorchDistribution:
    """StudentT(df, mean, scale) cut to positive values."""
    return positive(dist.StudentT(double(df), mean, scale))


def as_event(distribution: TorchDistribution) -> TorchDistribution:
    """Independent numbers as one vector."""
    return distribution.to_event(len(distribution.batch_shape))


def positive(base: TorchDistribution) -> Restricted:
    """A distribution of numbers, cut to positive ones."""
    return Restricted(base, constraints.independent(constraints.positive, base.event_dim))


class Restricted(TorchDistribution):
    """A distribution cut to a part of its support: its density there, without a new constant.

    Args:
        base: The distribution.
        support: The part. Draws are made again until they fall into it.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(
        self, base: TorchDistribution, support: constraints.Constraint, validate_args: bool | None = None
    ) -> None:
        self.base, self._support = base, support
        super().__init__(base.batch_shape, base.event_shape, validate_args=validate_args)

    @constraints.dependent_property
    def support(self) -> constraints.Constraint:
        """The part that it is cut to."""
        return self._support

    def expand(self, batch_shape: torch.Size, _instance: None = None) -> Restricted:
        """The same with other batch dimensions."""
        return Restricted(self.base.expand(batch_shape), self._support, self._validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        """The base's log density."""
        if self._validate_args:
            self._validate_sample(value)
        return self.base.log_prob(value)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws of the base that fell into the part."""
        draws = self.base.sample(torch.Size(sample_shape))
        inside = self._support.check(draws)
        while not inside.all():
            again = self.base.sample(torch.Size(sample_shape))
            draws = torch.where(inside.reshape(inside.shape + (1,) * self.event_dim), draws, again)
            inside = self._support.check(draws)
        return draws
