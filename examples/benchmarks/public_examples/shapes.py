"""Posteriors of a shape: a banana, eight schools, and a trend of many steps."""

from __future__ import annotations

from functools import partial

import pyro
import pyro.distributions as dist
import torch
from pyro.contrib.forecast import ForecastingModel
from pyro.distributions.transforms import block_autoregressive, iterated
from pyro.infer import Trace_ELBO
from pyro.infer.autoguide import AutoDiagonalNormal, AutoNormal, AutoNormalizingFlow, init_to_sample
from pyro.optim import Adam, DCTAdam
from torch import Tensor
from torch.distributions import constraints

from .kind import PublicExample, generator


class Banana(dist.TorchDistribution):  # type: ignore[misc]
    """(a u₁, u₂ / a + b (u₁² + a²)) of a Gaussian u with correlation ρ; its log normaliser is 0."""

    support = constraints.real_vector
    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's own protocol

    def __init__(self, a: float, b: float, rho: float = 0.9, batch_shape: torch.Size = torch.Size()) -> None:  # noqa: B008
        self.a, self.b, self.rho = a, b, rho
        super().__init__(batch_shape, torch.Size((2,)), validate_args=False)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> Banana:
        """The same for every batch."""
        return Banana(self.a, self.b, self.rho, torch.Size(batch_shape))

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw ``(*sample_shape, *batch_shape, 2)``."""
        u = self._gaussian().sample(torch.Size(sample_shape) + self.batch_shape)
        x = self.a * u[..., 0]
        return torch.stack([x, u[..., 1] / self.a + self.b * (u[..., 0] ** 2 + self.a**2)], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """The Jacobian of the map from u is 1."""
        first = value[..., 0] / self.a
        second = (value[..., 1] - self.b * (first**2 + self.a**2)) * self.a
        return self._gaussian().log_prob(torch.stack([first, second], -1))

    def _gaussian(self) -> dist.MultivariateNormal:
        return dist.MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, self.rho], [self.rho, 1.0]]))


def banana(a: float, b: float) -> None:
    """One latent and no data: the best ELBO is 0."""
    pyro.sample("x", Banana(a, b))


def banana_mean_field() -> PublicExample:
    """Neural transport's banana with the guide that is to lose there."""
    return PublicExample(
        "pyro-ppl/pyro examples/neutra.py",
        banana,
        (1.15, 1.0),
        partial(AutoDiagonalNormal, init_scale=0.05),
        lambda: Adam({"lr": 0.01}),
        steps=10_000,
    )


def banana_flow() -> PublicExample:
    """The same banana with a block neural autoregressive flow."""
    return PublicExample(
        "pyro-ppl/pyro examples/neutra.py",
        banana,
        (1.15, 1.0),
        lambda model: AutoNormalizingFlow(model, partial(iterated, 1, block_autoregressive)),
        lambda: Adam({"lr": 0.01}),
        steps=10_000,
    )


def schools(data: Tensor) -> None:
    """Non-centred effects of eight schools."""
    y, sigma = data.unbind(-1)
    eta = pyro.sample("eta", dist.Normal(torch.zeros(8), torch.ones(8)).to_event(1))
    mu = pyro.sample("mu", dist.Normal(torch.zeros(1), 10 * torch.ones(1)).to_event(1))
    tau = pyro.sample("tau", dist.HalfCauchy(25 * torch.ones(1)).to_event(1))
    pyro.sample("obs", dist.Normal(mu + tau * eta, sigma).to_event(1), obs=y)


def eight_schools() -> PublicExample:
    """Rubin's (1981) eight schools; the file's guide is a mean field written out, which AutoNormal is too.

    The file's sites have batch dimensions outside of plates, which Pyro refuses by now: here, events.
    """
    effects = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
    errors = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
    return PublicExample(
        "pyro-ppl/pyro examples/eight_schools/svi.py",
        schools,
        (torch.stack([effects, errors], -1),),
        AutoNormal,
        lambda: Adam({"lr": 0.01}),
        steps=1000,
    )


class LinearTrend(ForecastingModel):  # type: ignore[misc]
    """A bias, a slope for each covariate and a noise."""

    def model(self, zero_data: Tensor, covariates: Tensor) -> None:
        """Observe the series that the forecaster holds."""
        bias = pyro.sample("bias", dist.Normal(0.0, 10.0).expand([zero_data.shape[-1]]).to_event(1))
        weight = pyro.sample("weight", dist.Normal(0.0, 0.1).expand([covariates.shape[-1]]).to_event(1))
        scale = pyro.sample("noise_scale", dist.LogNormal(-5.0, 5.0).expand([1]).to_event(1))
        self.predict(dist.Normal(0.0, scale), bias + (weight * covariates).sum(-1, keepdim=True))


def weekly_series() -> tuple[Tensor, Tensor]:
    """417 weeks of log ridership and their time; drawn, with the trend and seasons of San Francisco's."""
    g = generator()
    week = torch.arange(417.0)
    season = 0.05 * torch.sin(2 * torch.pi * week / 52.18) + 0.03 * torch.cos(4 * torch.pi * week / 52.18)
    log_rides = 14.5 + 0.0004 * week + season + 0.06 * torch.randn(417, generator=g)
    return log_rides.unsqueeze(-1), (week / 365).unsqueeze(-1)


def forecast() -> PublicExample:
    """The first model of the tutorial on forecasting, trained as its forecaster does by default."""
    steps = 1001
    return PublicExample(
        "pyro-ppl/pyro tutorial/source/forecasting_i.ipynb",
        LinearTrend(),
        weekly_series(),
        partial(AutoNormal, init_loc_fn=init_to_sample, init_scale=0.1),
        lambda: DCTAdam({"lr": 0.1, "betas": (0.9, 0.99), "lrd": 0.1 ** (1 / steps), "clip_norm": 10.0}),
        steps=steps,
        elbo=partial(Trace_ELBO, max_plate_nesting=1),  # that of time, as the forecaster has it
    )
