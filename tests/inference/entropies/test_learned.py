"""Stein's score and the discriminator: right where few dimensions let them be, and out of others' way."""

from __future__ import annotations

import copy
import pickle

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO

from bayeshyper.inference import ImplicitGuide
from bayeshyper.inference.entropies import (
    ENTROPIES,
    LinearizedEntropy,
    PriorContrastiveEntropy,
    SteinEntropy,
    stein_score,
)
from tests.inference.toys import as_low_rank, random_hypernetwork, same_bits, small_problem, state_of


def gaussian(size: int, draws: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Draws of a Gaussian with standard deviations from 0.5 to 2, and its score there."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.linspace(0.5, 2.0, size, dtype=torch.float64)
    x = scale * torch.randn(draws, size, dtype=torch.float64, generator=generator)
    return x, -x / scale.square()


def agreement(size: int, draws: int) -> tuple[float, float]:
    """The slope of the estimated score on the true one, and their correlation."""
    x, exact = gaussian(size, draws)
    score = stein_score(x.unsqueeze(0))[0]
    product = (score * exact).sum()
    return (product / exact.square().sum()).item(), (product / score.norm() / exact.norm()).item()


def test_the_stein_score_is_the_gaussians_own_in_low_dimension_and_fades_in_high() -> None:
    slope, correlation = agreement(2, 400)
    assert slope == pytest.approx(1.0, abs=0.15)
    assert correlation > 0.9
    slope, _ = agreement(500, 32)
    assert slope < 0.1  # 32 draws span 32 of 500 directions


def test_the_stein_score_scales_as_a_score_does() -> None:
    x, _ = gaussian(3, 50)
    score = stein_score(x.unsqueeze(0))
    torch.testing.assert_close(stein_score(4.0 * x.unsqueeze(0) + 7.0), score / 4.0, rtol=1e-8, atol=1e-10)
    assert torch.equal(stein_score(torch.stack([x, 2.0 * x]))[0], score[0])


def test_stein_shows_the_linearised_value_and_pulls_by_its_score() -> None:
    net = random_hypernetwork(2, noise_dim=1, hidden=(4,), gain=0.3)
    entropy = SteinEntropy(net, draws=600)
    draw = net.draw(600, generator=torch.Generator().manual_seed(0))
    value = entropy(net, draw)
    torch.testing.assert_close(value, LinearizedEntropy(net)(net, draw), rtol=1e-12, atol=0)
    ours = torch.autograd.grad(value.mean(), net.log_output_noise)[0]
    draw = net.draw(600, generator=torch.Generator().manual_seed(0))
    theirs = torch.autograd.grad(LinearizedEntropy(net)(net, draw).mean(), net.log_output_noise)[0]
    torch.testing.assert_close(ours, theirs, rtol=0.3, atol=0)  # weight by weight, in two dimensions
    # A unit changes the numbers that the weights are measured in, not the pull on σ.
    net.unit.mul_(10.0)
    again = net.draw(600, generator=torch.Generator().manual_seed(0))
    rescaled = torch.autograd.grad(entropy(net, again).mean(), net.log_output_noise)[0]
    torch.testing.assert_close(rescaled, ours, rtol=1e-6, atol=0)


@pytest.mark.parametrize("contrast", ["adaptive", "prior"])
def test_a_trained_discriminator_nears_the_entropy_from_above(contrast: str) -> None:
    net = random_hypernetwork(4, noise_dim=1, gain=0.5, noise=0.5)
    net.requires_grad_(False)
    exact = as_low_rank(net).entropy().item()
    entropy = PriorContrastiveEntropy(net, contrast=contrast, draws=256)
    generator = torch.Generator().manual_seed(0)
    gaps = []
    for steps in (1, 600):
        for _ in range(steps):
            entropy.learn(net, generator)
        with torch.no_grad():
            gaps.append(entropy(net, net.draw(4000, generator=generator)).mean().item() - exact)
    assert gaps[0] > 0.1
    assert -0.1 < gaps[1] < 0.5 * gaps[0]
    density = as_low_rank(net).log_prob((draw := net.draw(2000, generator=generator)).weights[0])
    with torch.no_grad():
        found, estimate = entropy.log_density(net, draw)[0], entropy(net, draw)[0]
    # One in closed form over ε, the other at the draw: the same in the mean.
    gap = found + estimate
    assert abs(gap.mean().item()) < 4 * gap.std().item() / 2000**0.5
    assert torch.corrcoef(torch.stack([found, density]))[0, 1].item() > 0.9


def test_a_discriminator_learns_in_training_alone() -> None:
    net = random_hypernetwork(5, noise_dim=2)
    entropy = PriorContrastiveEntropy(net)
    start = state_of(entropy)
    entropy.eval()
    entropy(net, net.draw(3))
    entropy.train()
    with torch.no_grad():
        entropy(net, net.draw(3))
    assert same_bits(start, state_of(entropy))
    before = state_of(net)
    entropy(net, net.draw(3)).mean().backward()
    assert not same_bits(start, state_of(entropy))
    assert same_bits(before, state_of(net))
    assert all(p.grad is not None for p in (net.mean, net.log_output_noise, net.head.matrix))
    assert not any(p.requires_grad for p in entropy.parameters())  # nobody else's optimiser trains it


@pytest.mark.parametrize("name", ENTROPIES)
def test_stock_pyro_trains_what_an_estimator_learns_and_copies_go_on_alone(name: str) -> None:
    model, guide, x, y = small_problem(particles=4, members=2)
    entropy = ENTROPIES[name](guide.hypernetwork)
    guide = ImplicitGuide(model, guide.hypernetwork, entropy=entropy)
    guide.generator = torch.Generator().manual_seed(0)
    before = state_of(entropy)
    SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), loss=Trace_ELBO()).step(x, y)
    learns = name in ("hierarchical", "prior-contrastive")
    assert same_bits(before, state_of(entropy)) != learns
    assert {key.split(".")[0] for key in guide.state_dict()} == (
        {"hypernetwork", "entropy"} if learns else {"hypernetwork"}
    )
    for twin in (copy.deepcopy(entropy), pickle.loads(pickle.dumps(entropy))):
        kept = state_of(entropy)
        twin(guide.hypernetwork, guide.hypernetwork.draw(4))
        assert same_bits(kept, state_of(entropy))
        assert same_bits(kept, state_of(twin)) == (name != "prior-contrastive")
    fresh = ENTROPIES[name](guide.hypernetwork)
    fresh.load_state_dict(entropy.state_dict())
    assert same_bits(state_of(fresh), state_of(entropy))


@pytest.mark.parametrize("name", ENTROPIES)
def test_noise_comes_from_the_draws_generator_and_from_nowhere_else(name: str) -> None:
    net = random_hypernetwork(5, noise_dim=2, hidden=(4,))
    values = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        entropy = ENTROPIES[name](net)
        value = entropy(net, net.draw(4, generator=torch.Generator().manual_seed(5)))
        value.sum().backward()
        values.append(value.detach())
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(*values)
