"""The density of the implicit posterior, and its entropy between two bounds; `channels` has the formulas."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork

from .channels import Channel, channel_of
from .proposals import Proposal, proposal_for

__all__ = ["InformationBounds", "MemberDensity", "information_bounds", "log_density"]


@dataclass(frozen=True)
class InformationBounds:
    """Per-draw estimates whose means bound I(θ; z) from both sides, in nats; each ``(n,)``.

    Args:
        lower: Mean at most I, in expectation.
        upper: Mean at least I, in expectation.
        linearized: ½ logdet(I + JᵀMJ) at the same draws.
        z: The noise of each draw, ``(n, d)``.
    """

    lower: Tensor
    upper: Tensor
    linearized: Tensor
    z: Tensor


@torch.no_grad()
def information_bounds(
    channel: Channel,
    *,
    draws: int = 512,
    inner: int = 128,
    generator: torch.Generator | None = None,
    proposal: Proposal | None = None,
) -> InformationBounds:
    """A sandwich on the mutual information of weights and noise.

    I = E[ℓ(z₀; y) − log ∫ N(z) exp ℓ(z; y) dz]; the integral by importance sampling, with the true z₀ among
    the draws (lower bound on I) and without it (upper).

    Args:
        channel: The channel of one member.
        draws: n fresh joint draws.
        inner: K, importance draws for each; at least 64 for bounds worth having.
        generator: Where all noise comes from; a fixed seed by default.
        proposal: One to use instead of a freshly fitted one.

    Example:
        >>> from bayeshyper.hypernets import Trunk
        >>> from bayeshyper.inference import LatentChannel
        >>> trunk = Trunk(2, hidden=())  # φ(z) = z: I = ½ logdet(I + M) exactly
        >>> bounds = information_bounds(LatentChannel(trunk, 3.0 * torch.eye(2)))
        >>> exact = 0.5 * 2 * math.log(1 + 3.0)
        >>> bool((bounds.lower.mean() - exact).abs() < 0.2)
        True
    """
    generator = generator or torch.Generator().manual_seed(0)
    if channel.is_silent:
        zero = torch.zeros(draws, dtype=torch.float64)
        return InformationBounds(zero, zero, zero, zero.new_zeros(draws, channel.noise_dim))
    proposal = proposal or proposal_for(channel, generator)
    truth, y = channel.joint(draws, generator)
    at_truth = channel.log_likelihood(channel.law(truth), y)
    below, above = proposal.log_marginal(y, inner, generator, truth)
    return InformationBounds(
        lower=at_truth - above,
        upper=at_truth - below + channel.slack,
        linearized=channel.linearized(truth),
        z=truth,
    )


@torch.no_grad()
def log_density(
    hypernetwork: Hypernetwork, weights: Tensor, *, inner: int = 256, generator: torch.Generator | None = None
) -> Tensor:
    """log q(θ) of any weight vectors, ``(S,)`` for ``(S, D)``, by importance sampling over z in float64.

    Consistent as ``inner`` grows, and below log q in expectation. Members are summed as a mixture.

    Example:
        >>> from bayeshyper.hypernets import HypernetworkSettings
        >>> net = Hypernetwork(torch.zeros(1, 2), torch.ones(2), HypernetworkSettings(noise_dim=0))
        >>> log_density(net, torch.zeros(1, 2)).shape
        torch.Size([1])
    """
    generator = generator or torch.Generator().manual_seed(0)
    members = [hypernetwork.member(index) for index in range(hypernetwork.members)]
    parts = [MemberDensity(member, generator).bounds(weights, inner)[0] for member in members]
    return torch.logsumexp(torch.stack(parts), dim=0) - math.log(hypernetwork.members)


class MemberDensity:
    """log q(θ) of one member at any weights, between two estimates; in float64 on the CPU.

    Args:
        member: A hypernetwork with one member.
        generator: Where all noise comes from.
    """

    def __init__(self, member: Hypernetwork, generator: torch.Generator) -> None:
        self._member = copy.deepcopy(member).to("cpu", torch.float64).requires_grad_(False)
        self._generator = generator
        self._channel = channel_of(self._member)
        self._proposal = None if self._channel.is_silent else proposal_for(self._channel, generator)

    @torch.no_grad()
    def bounds(self, weights: Tensor, inner: int, z: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """log q(θ) from below, and from above, in expectation, each ``(S,)``.

        The estimate from below is the log of an unbiased estimate of q(θ). Of the one from above, exp(−log q̂)
        is what is unbiased, as a weight: E[f(θ)/q̂(θ)] = ∫ f over draws θ of the member (`MixtureEntropy`).

        Args:
            weights: θ, ``(S, D)``.
            inner: K, importance draws of z for each.
            z: The noise ``(S, d)`` that they were made with, for the estimate from above; without it that is
                NaN where there is anything to estimate.
        """
        member = self._member
        offsets = (weights.to(member.mean) - member.mean) / member.unit
        constant = 0.5 * member.size * math.log(2 * math.pi) + (member.unit * member.output_noise).log().sum()
        if self._proposal is None:  # then there is nothing to integrate over
            features = member.trunk(offsets.new_zeros(1, 1, self._channel.noise_dim))
            widening = (member.noise_at(features)[0] / member.output_noise).log().sum(-1)
            noise = (offsets - member.offsets(features)[0]) / member.noise_at(features)[0]
            exact = -0.5 * noise.square().sum(-1) - widening - constant
            return exact, exact
        y, left_out = self._channel.observe(member, offsets)
        below, above = self._proposal.log_marginal(y, inner, self._generator, z)
        return below + left_out - constant, above + left_out - constant
