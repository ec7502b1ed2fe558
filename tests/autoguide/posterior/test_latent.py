"""The hypernetwork in its frame: it starts at the Gaussian it is given, and its map is invertible."""

from __future__ import annotations

import math

import pytest
import torch

from bayeshyper.autoguide.posterior.frame import Frame, Shift
from bayeshyper.autoguide.posterior.latent import CORRELATED, LatentPosterior
from bayeshyper.autoguide.posterior.start import StartingGaussian

F64 = torch.float64
DRAWS = 40_000


def start(seed: int = 0, size: int = 3, scale: float = 1.0) -> StartingGaussian:
    generator = torch.Generator().manual_seed(seed)
    factor = torch.randn(size, size, generator=generator, dtype=F64).tril()
    factor.diagonal().abs_().add_(0.5)
    return StartingGaussian(10.0 * torch.randn(size, generator=generator, dtype=F64), factor, scale)


@pytest.mark.parametrize("noise_dim", [0, 1, 2, 5])
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_it_starts_at_the_gaussian(noise_dim: int, scale: float) -> None:
    torch.manual_seed(0)
    given = start(scale=scale)
    posterior = LatentPosterior([given], noise_dim=noise_dim, hidden=(8,), entropy="hierarchical")
    draws = posterior.sample(DRAWS, torch.Generator().manual_seed(0))
    assert given.factor is not None
    whitened = torch.linalg.solve_triangular(given.factor, (draws - given.mean).mT, upper=False) / scale
    # The bend adds 0.1 to unit scale, whose square is 0.01 and whose mean may be 0.1 off; and chance.
    error = 4 * math.sqrt(2 / DRAWS)
    assert whitened.mean(1).abs().max().item() < 0.15 + error
    assert (torch.cov(whitened) - torch.eye(3, dtype=F64)).abs().max().item() < 0.1 + error


@pytest.mark.parametrize("kind", [Frame, Shift])
def test_a_frame_goes_there_and_back_with_its_volume(kind: type[Frame] | type[Shift]) -> None:
    torch.manual_seed(0)
    frame = kind([start(0), start(1)])
    with torch.no_grad():
        for parameter in frame.parameters():
            parameter.normal_()
    latents = torch.randn(7, 3, dtype=F64)
    coordinates = frame.inverse(latents)
    torch.testing.assert_close(frame(coordinates), latents.expand(2, -1, -1), rtol=1e-9, atol=1e-9)
    for member in range(2):
        jacobian = torch.autograd.functional.jacobian(
            lambda w, m=member: frame(torch.stack([w, w]).unsqueeze(1))[m, 0], torch.zeros(3, dtype=F64)
        )
        exact = torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(frame.log_volume[member], exact, rtol=1e-9, atol=1e-9)


def test_many_latents_have_no_matrix_of_their_correlations() -> None:
    size = CORRELATED + 1
    many = StartingGaussian(torch.zeros(size), scale=0.1)
    posterior = LatentPosterior([many], noise_dim=2, hidden=(4,), entropy="hierarchical")
    assert max(parameter.numel() for parameter in posterior.parameters()) < 100 * size
    assert posterior.sample(5).shape == (5, size)


def test_what_is_no_entropy_is_refused() -> None:
    with pytest.raises(ValueError, match="hierarchical"):
        LatentPosterior([start()], noise_dim=1, hidden=(4,), entropy="hierarchic")


def test_draws_of_members_come_in_random_order() -> None:
    """Two members far apart: half of the first draws are of each, as of all."""
    starts = [StartingGaussian(torch.full((1,), center)) for center in (-100.0, 100.0)]
    posterior = LatentPosterior(starts, noise_dim=0, hidden=(4,), entropy="hierarchical")
    draws = posterior.sample(1000, torch.Generator().manual_seed(0))
    left = (draws[:, 0] < 0).double()
    assert left.mean() == 0.5
    assert abs(left[:500].mean() - 0.5) < 4 * 0.5 / 500**0.5
