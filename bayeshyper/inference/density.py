"""The density of the implicit posterior, and its entropy between two bounds; `channel` has the formulas."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork

from .channel import LatentChannel
from .entropies import linearized_information
from .proposal import Proposal

__all__ = ["InformationBounds", "information_bounds", "log_density"]


@dataclass(frozen=True)
class InformationBounds:
    """Per-draw estimates whose means bound I(θ; z) from both sides, in nats; each ``(n,)``.

    Args:
        lower: Mean at most I, in expectation.
        upper: Mean at least I, in expectation.
        linearized: ½ logdet(I + JᵀMJ) at the same draws.
    """

    lower: Tensor
    upper: Tensor
    linearized: Tensor


@torch.no_grad()
def information_bounds(
    channel: LatentChannel,
    *,
    draws: int = 512,
    inner: int = 128,
    generator: torch.Generator | None = None,
    proposal: Proposal | None = None,
) -> InformationBounds:
    """A sandwich on the mutual information of weights and noise.

    I = E[ℓ(z₀; y) − log ∫ N(z) exp ℓ(z; y) dz] with ℓ(z; y) = yᵀBφ(z) − ½‖Bφ(z)‖²; the integral by
    importance sampling, with the true z₀ among the draws (lower bound on I) and without it (upper).

    Args:
        channel: The channel of one member.
        draws: n fresh joint draws.
        inner: K, importance draws for each; at least 64 for bounds worth having.
        generator: Where all noise comes from; a fixed seed by default.
        proposal: One to use instead of a freshly fitted one.

    Example:
        >>> from bayeshyper.hypernets import Trunk
        >>> trunk = Trunk(2, hidden=())  # φ(z) = z: I = ½ logdet(I + M) exactly
        >>> bounds = information_bounds(LatentChannel(trunk, 3.0 * torch.eye(2)))
        >>> exact = 0.5 * 2 * math.log(1 + 3.0)
        >>> bool((bounds.lower.mean() - exact).abs() < 0.2)
        True
    """
    generator = generator or torch.Generator().manual_seed(0)
    if channel.noise_dim == 0 or len(channel.factor) == 0:
        zero = torch.zeros(draws, dtype=torch.float64)
        return InformationBounds(zero, zero, zero)
    if proposal is None:
        with torch.enable_grad():
            proposal = Proposal.of(channel, generator)
    truth, y = channel.joint(draws, generator)
    mean, jacobian = channel.mean_and_jacobian(truth)
    at_truth = channel.log_weight(mean, y)
    below, above = proposal.log_marginal(y, inner, generator, truth)
    identity = torch.eye(len(channel.factor), dtype=torch.float64).unsqueeze(0)
    tangent = linearized_information(identity, jacobian.unsqueeze(0))[0]
    return InformationBounds(
        lower=at_truth - above, upper=at_truth - below + channel.slack, linearized=tangent
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
    results = []
    for index in range(hypernetwork.members):
        member = hypernetwork.member(index).double()
        noise = member.output_noise
        offset = (weights.double() - member.mean) / member.unit
        constant = 0.5 * member.size * math.log(2 * math.pi) + (member.unit * noise).log().sum()
        channel = LatentChannel.of(member)
        if channel.noise_dim == 0 or not len(channel.factor):  # then there is nothing to integrate over
            still = member.trunk(offset.new_zeros(1, 1, channel.noise_dim))
            density = -0.5 * ((offset - member.offsets(still)[0]) / noise).square().sum(-1)
        else:
            y, square = channel.observe(member, offset)
            with torch.enable_grad():
                proposal = Proposal.of(channel, generator)
            density = proposal.log_marginal(y, inner, generator)[0] - 0.5 * square
        density = density - constant
        results.append(density)
    return torch.logsumexp(torch.stack(results), dim=0) - math.log(hypernetwork.members)
