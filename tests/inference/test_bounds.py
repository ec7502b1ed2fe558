"""The sandwich on I(θ; z): exact values inside, tighter with more draws, and a fold that it must see."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bayeshyper.inference import InformationBounds, LatentChannel, channel_of, information_bounds
from bayeshyper.inference.proposals import Proposal
from tests.inference.toys import FoldedHypernetwork, peeking, random_hypernetwork


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def standard_error(values: Tensor) -> float:
    return values.std().item() / math.sqrt(len(values))


def random_channel(seed: int, noise_dim: int, hidden: tuple[int, ...], gain: float = 2.0) -> LatentChannel:
    return channel_of(
        random_hypernetwork(12, noise_dim=noise_dim, hidden=hidden, gain=gain, noise=0.4, seed=seed)
    )


def exact_information(channel: LatentChannel, z: Tensor, y: Tensor) -> Tensor:
    """ℓ(z; y) − log ∫ N(z) exp ℓ(z; y) dz for draws of one-dimensional z, by quadrature; its mean is I."""
    axis = torch.linspace(-9.0, 9.0, 6001, dtype=torch.float64).unsqueeze(-1)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(axis[:, 0]) + math.log(18.0 / 6000)
    mean = channel.law(axis)
    integral = torch.cat(
        [
            torch.logsumexp(prior + part @ mean.mT - 0.5 * mean.square().sum(-1), dim=-1)
            for part in y.split(256)
        ]
    )
    return channel.log_likelihood(channel.law(z), y) - integral


def test_affine_information_lies_between_the_bounds() -> None:
    channel = random_channel(0, noise_dim=3, hidden=())
    exact = 0.5 * torch.logdet(torch.eye(3, dtype=torch.float64) + channel.gram).item()
    bounds = information_bounds(channel, draws=800, inner=128)
    torch.testing.assert_close(
        bounds.linearized, torch.full_like(bounds.linearized, exact), rtol=1e-10, atol=0
    )
    assert bounds.lower.mean().item() - 4 * standard_error(bounds.lower) < exact
    assert exact < bounds.upper.mean().item() + 4 * standard_error(bounds.upper)
    # The two share their draws, so that what is left between them is only the importance sampler's.
    assert 0 < (bounds.upper - bounds.lower).mean().item() < 0.02


@pytest.mark.parametrize(("noise_dim", "hidden", "seed"), [(1, (6,), 0), (2, (8,), 1), (4, (8, 8), 2)])
def test_bounds_are_in_order_and_tighten_with_more_draws(
    noise_dim: int, hidden: tuple[int, ...], seed: int
) -> None:
    channel = random_channel(seed, noise_dim, hidden, gain=0.5)
    proposal = Proposal(channel, generator(), encoder_steps=100)
    few, some, many = (
        information_bounds(channel, draws=1000, inner=inner, generator=generator(1), proposal=proposal)
        for inner in (2, 8, 64)
    )
    widths = [bounds.upper - bounds.lower for bounds in (few, some, many)]
    for width in widths:  # E[width] ≥ 0; both share their draws, so that the width's own error is small
        assert width.mean().item() > -4 * standard_error(width)
    assert widths[2].mean().item() < 0.02
    # The same joint draws (same seed, same first numbers) at every K: the differences are paired.
    for gain in (widths[0] - widths[1], widths[1] - widths[2]):
        assert gain.mean().item() > 3 * standard_error(gain)
    for gain in (many.lower - few.lower, few.upper - many.upper):  # neither gets worse
        assert gain.mean().item() > -3 * standard_error(gain)


def test_nonlinear_information_lies_between_the_bounds() -> None:
    channel = random_channel(3, noise_dim=1, hidden=(8,))
    proposal = Proposal(channel, generator(), encoder_steps=100)
    bounds = information_bounds(channel, draws=2000, inner=8, generator=generator(5), proposal=proposal)
    z, y = channel.joint(2000, generator(5))  # the very draws that the bounds were made from
    exact = exact_information(channel, z, y)
    below, above = exact - bounds.lower, bounds.upper - exact
    assert below.mean().item() > -4 * standard_error(below)
    assert above.mean().item() > -4 * standard_error(above)
    # Within 0.1 nats on both sides even at K = 8: paired with the exact values, the noise of z drops out.
    assert below.mean().item() < 0.1
    assert above.mean().item() < 0.1


def test_no_information_is_zero_information() -> None:
    for net in (random_hypernetwork(5, noise_dim=0), random_hypernetwork(5, noise_dim=2)):
        torch.nn.init.zeros_(net.head.matrix)
        bounds = information_bounds(channel_of(net), draws=7)
        for values in (bounds.lower, bounds.upper, bounds.linearized):
            assert torch.equal(values, torch.zeros(7, dtype=torch.float64))


def test_scaling_weights_and_noise_together_carries_the_same_information() -> None:
    first = random_hypernetwork(8, noise_dim=2, hidden=(4,))
    second = random_hypernetwork(8, noise_dim=2, hidden=(4,))
    with torch.no_grad():
        second.unit.mul_(7.0)  # units cancel
        second.mean.add_(3.0)  # so does where it all is
    results = [
        information_bounds(channel_of(net), draws=32, inner=16, generator=generator(2))
        for net in (first, second)
    ]
    assert torch.equal(results[0].lower, results[1].lower)
    assert torch.equal(results[0].upper, results[1].upper)


PeekingProposal = peeking(Proposal)


class TestPlantedFold:
    """z and −z give the same weights, so a draw tells only |z|: the tangent counts log 2 nats too many."""

    draws = 2000
    channel = channel_of(FoldedHypernetwork(noise=0.3))

    def exact(self) -> Tensor:
        return exact_information(self.channel, *self.channel.joint(self.draws, generator(1)))

    def bounds(self, kind: type[Proposal]) -> InformationBounds:
        proposal = kind(self.channel, generator(), encoder_steps=100)
        return information_bounds(
            self.channel, draws=self.draws, inner=128, generator=generator(1), proposal=proposal
        )

    def test_the_truth_lies_between_the_bounds_and_the_tangent_above_them(self) -> None:
        bounds, exact = self.bounds(Proposal), self.exact()
        below, above = exact - bounds.lower, bounds.upper - exact
        assert below.mean().item() > -4 * standard_error(below)
        assert above.mean().item() > -4 * standard_error(above)
        excess = bounds.linearized - bounds.upper
        assert excess.mean().item() > 8 * standard_error(excess)

    def test_the_integral_is_unbiased_where_several_noises_explain_the_weights(self) -> None:
        # A single draw, many times: E[estimate/exact] = 1 holds only if the proposal's density is the one
        # that it draws from, branches of the fold and failed searches included.
        proposal = Proposal(self.channel, generator(), encoder_steps=100)
        z, y = self.channel.joint(6, generator(2))
        log_integral = self.channel.log_likelihood(self.channel.law(z), y) - exact_information(
            self.channel, z, y
        )
        many = y.repeat_interleave(2000, 0)
        estimate = proposal.log_marginal(many, 1, generator(3))[0].reshape(6, 2000)
        ratio = (estimate - log_integral.unsqueeze(-1)).exp()
        error = ratio.std(1) / math.sqrt(2000)
        assert ((ratio.mean(1) - 1) / error).abs().max().item() < 4.5
        assert error.max().item() < 0.15

    def test_a_proposal_that_starts_at_the_truth_breaks_the_bound_and_looks_perfect(self) -> None:
        peeking, exact = self.bounds(PeekingProposal), self.exact()
        # Looks perfect: the bounds agree with each other …
        assert (peeking.upper - peeking.lower).mean().item() < 0.1
        # … and are broken: the "lower bound" is above the truth, beyond any Monte Carlo error.
        breach = peeking.lower - exact
        assert breach.mean().item() > 8 * standard_error(breach)
