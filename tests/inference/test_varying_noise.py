"""The density where the noise's scale varies with z: quadrature, closed forms, and bounds that can break."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork
from bayeshyper.inference import channel_of, information_bounds, log_density
from bayeshyper.inference.channels import LatentChannel, SubspaceChannel, WeightChannel
from bayeshyper.inference.density import MemberDensity
from bayeshyper.inference.proposals import AdaptiveProposal, proposal_for
from bayeshyper.inference.proposals.adaptive import StudentMixture
from tests.inference.toys import as_low_rank, peeking, random_hypernetwork, varying_hypernetwork

# Noise dimension and number of weights; scales vary by factors of e^±1.5, and the means bend.
CASES = {"d=1, D=2": (1, 2), "d=1, D=6": (1, 6), "d=2, D=3": (2, 3), "d=2, D=6": (2, 6)}


def funnel_like(case: str) -> Hypernetwork:
    noise_dim, size = CASES[case]
    return varying_hypernetwork(size, noise_dim=noise_dim, variation=1.5, seed=size)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def standard_error(values: Tensor) -> float:
    return values.std().item() / math.sqrt(len(values))


def conditional(net: Hypernetwork, z: Tensor) -> torch.distributions.Normal:
    """q(θ | z) of each z ``(n, d)``, from the definition of the family: μ + s ∘ Aφ(z), s ∘ σ(z)."""
    assert net.varying is not None
    with torch.no_grad():
        features = net.trunk(z.unsqueeze(0))
        mean = net.mean + net.unit * (features @ net.head.matrix.mT)[0]
        log_scale = 8.0 * torch.tanh(features @ net.varying.matrix.mT / 8.0)[0]
        return torch.distributions.Normal(mean, net.unit * net.output_noise[0] * log_scale.exp())


def quadrature(net: Hypernetwork, theta: Tensor) -> Tensor:
    """log ∫ N(z) q(θ | z) dz on a grid, whose step is well below the width of any posterior of z here."""
    ends, points = {1: (8.0, 8_001), 2: (6.0, 501)}[net.trunk.noise_dim]
    axis = torch.linspace(-ends, ends, points, dtype=torch.float64)
    z = torch.cartesian_prod(*[axis] * net.trunk.noise_dim).reshape(-1, net.trunk.noise_dim)
    log_cell = net.trunk.noise_dim * math.log(2 * ends / (points - 1))
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    given = conditional(net, z)
    # Σ_i log N(θ_i; m_i, s_i²) multiplied out, so that all θ and all z meet in two products of matrices.
    precision = given.scale.pow(-2)
    constant = -0.5 * (precision * given.loc.square()).sum(-1) - given.scale.log().sum(-1)
    constant = constant + log_prior + log_cell - 0.5 * net.size * math.log(2 * math.pi)
    parts = [
        torch.logsumexp(constant - 0.5 * rows.square() @ precision.mT + rows @ (precision * given.loc).mT, 1)
        for rows in theta.split(16)
    ]
    return torch.cat(parts)


def draws(net: Hypernetwork, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Weights ``(n, D)`` and the noise ``(n, d)`` behind them."""
    z = torch.randn(n, net.trunk.noise_dim, generator=generator(seed), dtype=torch.float64)
    given = conditional(net, z)
    noise = torch.randn(given.loc.shape, generator=generator(seed + 1), dtype=torch.float64)
    return given.loc + given.scale * noise, z


@pytest.mark.parametrize("case", CASES)
def test_the_density_is_what_quadrature_says(case: str) -> None:
    net = funnel_like(case)
    theta = torch.cat([draws(net, 8)[0], 2.0 * torch.ones(1, net.size, dtype=torch.float64)])
    runs = log_density(net, theta.repeat(4, 1), inner=512).reshape(4, -1)
    exact = quadrature(net, theta)
    spread = runs.var(0).mean().sqrt().item()  # pooled over rows
    assert spread < 0.06
    assert (runs.mean(0) - exact).abs().max().item() < 6 * spread / 2
    # The scales' variation is what it is all about: without it the density is another one.
    still = varying_hypernetwork(net.size, noise_dim=net.trunk.noise_dim, variation=0.0, seed=net.size)
    assert (quadrature(still, theta) - exact).abs().mean().item() > 0.5


@pytest.mark.parametrize("case", ["d=1, D=2", "d=2, D=3"])
def test_the_estimate_of_the_density_is_unbiased_however_few_the_draws(case: str) -> None:
    net, n = funnel_like(case), 200
    theta, _ = draws(net, 4, seed=3)
    estimate = log_density(net, theta.repeat_interleave(n, 0), inner=1, generator=generator(4))
    ratio = (estimate.reshape(4, n) - quadrature(net, theta).unsqueeze(-1)).exp()
    error = ratio.std(1) / math.sqrt(n)
    assert error.max().item() < 0.2  # no heavy tails: the error bars can be believed
    assert ((ratio.mean(1) - 1) / error).abs().max().item() < 4.5


@pytest.mark.parametrize("case", CASES)
def test_bounds_hold_the_exact_density_between_them(case: str) -> None:
    # Two importance draws: the bounds are apart. Paired with the exact values, only their own noise is left.
    net = funnel_like(case)
    theta, z = draws(net, 200)
    below, above = MemberDensity(net, generator()).bounds(theta, 2, z)
    exact = quadrature(net, theta)
    for gap in (exact - below, above - exact):
        assert gap.mean().item() > -4 * standard_error(gap)
        assert gap.mean().item() < 1.0
    # exp(−log q̂) of the estimate from above is unbiased as a weight: E[q/q̂] = 1 over θ and z.
    weight = (exact - above).exp()
    assert abs(weight.mean().item() - 1) < 4 * standard_error(weight)


def exact_information(net: Hypernetwork, z: Tensor, y: Tensor) -> Tensor:
    """log q(θ | z) − log q(θ) of draws of the weight channel, whose mean is I(θ; z)."""
    theta = net.mean.detach() + net.unit * net.output_noise.detach() * y
    return conditional(net, z).log_prob(theta).sum(-1) - quadrature(net, theta)


@pytest.mark.parametrize("case", ["d=1, D=2", "d=2, D=6"])
def test_information_lies_between_its_bounds(case: str) -> None:
    net, n = funnel_like(case), 150
    channel = channel_of(net)
    proposal = proposal_for(channel, generator())
    bounds = information_bounds(channel, draws=n, inner=64, generator=generator(5), proposal=proposal)
    z, y = channel.joint(n, generator(5))  # the very draws that the bounds were made from
    assert torch.equal(bounds.z, z)
    exact = exact_information(net, z, y)
    for gap in (exact - bounds.lower, bounds.upper - exact):
        assert gap.mean().item() > -4 * standard_error(gap)
        assert gap.mean().item() < 0.05


PeekingProposal = peeking(AdaptiveProposal)


def mirrored(size: int = 30) -> Hypernetwork:
    """Means and scales are even in z, so that nothing tells z from −z."""
    net = varying_hypernetwork(size, noise_dim=1, hidden=(2,), variation=0.0, noise=0.05)
    assert net.varying is not None
    with torch.no_grad():  # features tanh(3z − 1) and tanh(−3z − 1), always used together
        net.trunk.weights[0].copy_(torch.tensor([[[3.0], [-3.0]]]))
        net.trunk.biases[0].fill_(-1.0)
        for matrix in (net.head.matrix, net.varying.matrix):
            matrix[..., 1] = matrix[..., 0] = torch.randn(size, generator=generator(1)).double()
            matrix[..., 2] = 0.0
        net.varying.matrix.mul_(0.3)
    return net


@pytest.mark.parametrize("kind", [AdaptiveProposal, PeekingProposal])
def test_a_proposal_that_starts_at_the_truth_breaks_the_bound_and_looks_perfect(
    kind: type[AdaptiveProposal],
) -> None:
    net, n = mirrored(), 150
    channel = channel_of(net)
    bounds = information_bounds(
        channel, draws=n, inner=64, generator=generator(1), proposal=kind(channel, generator())
    )
    z, y = channel.joint(n, generator(1))
    exact = exact_information(net, z, y)
    assert (bounds.upper - bounds.lower).mean().item() < 0.1  # either looks perfect
    breach = bounds.lower - exact
    if kind is PeekingProposal:  # one of two sides was never looked at: log 2 too much
        assert breach.mean().item() > max(0.3, 8 * standard_error(breach))
    else:
        assert breach.mean().item() < 4 * standard_error(breach)
        assert (exact - bounds.upper).mean().item() < 4 * standard_error(exact - bounds.upper)


@pytest.mark.parametrize(("noise_dim", "size"), [(1, 4), (2, 6), (4, 6)])
def test_noise_that_could_vary_and_does_not_has_the_closed_form(noise_dim: int, size: int) -> None:
    varying = varying_hypernetwork(size, noise_dim=noise_dim, hidden=(), variation=0.0)
    gaussian = as_low_rank(varying)
    theta = torch.cat([varying.sample(6, generator=generator()), torch.ones(1, size).double()])
    found = log_density(varying, theta, inner=4096)
    torch.testing.assert_close(found, gaussian.log_prob(theta), atol=0.03, rtol=0)


def test_both_channels_carry_the_same_information() -> None:
    varying = varying_hypernetwork(8, noise_dim=2, variation=0.0)
    weights = WeightChannel(varying)
    precision = varying.output_precision
    few = LatentChannel(varying.trunk, varying.head.gram(precision)[0])  # type: ignore[operator]
    z = torch.randn(50, 2, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(weights.linearized(z), few.linearized(z))
    first, second = (
        information_bounds(channel, draws=300, inner=32, generator=generator(1)) for channel in (weights, few)
    )
    for name in ("lower", "upper"):
        one, other = getattr(first, name), getattr(second, name)
        error = math.hypot(standard_error(one), standard_error(other))
        assert abs((one.mean() - other.mean()).item()) < 4 * error


def test_the_score_is_the_gradient_and_the_information_its_variance() -> None:
    net = varying_hypernetwork(5, noise_dim=2, variation=1.0)
    channel = WeightChannel(net)
    z, y = channel.joint(3, generator())
    score, information = channel.score_and_information(z, y)
    at = z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(channel.log_likelihood(channel.law(at), y).sum(), at)
    torch.testing.assert_close(score, gradient)
    # Many y at one z: the score's mean is 0, its covariance the Fisher information.
    mean, widening = channel.law(z[:1]).unbind(-2)
    n = 40_000
    many = mean + widening.exp() * torch.randn(n, 5, generator=generator(1), dtype=torch.float64)
    scores, _ = channel.score_and_information(z[:1].expand(n, -1), many)
    covariance = scores.mT @ scores / n
    # A variance's relative error is √(kurtosis/n); the score has squares of Normals, whose kurtosis is 15.
    tolerance = 5 * math.sqrt(15 / n) * information[0].diagonal().max().item()
    assert (covariance - information[0]).abs().max().item() < tolerance


def test_mean_field_and_mixtures() -> None:
    net = varying_hypernetwork(4, noise_dim=0, members=2)
    theta = torch.randn(5, 4, generator=generator(), dtype=torch.float64)
    parts = [conditional(net.member(i), torch.zeros(1, 0).double()).log_prob(theta).sum(-1) for i in (0, 1)]
    expected = torch.logsumexp(torch.stack(parts), 0) - math.log(2)
    torch.testing.assert_close(log_density(net, theta), expected)
    mixed = varying_hypernetwork(3, noise_dim=1, members=2, variation=1.0)
    theta, _ = draws(mixed.member(0), 6)
    exact = torch.logsumexp(torch.stack([quadrature(mixed.member(i), theta) for i in (0, 1)]), 0) - math.log(
        2
    )
    torch.testing.assert_close(log_density(mixed, theta, inner=2048), exact, atol=0.05, rtol=0)


def test_every_kind_of_posterior_has_its_channel() -> None:
    assert isinstance(channel_of(varying_hypernetwork(4, noise_dim=1)), WeightChannel)
    assert isinstance(channel_of(random_hypernetwork(4, noise_dim=1)), LatentChannel)
    assert not isinstance(channel_of(random_hypernetwork(4, noise_dim=1)), SubspaceChannel)
    with pytest.raises(ValueError, match="Got 2 members, expected one"):
        channel_of(varying_hypernetwork(4, noise_dim=1, members=2))
    with pytest.raises(ValueError, match="channel_of"):
        LatentChannel.of(varying_hypernetwork(4, noise_dim=1))
    with pytest.raises(ValueError, match="channel_of"):
        WeightChannel(random_hypernetwork(4, noise_dim=1))


def some_mixture() -> StudentMixture:
    shares = torch.tensor([[0.3], [0.7]], dtype=torch.float64)
    center = torch.tensor([[[-1.0, 0.5]], [[2.0, 0.0]]], dtype=torch.float64)
    factor = torch.tensor([[[[0.5, 0.0], [0.2, 0.3]]], [[[1.0, 0.0], [-0.5, 0.4]]]], dtype=torch.float64)
    return StudentMixture(shares, center, factor)


def test_the_mixture_has_the_density_of_its_draws() -> None:
    mixture = some_mixture()
    axis = torch.linspace(-40.0, 40.0, 1001, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis).unsqueeze(1)
    density = mixture.log_density(z).exp()[:, 0]
    assert density.sum().item() * 0.08**2 == pytest.approx(1.0, abs=1e-3)
    drawn, log_density = mixture.draw(20_000, generator())
    torch.testing.assert_close(log_density, mixture.log_density(drawn))
    mean = (density.unsqueeze(-1) * z[:, 0]).sum(0) * 0.08**2
    error = drawn[:, 0].std(0) / math.sqrt(20_000)
    assert ((drawn[:, 0].mean(0) - mean) / error).abs().max().item() < 4


def test_adapting_leads_towards_the_target() -> None:
    target = torch.distributions.MultivariateNormal(
        torch.tensor([1.0, -2.0]).double(), torch.tensor([[0.5, 0.4], [0.4, 0.6]]).double()
    )
    mixture = some_mixture()
    ess = []
    for seed in range(4):
        z, log_density = mixture.draw(2000, generator(seed))
        log_target = target.log_prob(z)
        weights = torch.softmax(log_target - log_density, 0)
        ess.append(1 / weights.square().sum().item() / 2000)
        mixture = mixture.adapted(z, log_target)
        torch.testing.assert_close(mixture.shares.sum(0), torch.ones(1).double())
    assert ess[0] < 0.2
    assert ess[-1] > 0.8
