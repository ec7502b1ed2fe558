"""Small posteriors and problems whose answers are known, for the tests of inference."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from bayeshyper.hypernets import DenseHead, Hypernetwork, HypernetworkSettings
from bayeshyper.inference import ImplicitGuide
from bayeshyper.inference.proposals import Proposal
from bayeshyper.models import (
    MLP,
    BayesianModel,
    FanInPrior,
    Gaussian,
    Likelihood,
    NormalPrior,
    Prior,
    Target,
    WeightSpec,
)


def random_hypernetwork(
    size: int,
    *,
    noise_dim: int,
    hidden: tuple[int, ...] = (),
    members: int = 1,
    gain: float = 1.0,
    noise: float = 0.3,
    seed: int = 0,
) -> Hypernetwork:
    """A float64 posterior with nothing special about it: random mean, units, head and output noise."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    settings = HypernetworkSettings(
        noise_dim=noise_dim, hidden=hidden, gain=gain, output_noise=noise, start_share=math.inf
    )
    net = settings.build(normal(members, size), normal(size).mul(0.3).exp()).double()
    net.reset_parameters(generator)
    with torch.no_grad():
        net.log_output_noise.add_(0.3 * normal(members, size))
    return net


def varying_hypernetwork(
    size: int,
    *,
    noise_dim: int,
    hidden: tuple[int, ...] = (8,),
    variation: float = 1.0,
    gain: float = 1.0,
    noise: float = 0.3,
    members: int = 1,
    seed: int = 0,
) -> Hypernetwork:
    """A float64 posterior whose scales vary with z by factors of about e^±variation, as a funnel's do."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    settings = HypernetworkSettings(
        noise_dim=noise_dim,
        hidden=hidden,
        gain=gain,
        output_noise=noise,
        start_share=math.inf,
        noise="varying",
    )
    net = settings.build(normal(members, size), normal(size).mul(0.3).exp()).double()
    net.reset_parameters(generator)
    assert net.varying is not None
    with torch.no_grad():
        net.log_output_noise.add_(0.3 * normal(members, size))
        scale = variation / math.sqrt(max(net.trunk.features, 1))
        net.varying.matrix.copy_(scale * normal(members, size, net.trunk.features))
    return net


def as_low_rank(member: Hypernetwork) -> Distribution:
    """The Gaussian that a hypernetwork with an affine trunk is, as torch knows it."""
    unit, sigma = member.unit, member.output_noise[0].detach()
    if member.trunk.features == 0:  # torch has no Gaussian of rank 0
        return torch.distributions.Independent(
            torch.distributions.Normal(member.mean[0].detach(), unit * sigma), 1
        )
    return torch.distributions.LowRankMultivariateNormal(
        member.mean[0].detach(),
        unit.unsqueeze(-1) * member.head.matrix[0].detach(),
        (unit * sigma).square(),
    )


class Fold(nn.Module):
    """φ(z) = (z², z⁴/6, sin z²): z and −z give the same weights, which no tangent can see (k = 3 d)."""

    members = 1
    context = 0

    def __init__(self, noise_dim: int = 1) -> None:
        super().__init__()
        self.noise_dim = noise_dim
        self.features = 3 * noise_dim

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return torch.cat([z.square(), z.pow(4) / 6, z.square().sin()], dim=-1)

    def with_jacobian(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        slopes = (2 * z, 4 * z.pow(3) / 6, 2 * z * z.square().cos())
        return self(z), torch.cat([slope.diag_embed() for slope in slopes], dim=-2)


class FoldedHypernetwork(Hypernetwork):
    """A posterior of 60 weights around the fold; `member` copies, since the settings know no such trunk."""

    def __init__(self, noise_dim: int = 1, *, size: int = 60, noise: float = 1.0, seed: int = 0) -> None:
        super().__init__(
            torch.zeros(1, size),
            torch.ones(size),
            HypernetworkSettings(noise_dim=noise_dim, hidden=(), output_noise=noise, start_share=math.inf),
        )
        self.trunk = Fold(noise_dim)  # type: ignore[assignment]
        self.head = DenseHead(WeightSpec([("w", (size,))]), features=3 * noise_dim)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.head.matrix.normal_(0.0, 1.0, generator=generator)
        self.double()

    def member(self, index: int) -> Hypernetwork:
        return copy.deepcopy(self)


class KnownNoise(Likelihood):
    """y ~ N(f(x), scale²) with the scale given: with a linear network, all is Gaussian and known."""

    task = "regression"

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        return torch.distributions.Normal(outputs[..., 0], torch.tensor(self.scale), validate_args=False)


class BreaksAfter(Likelihood):
    """A Gaussian likelihood whose mean is NaN from call ``calls + 1`` on."""

    task = "regression"
    latents: ClassVar = Gaussian.latents

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        self.calls -= 1
        loc = outputs[..., 0] * (math.nan if self.calls < 0 else 1.0)
        return torch.distributions.Normal(loc, latents["log_scale"].exp(), validate_args=False)


@dataclass(frozen=True)
class Ridge:
    """Linear regression with known noise, y = Xβ + b + noise, β, b ~ N(0, prior²): its exact answers.

    The weights are in nn.Linear's order: the coefficients, then the bias.
    """

    x: Tensor
    y: Tensor
    noise: float = 0.5
    prior: float = 1.0

    @classmethod
    def draw(cls, rows: int = 30, features: int = 3, seed: int = 0, noise: float = 0.5) -> Ridge:
        """A data set from the model itself, with correlated inputs so that the posterior is too."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(rows, features, generator=generator)
        if features > 1:
            x[:, 1] = 0.6 * x[:, 0] + 0.8 * x[:, 1]
        theta = torch.randn(features + 1, generator=generator)
        y = x @ theta[:-1] + theta[-1] + noise * torch.randn(rows, generator=generator)
        return cls(x, y, noise)

    @property
    def design(self) -> Tensor:
        """The inputs with a column of ones, in float64."""
        return torch.cat([self.x, torch.ones(len(self.x), 1)], dim=1).double()

    @property
    def posterior(self) -> torch.distributions.MultivariateNormal:
        """Ridge regression's posterior of (β, b)."""
        design = self.design
        identity = torch.eye(design.shape[1], dtype=torch.float64)
        precision = design.mT @ design / self.noise**2 + identity / self.prior**2
        mean = torch.linalg.solve(precision, design.mT @ self.y.double() / self.noise**2)
        return torch.distributions.MultivariateNormal(mean, precision_matrix=precision)

    @property
    def log_evidence(self) -> float:
        """log p(y): y is a Gaussian with covariance noise² I + prior² XXᵀ."""
        design = self.design
        covariance = self.noise**2 * torch.eye(len(design), dtype=torch.float64)
        covariance = covariance + self.prior**2 * design @ design.mT
        marginal = torch.distributions.MultivariateNormal(torch.zeros(len(design)).double(), covariance)
        return float(marginal.log_prob(self.y.double()))

    def model(self) -> BayesianModel:
        """The same problem as the library sees it."""
        network = nn.Linear(self.x.shape[1], 1)
        with torch.no_grad():
            network.weight.zero_()
            network.bias.zero_()
        return BayesianModel(
            Target(network), NormalPrior(scale=self.prior), KnownNoise(self.noise), num_data=len(self.x)
        )

    def guide(self, model: BayesianModel, settings: HypernetworkSettings, seed: int = 0) -> ImplicitGuide:
        """An untrained guide."""
        net = settings.build(torch.zeros(1, model.spec.size), model.prior.scale)
        net.reset_parameters(torch.Generator().manual_seed(seed))
        return ImplicitGuide(model, net)


def small_problem(
    *,
    rows: int = 24,
    members: int = 1,
    particles: int | None = None,
    likelihood: Likelihood | None = None,
    prior: Prior | None = None,
    local: bool = True,
    noise_dim: int = 2,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> tuple[BayesianModel, ImplicitGuide, Tensor, Tensor]:
    """A network of 3 inputs and 5 units, a nonlinear guide, and data; all from one seed."""
    generator = torch.Generator().manual_seed(seed)
    network = MLP(3, 1, hidden=(5,))
    model = BayesianModel(
        Target(network),
        prior or FanInPrior(),
        likelihood or Gaussian(),
        num_data=rows,
        particles=particles,
    )
    mean = 0.3 * torch.randn(members, model.spec.size, generator=generator)
    net = HypernetworkSettings(noise_dim=noise_dim, hidden=(4,), gain=0.3, output_noise=0.1).build(
        mean, model.prior.scale
    )
    net.reset_parameters(generator)
    x = torch.randn(rows, 3, generator=generator)
    y = x[:, 0].sin() + 0.2 * torch.randn(rows, generator=generator)
    guide = ImplicitGuide(model, net, local=local)
    return model.to(dtype), guide.to(dtype), x.to(dtype), y.to(dtype)


def state_of(*modules: nn.Module) -> list[Tensor]:
    """A copy of every tensor of the modules, in order."""
    return [tensor.detach().clone() for module in modules for tensor in module.state_dict().values()]


def same_bits(first: list[Tensor], second: list[Tensor]) -> bool:
    """Whether two lists of tensors are equal to the bit."""
    return len(first) == len(second) and all(map(torch.equal, first, second))


def peeking(kind: type[Proposal]) -> type[Proposal]:
    """What a proposal must not be: it starts at the z that the weights were made from."""

    class PeekingProposal(kind):  # type: ignore[valid-type, misc]
        truth: Tensor

        def log_marginal(
            self, y: Tensor, draws: int, generator: torch.Generator, truth: Tensor | None = None
        ) -> tuple[Tensor, Tensor]:
            assert truth is not None
            self.truth = truth
            found: tuple[Tensor, Tensor] = super().log_marginal(y, draws, generator, truth)
            return found

        def starts(self, y: Tensor) -> Tensor:
            return self.truth.unsqueeze(0)

    return PeekingProposal
