"""The density of a guide's latents: a mixture of its members, each in its own frame."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from bayeshyper.autoguide.checks import check_count, read_values
from bayeshyper.autoguide.model.sites import LatentSites
from bayeshyper.autoguide.posterior.latent import LatentPosterior
from bayeshyper.diagnostics.posterior.densities import DensitySource, density_source
from bayeshyper.hypernets import WeightDraw
from bayeshyper.inference.density import MemberDensity

__all__ = ["LatentDensity", "log_density"]


class LatentDensity:
    """log q(u) of flat latents, in float64 on the CPU, whatever the posterior's type and device.

    With u = f_m(w) for member m's frame f_m,

        log q(u) = log 1/M Σ_m q_m(f_m⁻¹(u)) |∂f_m/∂w|⁻¹

    and each q_m is an integral over the noise z, estimated by importance sampling (`MemberDensity`).

    Args:
        posterior: What latents are drawn from.
        generator: Where all noise comes from.

    Attributes:
        members: The hypernetworks of one member each.
        log_volume: log |∂f_m/∂w|, ``(M,)``.

    Example:
        >>> from bayeshyper.autoguide.posterior.start import StartingGaussian
        >>> start = StartingGaussian(torch.ones(2), 0.5 * torch.eye(2))
        >>> posterior = LatentPosterior([start], noise_dim=0, hidden=(), entropy="hierarchical")
        >>> density = LatentDensity(posterior, torch.Generator().manual_seed(0))
        >>> Normal = torch.distributions.Normal
        >>> round((density(torch.zeros(1, 2)) - 2 * Normal(1.0, 0.5).log_prob(torch.zeros(1))).item(), 2)
        0.0
    """

    def __init__(self, posterior: LatentPosterior, generator: torch.Generator) -> None:
        net = posterior.hypernetwork
        self.members = [net.member(index).to("cpu", torch.float64) for index in range(posterior.members)]
        self._densities = [MemberDensity(member, generator) for member in self.members]
        self._frame = copy.deepcopy(posterior.frame).to("cpu", torch.float64).requires_grad_(False)
        self.log_volume = self._frame.log_volume
        self._like, self._generator = posterior.frame.location, generator

    @property
    def source(self) -> DensitySource:
        """How good an estimate is that q̂ counts the noise behind a draw in: above the truth, if not exact."""
        source = density_source(self.members[0])
        return source if source == "exact" else "importance-sampled upper bound"

    def __call__(self, latents: Tensor, inner: int = 256) -> Tensor:
        """log q(u), ``(S,)`` for ``(S, D)``: of an unbiased estimate of q(u).

        Args:
            latents: u.
            inner: K, importance draws of the noise for each of them and each member.
        """
        parts = [self.bounds(index, latents, inner)[0] for index in range(len(self.members))]
        return torch.logsumexp(torch.stack(parts), dim=0) - math.log(len(parts))

    def scored(self, n: int, inner: int) -> tuple[Tensor, Tensor]:
        """n draws ``(n, D)`` of all members in random order, and log q̂ of each, ``(n,)``, for weights p/q̂.

        q̂ is an average over K + 1 noises of every member, among them the one behind the draw, so that
        E[f(u)/q̂(u)] is exactly ∫ f, however few they are (`MixtureEntropy`). Members count as often as they
        are drawn from.
        """
        members = range(len(self.members))
        counts = [n // len(members) + (index < n % len(members)) for index in members]
        drawn = [self.draw(index, count) for index, count in zip(members, counts, strict=True)]
        latents, owner = torch.cat([of_one for of_one, _ in drawn]), torch.tensor(counts)
        owner = torch.arange(len(members)).repeat_interleave(owner)
        parts = torch.full((len(members), n), -math.inf, dtype=torch.float64)
        for index, (of_one, draw) in enumerate(drawn):
            own = owner == index
            parts[index, own] = self.bounds(index, of_one, inner, draw.z[0])[1]
            if not bool(own.all()):
                parts[index, ~own] = self.bounds(index, latents[~own.to(latents.device)], inner + 1)[0]
        shares = torch.tensor(counts, dtype=torch.float64).log().unsqueeze(1) - math.log(n)
        order = torch.randperm(n, generator=self._generator)
        return latents[order.to(latents.device)], torch.logsumexp(parts + shares, dim=0)[order]

    def draw(self, index: int, n: int) -> tuple[Tensor, WeightDraw]:
        """n draws of one member: ``(n, D)`` in the posterior's type, and the draw of w that they are."""
        draw = self.members[index].draw(n, generator=self._generator)
        places = draw.weights.expand(len(self.members), -1, -1)
        latents = self._frame(places)[index].to(self._like)
        # The type rounds them: what is looked at is the draw of these very numbers.
        return latents, replace(draw, weights=self._coordinates(index, latents).unsqueeze(0))

    def bounds(
        self, index: int, latents: Tensor, inner: int, z: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """log q_m(u) of one member from below and from above, as `MemberDensity.bounds` has them."""
        check_count("inner", inner, 1)
        coordinates = self._coordinates(index, latents)
        below, above = self._densities[index].bounds(coordinates, inner, z)
        return below - self.log_volume[index], above - self.log_volume[index]

    def _coordinates(self, index: int, latents: Tensor) -> Tensor:
        """u ``(S, D)`` to the w of one member."""
        coordinates: Tensor = self._frame.inverse(latents.to("cpu", torch.float64))[index]
        return coordinates


@torch.no_grad()
def log_density(
    posterior: LatentPosterior, sites: LatentSites, values: Mapping[str, Tensor], *, inner: int, seed: int
) -> Tensor:
    """See `AutoHypernetwork.log_density`."""
    wide = read_values(values, sites.names)
    flat = sites.flatten(wide)
    if flat.dim() > 2 and flat.shape[1] > 1:
        raise ValueError(f"Got values of {flat.shape[1]} rows, expected those of one, as its context is.")
    # A transform's inverse may well take a value outside of the support, for the nearest one inside.
    back = sites.values(flat)
    inside = flat.isfinite().reshape(len(flat), -1).all(-1)
    for name in sites.names:
        inside &= torch.isclose(back[name], wide[name], rtol=1e-4, atol=1e-6).reshape(len(flat), -1).all(-1)
    flat[~inside] = 0.0
    density = LatentDensity(posterior, torch.Generator().manual_seed(seed))
    found = density(flat.reshape(len(flat), -1), inner).to(flat.device) - sites.log_volume(flat)
    return found.masked_fill(~inside, -math.inf)
