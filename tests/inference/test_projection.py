"""A hypernetwork that starts at a Gaussian: what its few directions hold of it, and what they leave."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bayeshyper.hypernets import MIN_OUTPUT_NOISE, Hypernetwork, HypernetworkSettings
from bayeshyper.inference import NaturalGaussian, projection, start_from_gaussian
from bayeshyper.models import MLP, BayesianModel, FanInPrior, Gaussian, Target
from tests.inference.toys import as_low_rank, same_bits, state_of

MEMBERS, TEMPERATURE = 2, 0.1
# The hypernetwork is float32; its covariances are compared in units of the largest.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def some_model(hidden: int = 2) -> BayesianModel:
    """Of 14 weights by default, whose prior scales differ; the likelihood's prior is not at 0."""
    return BayesianModel(Target(MLP(2, 1, hidden=[hidden])), FanInPrior(), Gaussian(), num_data=10)


def gaussian_of(model: BayesianModel, precision: Tensor) -> NaturalGaussian:
    """N(μ, P⁻¹) in prior units, with a P of its own for each member."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(MEMBERS, model.spec.size, generator=generator)
    gaussian = NaturalGaussian(model, weights, temperature=TEMPERATURE)
    gaussian.precision = (TEMPERATURE * precision).float()
    return gaussian


def random_precision(size: int, members: int = MEMBERS) -> Tensor:
    """I + a sum of squares, as a posterior's is: some directions are well known, and all are correlated."""
    generator = torch.Generator().manual_seed(1)
    slopes = torch.randn(members, 2 * size, size, generator=generator, dtype=torch.float64)
    slopes = slopes * torch.logspace(-1, 1, size, dtype=torch.float64)
    mixed = slopes @ torch.linalg.qr(torch.randn(members, size, size, generator=generator).double()).Q
    return mixed.mT @ mixed + torch.eye(size, dtype=torch.float64)


def started(
    model: BayesianModel, gaussian: NaturalGaussian, noise_dim: int, hidden: tuple[int, ...] = ()
) -> Hypernetwork:
    mean = torch.zeros(MEMBERS, model.spec.size)
    net = HypernetworkSettings(noise_dim=noise_dim, hidden=hidden).build(mean, model.prior.scale)
    start_from_gaussian(net, gaussian, torch.Generator().manual_seed(2))
    return net


def covariance(net: Hypernetwork, member: int) -> Tensor:
    """Of an affine hypernetwork's weights, in prior units."""
    law = as_low_rank(net.member(member).double())
    unit = net.unit.double()
    if isinstance(law, torch.distributions.LowRankMultivariateNormal):
        return law.covariance_matrix / torch.outer(unit, unit)
    return torch.diag(law.variance / unit.square())


@pytest.mark.parametrize("noise_dim", [0, 1, 4, 11, 40])
def test_the_widest_directions_have_the_gaussians_variance_and_the_others_the_diagonals(
    noise_dim: int,
) -> None:
    model = some_model()
    precision = random_precision(model.spec.size)
    net = started(model, gaussian_of(model, precision), noise_dim)
    for member in range(MEMBERS):
        sigma = precision[member].diagonal().rsqrt()
        values, vectors = torch.linalg.eigh(precision[member] * torch.outer(sigma, sigma))
        assert (values < 1).sum() >= 4  # there is something to find
        variances = torch.ones_like(values)
        variances[:noise_dim] = (1 / values[:noise_dim]).clamp(min=1.0)
        expected = vectors @ torch.diag(variances) @ vectors.mT * torch.outer(sigma, sigma)
        torch.testing.assert_close(covariance(net, member), expected, **CLOSE)


def test_the_mean_is_the_gaussians() -> None:
    model = some_model()
    gaussian = gaussian_of(model, random_precision(model.spec.size))
    net = started(model, gaussian, noise_dim=3)
    torch.testing.assert_close(net.mean.detach(), gaussian.weights)
    assert not torch.allclose(net.mean[0], net.mean[1])


def test_pairs_of_correlated_weights_are_held_to_the_number() -> None:
    # Three pairs, correlated by r, and the rest independent: along (1, 1)/√2 the variance is 1/(1 − r).
    model = some_model()
    size = model.spec.size
    correlation = torch.eye(size, dtype=torch.float64)
    for pair, r in enumerate((0.9, 0.5, 0.99)):
        correlation[2 * pair, 2 * pair + 1] = correlation[2 * pair + 1, 2 * pair] = -r
    scale = torch.linspace(1.0, 20.0, size, dtype=torch.float64)
    precision = (correlation * torch.outer(scale, scale)).expand(MEMBERS, -1, -1)
    net = started(model, gaussian_of(model, precision), noise_dim=3)
    for member in range(MEMBERS):
        ours = covariance(net, member) * torch.outer(scale, scale)
        for pair, r in enumerate((0.9, 0.5, 0.99)):
            block = ours[2 * pair : 2 * pair + 2, 2 * pair : 2 * pair + 2]
            wide, narrow = torch.tensor([1.0, 1.0]).double(), torch.tensor([1.0, -1.0]).double()
            assert (wide @ block @ wide / 2).item() == pytest.approx(1 / (1 - r), rel=1e-3)
            assert (narrow @ block @ narrow / 2).item() == pytest.approx(1.0, rel=1e-3)
        torch.testing.assert_close(ours[6:, 6:], torch.eye(size - 6).double(), **CLOSE)
        assert ours[:6, 6:].abs().max().item() < 1e-4


def test_with_more_noise_than_weights_nothing_is_missing_but_what_is_narrower_than_the_diagonal() -> None:
    model = some_model()
    precision = random_precision(model.spec.size)
    gaussian = gaussian_of(model, precision)
    net = started(model, gaussian, noise_dim=model.spec.size + 5)
    assert not bool(net.head.matrix[..., model.spec.size :].any())
    # q is at least as wide as the Gaussian in every direction: it only ever adds to the diagonal.
    for member in range(MEMBERS):
        excess = covariance(net, member) - precision[member].inverse()
        assert torch.linalg.eigvalsh(excess)[0].item() > -1e-4


def test_the_prior_itself_needs_no_directions() -> None:
    model = some_model()
    identity = torch.eye(model.spec.size).expand(MEMBERS, -1, -1)
    net = started(model, gaussian_of(model, identity), noise_dim=4)
    torch.testing.assert_close(net.output_noise.detach(), torch.ones(MEMBERS, model.spec.size))
    assert net.head.matrix.abs().max().item() < 1e-3  # √ of float32's rounding


@pytest.mark.parametrize("scale", [1e-6, 1e12])
def test_the_output_noise_stays_between_its_least_and_the_priors(scale: float) -> None:
    model = some_model()
    identity = torch.eye(model.spec.size).expand(MEMBERS, -1, -1)
    net = started(model, gaussian_of(model, scale * identity), noise_dim=2)
    limit = 1.0 if scale < 1 else 2 * MIN_OUTPUT_NOISE
    torch.testing.assert_close(net.output_noise.detach(), torch.full_like(net.mean, limit))
    assert all(bool(tensor.isfinite().all()) for tensor in state_of(net))


def test_a_direction_that_rounding_has_made_singular_is_wide_but_finite() -> None:
    model = some_model()
    size = model.spec.size
    correlation = torch.eye(size, dtype=torch.float64)
    correlation[0, 1] = correlation[1, 0] = 1.0 + 1e-9
    net = started(model, gaussian_of(model, 4 * correlation.expand(MEMBERS, -1, -1)), noise_dim=2)
    matrix = net.head.matrix[0, :2, 0] / 0.5  # in units of σ
    assert matrix.norm().item() == pytest.approx(math.sqrt(projection.WIDEST**2 - 1), rel=1e-3)


def test_a_trunk_with_layers_has_the_same_directions_and_bends_a_little() -> None:
    model = some_model(hidden=20)
    gaussian = gaussian_of(model, random_precision(model.spec.size))
    straight = started(model, gaussian, noise_dim=3)
    bent = started(model, gaussian, noise_dim=3, hidden=(5, 8))
    # φ(z) = (h(z), z): the directions belong to z, which comes last.
    torch.testing.assert_close(bent.head.matrix[..., 8:], straight.head.matrix)
    torch.testing.assert_close(bent.output_noise, straight.output_noise)
    bends = bent.head.matrix[..., :8] / bent.output_noise.unsqueeze(-1)
    numbers = bends.numel()
    # Features of at most 1 add at most BEND σ; the root mean square is known to one part in √(2n).
    share = bends.square().mean().sqrt().item() * math.sqrt(8) / projection.BEND
    assert abs(share - 1) < 4 / math.sqrt(2 * numbers)
    twin = started(model, gaussian, noise_dim=3, hidden=(5, 8))
    assert torch.equal(bent.head.matrix, twin.head.matrix)  # drawn from the generator alone


def test_the_gaussian_and_the_global_generator_are_left_alone() -> None:
    model = some_model()
    gaussian = gaussian_of(model, random_precision(model.spec.size))
    before = [gaussian.mean.clone(), gaussian.precision.clone(), *state_of(model)]
    net = HypernetworkSettings(noise_dim=3).build(torch.zeros(MEMBERS, model.spec.size), model.prior.scale)
    trunk, rng = state_of(net.trunk), torch.random.get_rng_state()
    start_from_gaussian(net, gaussian, torch.Generator())
    assert same_bits(before, [gaussian.mean, gaussian.precision, *state_of(model)])
    assert same_bits(trunk, state_of(net.trunk))
    assert torch.equal(rng, torch.random.get_rng_state())
    assert all(parameter.requires_grad for parameter in net.parameters())
