"""Where training starts: exact for Gaussians, better than nothing for others, the same every time."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bayeshyper.autoguide.posterior.start import StartingGaussian, find_starts, starts_around

F64 = torch.float64


def gaussian(size: int, condition: float) -> torch.distributions.MultivariateNormal:
    """Correlated, with standard deviations from 1 to √condition, and a mean many of them from 0."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=F64)).Q
    values = torch.logspace(0, math.log10(condition), size, dtype=F64)
    return torch.distributions.MultivariateNormal(
        100.0 * torch.ones(size, dtype=F64), (vectors * values) @ vectors.mT
    )


@pytest.mark.parametrize("size", [1, 5, 20])
def test_a_gaussian_is_found_however_badly_conditioned(size: int) -> None:
    target = gaussian(size, 1e6)
    [start] = find_starts(target.log_prob, torch.zeros(size, dtype=F64), 0.1)
    assert start.factor is not None
    root = torch.linalg.cholesky(target.covariance_matrix)
    # Of the target's own standard deviations: whitened by it, the start is nearly N(0, I).
    whitened = torch.linalg.solve_triangular(root, start.factor, upper=False)
    offset = torch.linalg.solve_triangular(root, (start.mean - target.mean).unsqueeze(-1), upper=False)
    identity = torch.eye(size, dtype=F64)
    assert (whitened @ whitened.mT - identity).abs().max().item() < 0.05
    assert offset.abs().max().item() < 0.05


def funnel(u: Tensor) -> Tensor:
    """v ~ N(0, 3), x_i ~ N(0, e^(v/2)): its density has no maximum, where v → −∞."""
    v, x = u[:, 0], u[:, 1:]
    return -v.square() / 18 - 0.5 * (x.square() * (-v).exp().unsqueeze(-1) + v.unsqueeze(-1)).sum(-1)


def test_a_density_without_a_maximum_gets_a_start_that_is_better_than_none() -> None:
    [start] = find_starts(funnel, torch.zeros(6, dtype=F64), 0.1)
    noise = torch.randn(2000, 6, dtype=F64, generator=torch.Generator().manual_seed(1))
    none = StartingGaussian(torch.zeros(6, dtype=F64), scale=0.1)
    assert start.elbo(funnel, noise) > none.elbo(funnel, noise) + 3.0


def two_modes(u: Tensor, share: float = 0.5) -> Tensor:
    left, right = (-0.5 * (u - at).square().sum(-1) for at in (-5.0, 5.0))
    return torch.logaddexp(math.log(share) + left, math.log(1 - share) + right)


def test_two_members_start_at_two_modes() -> None:
    starts = find_starts(two_modes, torch.zeros(2, dtype=F64), 0.1, 2)
    assert sorted(start.mean[0].sign().item() for start in starts) == [-1.0, 1.0]


def test_a_mode_without_weight_is_nobodys_start() -> None:
    starts = find_starts(lambda u: two_modes(u, 1e-8), torch.zeros(2, dtype=F64), 0.1, 3)
    assert all(start.mean[0].item() > 0 for start in starts)


def test_the_same_density_has_the_same_start_and_no_global_random_state_moves() -> None:
    target = gaussian(3, 10.0)
    state = torch.get_rng_state()
    first, second = (find_starts(target.log_prob, torch.zeros(3, dtype=F64), 0.1)[0] for _ in range(2))
    assert torch.equal(first.mean, second.mean)
    assert torch.equal(torch.get_rng_state(), state)


def test_where_a_distribution_refuses_its_parameters_there_is_no_density() -> None:
    def picky(u: Tensor) -> Tensor:
        if bool((u.abs() > 3).any()):
            raise ValueError("Expected parameter scale to be positive.")
        return -0.5 * u.square().sum(-1)

    [start] = find_starts(picky, torch.zeros(2, dtype=F64), 0.1)
    assert start.mean.abs().max().item() < 1.0


def test_a_density_that_is_finite_nowhere_leaves_the_initial_values() -> None:
    [start] = find_starts(lambda u: u.sum(-1) * math.nan, torch.ones(2, dtype=F64), 0.1)
    assert start == StartingGaussian(start.mean, None, 0.1)
    assert torch.equal(start.mean, torch.ones(2, dtype=F64))


def test_starts_around_are_opposite_pairs() -> None:
    center, one, opposite, another = (start.mean for start in starts_around(torch.ones(3), 0.1, 4))
    torch.testing.assert_close(one + opposite, 2 * center)
    assert not torch.equal(one, another)
