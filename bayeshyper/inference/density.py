"""The density of the implicit posterior, between two bounds (DESIGN section 3, "Audit").

With u = (θ − μ)/s, Σ = diag(σ²) and M = AᵀΣ⁻¹A, the k numbers t = AᵀΣ⁻¹u are sufficient for z:

    log q(θ) = −D/2·log 2π − Σ log(s_i σ_i) − ½‖Σ^-½ u‖² + log ∫ N(z; 0, I) exp(tᵀφ(z) − ½ φ(z)ᵀMφ(z)) dz

so the density of a D-dimensional vector is a d-dimensional integral, for any A and k. Written with the
factor M = BᵀB and y = B⁺ᵀt, the integrand's exponent is yᵀBφ − ½‖Bφ‖², and a posterior draw has
y = Bφ(z) + n with n ~ N(0, I_r): a *channel* from z to y, in which D no longer occurs. The entropy is

    H[q] = D/2·log 2πe + Σ log(s_i σ_i) + I(θ; z),     I(θ; z) = I(y; z)

and the mutual information is what the bounds are on.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bayeshyper.hypernets import Hypernetwork, Trunk

from .entropy import linearized_information

__all__ = ["InformationBounds", "LatentChannel", "Proposal", "information_bounds", "log_density"]

# Shares of the proposal: a few per cent of the prior keep every importance weight bounded.
PRIOR_SHARE = 0.05
DEGREES_OF_FREEDOM = 10.0
GAUSS_NEWTON_STEPS = 15


class LatentChannel:
    """The channel y = Bφ(z) + n of one member, in float64.

    Args:
        trunk: φ, of one member.
        gram: M = AᵀΣ⁻¹A, ``(k, k)``, of any rank.
    """

    def __init__(self, trunk: Trunk, gram: Tensor) -> None:
        self.trunk = copy.deepcopy(trunk).double().requires_grad_(False)
        values, vectors = torch.linalg.eigh(gram.detach().double())
        # Directions that no weight moves along carry no information; they are dropped, not inverted.
        keep = values > values.max().clamp_min(1e-300) * 1e-13 if len(values) else values > 0
        root = values[keep].sqrt()
        self.factor = root.unsqueeze(-1) * vectors[:, keep].mT  # B, (r, k)
        self.pseudo_inverse = vectors[:, keep] / root  # B⁺, (k, r)
        self.gram = gram.detach().double()

    @classmethod
    def of(cls, member: Hypernetwork) -> LatentChannel:
        """The channel of a hypernetwork with one member."""
        if member.members != 1:
            raise ValueError(f"Got {member.members} members, expected one; take hypernetwork.member(i).")
        return cls(member.trunk, member.head.gram(member.output_noise.double().pow(-2))[0])

    @property
    def noise_dim(self) -> int:
        """d."""
        return self.trunk.noise_dim

    def mean(self, z: Tensor) -> Tensor:
        """Bφ(z): ``(n, d)`` to ``(n, r)``."""
        features: Tensor = self.trunk(z.unsqueeze(0))
        mean: Tensor = features[0] @ self.factor.mT
        return mean

    def mean_and_jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Bφ(z) ``(n, r)`` and B ∂φ/∂z ``(n, r, d)``."""
        features, jacobian = self.trunk.with_jacobian(z.unsqueeze(0))
        return features[0] @ self.factor.mT, self.factor @ jacobian[0]

    def log_weight(self, mean: Tensor, y: Tensor) -> Tensor:
        """yᵀBφ − ½‖Bφ‖² over the last dimension."""
        return (y * mean).sum(-1) - 0.5 * mean.square().sum(-1)

    def joint(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n draws of z ``(n, d)`` and y ``(n, r)``."""
        z = torch.randn(n, self.noise_dim, generator=generator, dtype=torch.float64)
        mean = self.mean(z)
        return z, mean + torch.randn(mean.shape, generator=generator, dtype=torch.float64)


class Proposal:
    """Importance sampling of z given y: a Student t around the posterior mode that y alone leads to.

    An encoder fitted on joint draws proposes a start, damped Gauss–Newton steps take it to a mode of
    −½‖z‖² + yᵀBφ(z) − ½‖Bφ(z)‖², and the t has the precision I + (BJ)ᵀ(BJ) there. Nothing in it depends on
    the z that y was made from: a proposal that started there would break the upper bound on the entropy's
    error and look perfect.

    Args:
        channel: Which channel.
        generator: Noise for the encoder's fit.
        encoder_steps: Length of the encoder's fit.
    """

    def __init__(
        self, channel: LatentChannel, generator: torch.Generator, *, encoder_steps: int = 400
    ) -> None:
        self.channel = channel
        self.encoder = _fit_encoder(channel, generator, encoder_steps)

    def start(self, y: Tensor) -> Tensor:
        """Where the Gauss–Newton steps begin, ``(n, d)``: a function of y alone."""
        with torch.no_grad():
            start: Tensor = self.encoder(y)
        return start

    def log_marginal(
        self, y: Tensor, draws: int, generator: torch.Generator, truth: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Two estimates of log ∫ N(z; 0, I) exp(yᵀBφ − ½‖Bφ‖²) dz, each ``(n,)``.

        Args:
            y: ``(n, r)``.
            draws: K importance draws per row.
            generator: Where they come from.
            truth: The z ``(n, d)`` behind each y, where known.

        Returns:
            Without the truth among the draws: below the integral's log in expectation. With it: above, in
            expectation over the joint law of z and y (Sobolev & Vetrov 2019, arXiv 1905.03290); NaN
            where no truth is given.
        """
        mode, factor = self._mode(y)
        samples = self._sample(mode, factor, draws, generator)
        weights = self._log_weights(samples, y, mode, factor)
        below = torch.logsumexp(weights, dim=0) - math.log(draws)
        if truth is None:
            return below, torch.full_like(below, math.nan)
        true_weight = self._log_weights(truth.unsqueeze(0), y, mode, factor)
        above = torch.logsumexp(torch.cat([true_weight, weights]), dim=0) - math.log(draws + 1)
        return below, above

    def _mode(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """A mode given y, and the Cholesky factor of the precision there."""
        z, damping = self.start(y), torch.full((len(y), 1), 1e-3, dtype=y.dtype)
        value = self._objective(z, y)
        for _ in range(GAUSS_NEWTON_STEPS):
            gradient, precision = self._expand(z, y)
            damped = precision + torch.diag_embed(damping * precision.diagonal(dim1=-2, dim2=-1))
            candidate = z + torch.linalg.solve(damped, gradient.unsqueeze(-1)).squeeze(-1)
            new_value = self._objective(candidate, y)
            better = new_value > value
            z = torch.where(better.unsqueeze(-1), candidate, z)
            value = torch.where(better, new_value, value)
            damping = torch.where(better.unsqueeze(-1), damping * 0.1, damping * 10.0).clamp(1e-9, 1e9)
        _, precision = self._expand(z, y)
        return z, torch.linalg.cholesky(precision)

    def _objective(self, z: Tensor, y: Tensor) -> Tensor:
        return self.channel.log_weight(self.channel.mean(z), y) - 0.5 * z.square().sum(-1)

    def _expand(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient ``(n, d)`` and Gauss–Newton precision ``(n, d, d)`` of the objective."""
        mean, jacobian = self.channel.mean_and_jacobian(z)
        gradient = (jacobian.mT @ (y - mean).unsqueeze(-1)).squeeze(-1) - z
        return gradient, jacobian.mT @ jacobian + torch.eye(z.shape[-1], dtype=z.dtype)

    def _sample(self, mode: Tensor, factor: Tensor, draws: int, generator: torch.Generator) -> Tensor:
        """Draw ``(K, n, d)`` from the mixture of t and prior."""
        shape = (draws, *mode.shape)
        normal = torch.randn(shape, generator=generator, dtype=mode.dtype)
        # A t is a Normal over an independent √(χ²/ν); for even ν, χ² is a sum of ν/2 exponentials.
        halves = (int(DEGREES_OF_FREEDOM / 2), *shape[:2])
        uniforms = torch.rand(halves, generator=generator, dtype=mode.dtype)
        chi_square = -2.0 * uniforms.clamp_min(1e-300).log().sum(0)
        stretched = normal / (chi_square / DEGREES_OF_FREEDOM).sqrt().unsqueeze(-1)
        offset = torch.linalg.solve_triangular(factor.mT, stretched.unsqueeze(-1), upper=True).squeeze(-1)
        from_prior = torch.rand(shape[:2], generator=generator, dtype=mode.dtype) < PRIOR_SHARE
        return torch.where(from_prior.unsqueeze(-1), normal, mode + offset)

    def _log_weights(self, z: Tensor, y: Tensor, mode: Tensor, factor: Tensor) -> Tensor:
        """log of integrand over proposal, ``(K, n)`` for z ``(K, n, d)``."""
        d = z.shape[-1]
        log_prior = -0.5 * z.square().sum(-1) - 0.5 * d * math.log(2 * math.pi)
        mean = self.channel.mean(z.reshape(-1, d)).reshape(*z.shape[:2], -1)
        target = log_prior + self.channel.log_weight(mean, y)
        nu = DEGREES_OF_FREEDOM
        white = (factor.mT @ (z - mode).unsqueeze(-1)).squeeze(-1)
        log_t = (
            math.lgamma((nu + d) / 2)
            - math.lgamma(nu / 2)
            - 0.5 * d * math.log(nu * math.pi)
            + factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
            - 0.5 * (nu + d) * torch.log1p(white.square().sum(-1) / nu)
        )
        proposal = torch.logaddexp(log_t + math.log1p(-PRIOR_SHARE), log_prior + math.log(PRIOR_SHARE))
        return target - proposal


def _fit_encoder(channel: LatentChannel, generator: torch.Generator, steps: int) -> nn.Module:
    """Regress z on y over fresh joint draws: E[z | y] up to the encoder's capacity. No data are needed."""
    z, y = channel.joint(1024, generator)
    center, spread = y.mean(0), y.std(0).clamp_min(1e-12)
    width = 64
    first = nn.Linear(y.shape[-1], width, dtype=torch.float64)
    last = nn.Linear(width, channel.noise_dim, dtype=torch.float64)
    skip = nn.Linear(y.shape[-1], channel.noise_dim, dtype=torch.float64)
    with torch.no_grad():
        for layer in (first, last, skip):
            bound = 1.0 / math.sqrt(max(layer.in_features, 1))
            for parameter in layer.parameters():
                parameter.uniform_(-bound, bound, generator=generator)
        white = torch.cat([(y - center) / spread, torch.ones(len(y), 1, dtype=y.dtype)], dim=1)
        ridge = white.mT @ white + torch.eye(white.shape[1], dtype=y.dtype)
        solution = torch.linalg.solve(ridge, white.mT @ z)
        skip.weight.copy_(solution[:-1].mT)
        skip.bias.copy_(solution[-1])
        last.weight.mul_(0.1)
        last.bias.zero_()
    encoder = _Encoder(center, spread, first, last, skip)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        z, y = channel.joint(256, generator)
        optimizer.zero_grad()
        (encoder(y) - z).square().sum(-1).mean().backward()
        optimizer.step()
        schedule.step()
    return encoder.requires_grad_(False)


class _Encoder(nn.Module):
    def __init__(
        self, center: Tensor, spread: Tensor, first: nn.Linear, last: nn.Linear, skip: nn.Linear
    ) -> None:
        super().__init__()
        self.center, self.spread = center, spread
        self.first, self.last, self.skip = first, last, skip

    def forward(self, y: Tensor) -> Tensor:
        white = (y - self.center) / self.spread
        output: Tensor = self.skip(white) + self.last(torch.tanh(self.first(white)))
        return output


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
            proposal = Proposal(channel, generator)
    truth, y = channel.joint(draws, generator)
    mean, jacobian = channel.mean_and_jacobian(truth)
    at_truth = channel.log_weight(mean, y)
    below, above = proposal.log_marginal(y, inner, generator, truth)
    identity = torch.eye(len(channel.factor), dtype=torch.float64).unsqueeze(0)
    tangent = linearized_information(identity, jacobian.unsqueeze(0))[0]
    return InformationBounds(lower=at_truth - above, upper=at_truth - below, linearized=tangent)


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
        member = hypernetwork.member(index)
        noise = member.output_noise.detach().double()
        offset = (weights.double() - member.mean.detach().double()) / member.unit.double()
        constant = 0.5 * member.size * math.log(2 * math.pi) + (member.unit.double() * noise).log().sum()
        density = -0.5 * (offset / noise).square().sum(-1) - constant
        channel = LatentChannel.of(member)
        if len(channel.factor):
            t = member.head.project(offset.unsqueeze(0), noise.pow(-2))[0]
            with torch.enable_grad():
                proposal = Proposal(channel, generator)
            density = density + proposal.log_marginal(t @ channel.pseudo_inverse, inner, generator)[0]
        results.append(density)
    return torch.logsumexp(torch.stack(results), dim=0) - math.log(hypernetwork.members)
