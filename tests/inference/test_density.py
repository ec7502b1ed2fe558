"""log q(θ): against torch's low-rank Gaussian, Pyro's guide of the same name, and numerical quadrature."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoLowRankMultivariateNormal
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork
from bayeshyper.inference import channel_of, log_density
from bayeshyper.inference.proposals.hills import DEGREES_OF_FREEDOM, PRIOR_SHARE
from tests.inference.toys import as_low_rank, random_hypernetwork


def standard_deviation_of_log(precision: Tensor, inner: int) -> float:
    """What importance sampling of a Gaussian through the mixture of t and prior leaves, for K draws.

    sd(log mean w) ≈ √((E_q[(p/q)²] − 1)/K) and E_q[(p/q)²] = E_p[p/q], here by Monte Carlo with torch's own
    densities; the posterior of z is N(0, precision⁻¹) after a shift, and the prior can only help.
    """
    d = len(precision)
    generator = torch.Generator().manual_seed(9)
    white = torch.randn(20_000, d, generator=generator, dtype=torch.float64)
    log_p = torch.distributions.Normal(0.0, 1.0).log_prob(white).sum(-1)
    nu = DEGREES_OF_FREEDOM
    log_t = (
        math.lgamma((nu + d) / 2)
        - math.lgamma(nu / 2)
        - d / 2 * math.log(nu * math.pi)
        - (nu + d) / 2 * (white.square().sum(-1) / nu).log1p()
    )
    ratio = (log_p - log_t).exp().mean().item() / (1 - PRIOR_SHARE)
    return math.sqrt(max(ratio - 1, 0.0) / inner)


AFFINE = {
    "k < D": random_hypernetwork(6, noise_dim=2),
    "k > D": random_hypernetwork(3, noise_dim=5, seed=1),
    "dead columns": random_hypernetwork(6, noise_dim=3, seed=2),
    "A = 0": random_hypernetwork(6, noise_dim=2, seed=3),
    "no noise": random_hypernetwork(6, noise_dim=0, seed=4),
    "equal columns": random_hypernetwork(6, noise_dim=3, seed=5),
}
with torch.no_grad():
    AFFINE["dead columns"].head.matrix[..., 1] = 0.0
    AFFINE["A = 0"].head.matrix.zero_()
    AFFINE["equal columns"].head.matrix[..., 1] = AFFINE["equal columns"].head.matrix[..., 0]


@pytest.mark.parametrize("case", AFFINE)
def test_affine_trunk_has_the_low_rank_gaussians_density_anywhere(case: str) -> None:
    net, inner = AFFINE[case], 8192
    gaussian = as_low_rank(net)
    generator = torch.Generator().manual_seed(7)
    typical = net.sample(4, generator=generator)
    # Elsewhere too: at the mean, and at points that the posterior would not draw in a lifetime.
    anywhere = 3.0 * torch.randn(4, net.size, generator=generator, dtype=torch.float64)
    theta = torch.cat([typical, gaussian.mean.unsqueeze(0), anywhere])
    ours, exact = log_density(net, theta, inner=inner), gaussian.log_prob(theta)
    if case in ("A = 0", "no noise"):  # nothing to integrate
        torch.testing.assert_close(ours, exact, rtol=1e-10, atol=1e-10)
    else:
        d = net.trunk.noise_dim
        error = standard_deviation_of_log(torch.eye(d), inner)
        assert error < 0.02
        assert (ours - exact).abs().max().item() < 5 * error


@pytest.fixture
def _own_param_store() -> Iterator[None]:
    """Pyro's own autoguides keep their parameters in its global store."""
    with pyro.get_param_store().scope():
        yield


@pytest.mark.usefixtures("_own_param_store")
def test_affine_family_is_pyros_low_rank_guide() -> None:
    net = random_hypernetwork(6, noise_dim=2)
    pyro_guide = AutoLowRankMultivariateNormal(
        lambda: pyro.sample("weights", dist.Normal(torch.zeros(6).double(), 1.0).to_event(1)), rank=2
    )
    pyro_guide()
    scale = net.unit * net.output_noise[0].detach()
    with torch.no_grad():
        pyro_guide.loc.copy_(net.mean[0])
        pyro_guide.scale = scale
        # Pyro measures its factor in units of its scale.
        pyro_guide.cov_factor.copy_(net.unit.unsqueeze(-1) * net.head.matrix[0] / scale.unsqueeze(-1))
    posterior = pyro_guide.get_posterior()
    theta = net.sample(20_000, generator=torch.Generator().manual_seed(0))
    # The draws are that posterior's: E_q[−log p] = H[p] + KL(q ‖ p) is H[p] only where q = p.
    surprise = -posterior.log_prob(theta).detach()
    error = surprise.std().item() / math.sqrt(len(surprise))
    assert abs(surprise.mean().item() - posterior.entropy().item()) < 4 * error
    # … and so is the density, at draws of Pyro's guide.
    with torch.no_grad():
        drawn = torch.stack([pyro_guide()["weights"] for _ in range(8)])
    tolerance = 5 * standard_deviation_of_log(torch.eye(2), 8192)
    assert (log_density(net, drawn, inner=8192) - posterior.log_prob(drawn)).abs().max().item() < tolerance


def grid(d: int) -> tuple[Tensor, float]:
    """Points of a regular grid in d dimensions, ``(G, d)``, and the log of the volume of a cell.

    For a smooth integrand that vanishes at the ends the trapezoid rule converges faster than any power of
    the step; the steps here are well below the width of the posteriors of z below.
    """
    ends, points = {1: (8.0, 3_201), 2: (6.0, 301)}[d]
    axis = torch.linspace(-ends, ends, points, dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * d).reshape(-1, d), d * math.log(2 * ends / (points - 1))


def quadrature(net: Hypernetwork, theta: Tensor) -> Tensor:
    """log ∫ N(z) N(θ; μ + s∘Aφ(z), s²σ²) dz on a grid, from nothing but the definition of the family."""
    z, log_cell = grid(net.trunk.noise_dim)
    with torch.no_grad():
        mean = net.mean + net.unit * net.head(net.trunk(z.unsqueeze(0)))[0]
        given = torch.distributions.Normal(mean, net.unit * net.output_noise[0])
        log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
        values = [torch.logsumexp(log_prior + given.log_prob(row).sum(-1), 0) + log_cell for row in theta]
    return torch.stack(values)


@pytest.mark.parametrize("noise_dim", [1, 2])
def test_the_density_is_an_integral_over_z_through_the_sufficient_statistic_alone(noise_dim: int) -> None:
    net = random_hypernetwork(6, noise_dim=noise_dim, hidden=(8, 4), gain=2.0, seed=noise_dim)
    theta = net.sample(4, generator=torch.Generator().manual_seed(0))
    z, log_cell = grid(noise_dim)
    channel, sigma = channel_of(net), net.output_noise.detach()[0]
    offset = (theta - net.mean.detach()) / net.unit
    y = net.head.project(offset.unsqueeze(0), sigma.pow(-2))[0].detach() @ channel.pseudo_inverse
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    mean = channel.law(z)
    integral = torch.stack([torch.logsumexp(log_prior + channel.log_likelihood(mean, row), 0) for row in y])
    outer = -0.5 * (offset / sigma).square().sum(-1) - 3 * math.log(2 * math.pi)
    ours = outer - (net.unit * sigma).log().sum() + integral + log_cell
    # The same grid on both sides, so that only the rounding of the identity is left.
    torch.testing.assert_close(ours, quadrature(net, theta), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("noise_dim", [1, 2])
def test_nonlinear_density_is_what_quadrature_says(noise_dim: int) -> None:
    net = random_hypernetwork(6, noise_dim=noise_dim, hidden=(8,), gain=2.0, seed=noise_dim)
    theta = net.sample(12, generator=torch.Generator().manual_seed(0))
    theta = torch.cat([theta, 2.0 * torch.ones(1, 6, dtype=torch.float64)])
    runs = torch.stack(
        [log_density(net, theta, inner=2048, generator=torch.Generator().manual_seed(s)) for s in range(4)]
    )
    exact = quadrature(net, theta)
    # Error bars from the four runs, pooled over rows (one row's own, from four runs, would be too noisy).
    spread = runs.var(0).mean().sqrt().item()
    assert spread < 0.02
    assert (runs.mean(0) - exact).abs().max().item() < 6 * spread / 2
    # A tangent in the trunk's place would not do: the case is nonlinear.
    tangent = as_low_rank_at_zero(net)
    assert (tangent.log_prob(theta) - exact).abs().mean().item() > 0.5


def as_low_rank_at_zero(net: Hypernetwork) -> torch.distributions.LowRankMultivariateNormal:
    with torch.no_grad():
        features, jacobian = net.trunk.with_jacobian(torch.zeros(1, 1, net.trunk.noise_dim).double())
        mean = (net.mean + net.unit * net.head(features)[0])[0]
        factor = net.unit.unsqueeze(-1) * (net.head.matrix[0] @ jacobian[0, 0])
        diagonal = (net.unit * net.output_noise[0]).square()
    return torch.distributions.LowRankMultivariateNormal(mean, factor, diagonal)


def test_members_are_a_mixture_with_equal_weights() -> None:
    net = random_hypernetwork(5, noise_dim=0, members=3)
    theta = net.sample(6, generator=torch.Generator().manual_seed(0))
    parts = torch.stack([as_low_rank(net.member(index)).log_prob(theta) for index in range(3)])
    mixture = torch.logsumexp(parts, 0) - math.log(3)
    torch.testing.assert_close(log_density(net, theta), mixture, rtol=1e-12, atol=1e-12)
    alone = torch.stack([log_density(net.member(index), theta) for index in range(3)])
    torch.testing.assert_close(alone, parts, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("noise_dim", [1, 2])
def test_the_estimated_density_is_unbiased_however_few_the_draws(noise_dim: int) -> None:
    # E[p̂] = p for a single draw, and so E[log p̂] ≤ log p for any number of them: the lower bound.
    net = random_hypernetwork(6, noise_dim=noise_dim, hidden=(8,), gain=2.0, seed=noise_dim)
    generator = torch.Generator().manual_seed(3)
    theta = net.sample(5, generator=generator)
    n = 2000
    estimate = log_density(net, theta.repeat_interleave(n, 0), inner=1, generator=generator).reshape(5, n)
    ratio = (estimate - quadrature(net, theta).unsqueeze(-1)).exp()
    error = ratio.std(1) / math.sqrt(n)
    assert error.max().item() < 0.07  # no heavy tails: the error bars can be believed
    assert ((ratio.mean(1) - 1) / error).abs().max().item() < 4.5
    assert bool((estimate.mean(1) < quadrature(net, theta)).all())


def test_a_repeated_call_gives_the_same_bits_and_leaves_the_posterior_alone() -> None:
    net = random_hypernetwork(6, noise_dim=2, hidden=(4,))
    before = [tensor.clone() for tensor in net.state_dict().values()]
    theta = net.sample(3, generator=torch.Generator().manual_seed(0))
    first, second = log_density(net, theta, inner=16), log_density(net, theta, inner=16)
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert all(p.requires_grad for p in net.parameters())
    assert all(map(torch.equal, before, net.state_dict().values()))
