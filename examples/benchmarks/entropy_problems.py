"""The problems that entropy estimators and objectives are measured on: two are known exactly."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bayeshyper import BayesianModel, Hypernetwork, HypernetworkSettings, ImplicitGuide, Target
from bayeshyper.diagnostics import Audit, audit
from bayeshyper.errors import NotConvergedWarning
from bayeshyper.inference import (
    ENTROPIES,
    OBJECTIVES,
    KLSettings,
    OptimizerSettings,
    SVISettings,
    WarmStartSettings,
    fit,
)
from bayeshyper.models import MLP, FanInPrior, Gaussian, Likelihood, NormalPrior

NOISE = 0.3  # of the data


class KnownNoise(Likelihood):
    """y ~ N(f(x), 0.3²): with a linear network, all is Gaussian."""

    task = "regression"

    def distribution(
        self, outputs: Tensor, latents: Mapping[str, Tensor]
    ) -> torch.distributions.Distribution:
        """Normal, ``(…, N)``."""
        return torch.distributions.Normal(outputs[..., 0], NOISE, validate_args=False)


def affine_generator() -> Hypernetwork:
    """60 weights, 6 noise values, no bends: a low-rank-plus-diagonal Gaussian."""
    settings = HypernetworkSettings(noise_dim=6, hidden=(), gain=0.3, output_noise=0.1)
    return settings.build(torch.zeros(1, 60), torch.ones(60))


def as_gaussian(net: Hypernetwork) -> torch.distributions.LowRankMultivariateNormal:
    """The affine generator as torch knows it, differentiable by the generator's own parameters."""
    return torch.distributions.LowRankMultivariateNormal(
        net.mean[0], net.head.matrix[0], net.output_noise[0].square()
    )


def exact_information(net: Hypernetwork) -> float:
    """I(θ; z) = H[θ] − H[θ | z]."""
    given_noise = torch.distributions.Normal(0.0, net.output_noise[0]).entropy().sum()
    return (as_gaussian(net).entropy() - given_noise).item()


class LinearProblem:
    """40 rows of a linear model with 4 unknowns, and a guide that is narrower than the posterior."""

    def __init__(self, particles: int) -> None:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(40, 3, generator=generator).double()
        design = torch.cat([x, torch.ones(40, 1).double()], dim=1)
        y = design @ torch.tensor([1.0, -0.5, 0.2, 0.1]).double()
        y = y + NOISE * torch.randn(40, generator=generator).double()
        precision = design.mT @ design / NOISE**2 + torch.eye(4).double()
        covariance = torch.linalg.inv(precision)
        marginal = NOISE**2 * torch.eye(40).double() + design @ design.mT
        self.log_evidence = (
            torch.distributions.MultivariateNormal(torch.zeros(40).double(), marginal).log_prob(y).item()
        )
        network = nn.Linear(3, 1).double()
        self.model = BayesianModel(
            Target(network), NormalPrior(), KnownNoise(), num_data=40, particles=particles
        ).double()
        net = HypernetworkSettings(noise_dim=4, hidden=(), output_noise=0.1).build(
            (covariance @ design.mT @ y / NOISE**2).unsqueeze(0), torch.ones(4).double()
        )
        noise = 0.5 * torch.linalg.eigvalsh(covariance)[0]
        with torch.no_grad():
            net.log_output_noise.copy_(noise.sqrt().log().expand(1, 4))
            net.head.matrix.copy_(0.5 * torch.linalg.cholesky(covariance - noise * torch.eye(4)))
        self.guide = ImplicitGuide(self.model, net)
        self.data = x, y


class NetworkProblem:
    """A network of 10 hidden units, 100 rows of 4 columns that say nearly the same."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        cause = torch.randn(100, 1, generator=generator)
        self.x = cause + 0.3 * torch.randn(100, 4, generator=generator)
        self.y = torch.sin(2.0 * cause[:, 0]) + NOISE * torch.randn(100, generator=generator)

    def build(self, entropy: str) -> tuple[BayesianModel, ImplicitGuide]:
        """Model and guide, untrained: the same for every name."""
        torch.manual_seed(0)
        network = MLP(4, 1, hidden=(10,))
        model = BayesianModel(Target(network), FanInPrior(), Gaussian(), num_data=len(self.x))
        start = torch.cat([*(p.detach().flatten() for p in network.parameters()), torch.tensor([-1.0])])
        net = HypernetworkSettings(noise_dim=6).build(start.unsqueeze(0), model.prior.scale)
        return model, ImplicitGuide(model, net, entropy=ENTROPIES[entropy](net))

    def train(self, entropy: str, objective: str, *, steps: int, draws: int) -> Trained:
        """Fitted from scratch, and audited."""
        model, guide = self.build(entropy)
        settings = SVISettings(
            objective=objective,
            entropy=entropy,
            particles=8,
            optimizer=OptimizerSettings(steps=steps),
            warm_start=WarmStartSettings(steps=50),
            kl=KLSettings(start=1.0, anneal=0.0),  # annealing makes importance weights sharp
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotConvergedWarning)  # a quick look takes few steps
            fit(model, guide, self.x, self.y, settings)
        found = audit(model, guide.hypernetwork, self.x, self.y, draws=draws)
        return Trained(model, guide.hypernetwork, found)

    @torch.no_grad()
    def value(self, trained: Trained, objective: str, count: int) -> float:
        """The mean of an objective with 8 draws and the linearised entropy, over independent evaluations."""
        guide = ImplicitGuide(trained.model, trained.net)
        chosen = OBJECTIVES[objective]()
        trained.model.particles = 8
        values = [chosen.terms(trained.model, guide, self.x, self.y).value() for _ in range(count)]
        trained.model.particles = None
        return math.fsum(values) / count


class Trained(NamedTuple):
    """A fit and its audit."""

    model: BayesianModel
    net: Hypernetwork
    audit: Audit
