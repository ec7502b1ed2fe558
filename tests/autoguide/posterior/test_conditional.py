"""One context is an ordinary posterior, and each of many has its own."""

from __future__ import annotations

import math

import pyro
import pyro.distributions as dist
import pytest
import torch

from bayeshyper.autoguide.posterior.conditional import ConditionalPosterior
from bayeshyper.autoguide.posterior.start import StartingGaussian
from bayeshyper.hypernets import MIN_OUTPUT_NOISE

FEATURES = 3


@pytest.mark.parametrize("correlated", [True, False])
@pytest.mark.parametrize("noise_dim", [0, 2])
def test_at_one_context_it_is_an_ordinary_posterior(
    noise_dim: int, correlated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not correlated:
        monkeypatch.setattr("bayeshyper.autoguide.posterior.latent.CORRELATED", 1)
    torch.manual_seed(0)
    start = StartingGaussian(torch.randn(4, dtype=torch.float64), scale=0.5)
    posterior = ConditionalPosterior(
        [start], FEATURES, noise_dim=noise_dim, hidden=(8, 8), entropy="hierarchical"
    )
    with torch.no_grad():
        for parameter in posterior.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    context = torch.randn(FEATURES, dtype=torch.float64)
    alone = posterior.at(context)

    def seeded() -> torch.Generator:
        return torch.Generator().manual_seed(1)

    torch.testing.assert_close(
        alone.sample(50, seeded()), posterior.given(context).sample(50, seeded()), rtol=0, atol=1e-12
    )
    drawn, densities = [], []
    for distribution in (alone.distribution(), posterior.given(context).distribution()):
        with pyro.plate("draws", 50):
            torch.manual_seed(2)
            expanded = distribution.expand((50,))
            drawn.append(expanded.rsample())
            densities.append(expanded.log_prob(drawn[-1]))
    torch.testing.assert_close(*drawn, rtol=0, atol=1e-12)
    torch.testing.assert_close(*densities, rtol=0, atol=1e-10)
    # The frame's inverse is one, and the copy no part of what it was made from.
    weights = torch.randn(1, 7, 4, dtype=torch.float64)
    torch.testing.assert_close(alone.frame.inverse(alone.frame(weights)[0]), weights)
    before = alone.sample(3, seeded())
    with torch.no_grad():
        posterior.matrix.add_(1.0)
        posterior.base.hypernetwork.mean.add_(1.0)
    torch.testing.assert_close(alone.sample(3, seeded()), before, rtol=0, atol=0)


def test_each_row_has_the_posterior_of_its_own_context() -> None:
    """Draws and log densities of many contexts at once, against each one's posterior."""
    torch.manual_seed(0)
    posterior = ConditionalPosterior(
        [StartingGaussian(torch.zeros(2, dtype=torch.float64))],
        FEATURES,
        noise_dim=1,
        hidden=(8,),
        entropy="hierarchical",
    )
    with torch.no_grad():
        for parameter in posterior.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    contexts = torch.randn(5, FEATURES, dtype=torch.float64)
    draws = posterior.given(contexts).sample(20_000)
    for row, context in enumerate(contexts):
        reference = posterior.at(context).sample(20_000)
        spread = reference.std(0)
        assert ((draws[:, row].mean(0) - reference.mean(0)) / spread).abs().max() < 4 * math.sqrt(2 / 20_000)
        assert (draws[:, row].std(0) / spread).log().abs().max() < 0.05
    distance = (draws.mean(0)[:, None] - draws.mean(0)).norm(dim=-1) + 10 * torch.eye(5)
    assert distance.min() > 0.1  # the rows differ


def test_every_member_draws_for_every_row() -> None:
    """Two members far apart: half of each row's draws are of either, also where there is one draw each."""
    starts = [StartingGaussian(torch.full((1,), place), scale=0.1) for place in (-5.0, 5.0)]
    posterior = ConditionalPosterior(starts, 1, noise_dim=0, hidden=(), entropy="hierarchical")
    torch.manual_seed(0)
    contexts = torch.zeros(3, 1)
    one_each = torch.cat([posterior.given(contexts).sample(1) for _ in range(400)])
    many = posterior.given(contexts).sample(400)
    for draws in (one_each, many):
        assert ((draws > 0).double().mean(0) - 0.5).abs().max() < 4 * 0.5 / math.sqrt(400)
    latents, log_density = posterior.draw(torch.zeros(101, 1), scored=True)
    exact = dist.Normal(5.0 * latents.sign(), 0.1 + MIN_OUTPUT_NOISE).log_prob(latents)[:, 0]
    torch.testing.assert_close(log_density, exact, rtol=0, atol=1e-3)
