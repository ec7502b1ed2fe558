"""A proposal that learns from its own draws, for posteriors of z that are crooked."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bayeshyper.inference.channels import Channel

from .hills import DEGREES_OF_FREEDOM, PRIOR_SHARE
from .proposal import Peak, Proposal
from .student import log_student, student_draws

__all__ = ["AdaptiveProposal", "StudentMixture"]

# Parts of the bank, from each of which the best draw is a start.
REGIONS = 24
# Modes that are mixed, each at both scales.
MODES, SCALES = 3, (1.0, 2.5)
# How often the mixture is adapted, to how many draws each time.
ROUNDS, PILOT = 3, 256
LEAST_SHARE = 0.02


@dataclass(frozen=True)
class StudentMixture:
    """Multivariate t's with a few per cent of the prior, for each of n rows.

    Args:
        shares: Of the H parts, ``(H, n)``; they sum to 1, and a part that there is not has none.
        center: ``(H, n, d)``.
        factor: Lower Cholesky factors of their squared scales, ``(H, n, d, d)``.
    """

    shares: Tensor
    center: Tensor
    factor: Tensor

    def draw(self, draws: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """K draws for each row, ``(K, n, d)``, and their log density ``(K, n)``."""
        _, rows, d = self.center.shape
        xi, _ = student_draws((draws, rows, d), DEGREES_OF_FREEDOM, generator)
        lot = torch.rand(draws, rows, generator=generator, dtype=torch.float64)
        # The last part is never passed over for rounding of the sum.
        which = (lot.unsqueeze(0) > self.shares.cumsum(0)[:-1].unsqueeze(1)).sum(0)
        row = torch.arange(rows).expand(draws, -1)
        z = self.center[which, row] + (self.factor[which, row] @ xi.unsqueeze(-1)).squeeze(-1)
        from_prior = torch.rand(draws, rows, generator=generator, dtype=torch.float64) < PRIOR_SHARE
        fresh = torch.randn(draws, rows, d, generator=generator, dtype=torch.float64)
        z = torch.where(from_prior.unsqueeze(-1), fresh, z)
        return z, self.log_density(z)

    def log_density(self, z: Tensor) -> Tensor:
        """The log density at any z ``(K, n, d)``: ``(K, n)``."""
        return self._total(z, self._parts(z)[0])

    def adapted(self, z: Tensor, log_target: Tensor) -> StudentMixture:
        """The mixture nearer to a target, from draws of this one: M-PMC (Cappé et al. 2008, arXiv 0710.4242).

        A step of EM on importance-weighted draws, down the Kullback–Leibler divergence from the target. A
        part's own moments count as 2d draws beside the effective number of its new ones.

        Args:
            z: Draws ``(K, n, d)``.
            log_target: log of the target's density at them but for a constant, ``(K, n)``.
        """
        d = z.shape[-1]
        parts, squares = self._parts(z)
        total = self._total(z, parts)
        belongs = (parts - total).exp() * torch.softmax(log_target - total, dim=0)  # (H, K, n)
        share = belongs.sum(1)
        per_part = share.clamp_min(1e-300).unsqueeze(1)
        robust = belongs * (DEGREES_OF_FREEDOM + d) / (DEGREES_OF_FREEDOM + squares)
        mean = torch.einsum("hkn,knd->hnd", robust / robust.sum(1, keepdim=True).clamp_min(1e-300), z)
        off = z - mean.unsqueeze(1)
        scatter = torch.einsum("hkn,hknd,hkne->hnde", robust / per_part, off, off)
        effective = 1.0 / (belongs / per_part).square().sum(1).clamp_min(1e-300)
        new = (effective / (effective + 2 * d) * (share > 0)).unsqueeze(-1)
        center = self.center + new * (mean - self.center)
        moved = (mean - self.center).unsqueeze(-1)
        squared = self.factor @ self.factor.mT
        squared = squared + new.unsqueeze(-1) * (scatter - squared)
        squared = squared + (new * (1.0 - new)).unsqueeze(-1) * moved @ moved.mT
        factor, failed = torch.linalg.cholesky_ex(squared)
        keep = (failed != 0) | ~factor.isfinite().flatten(-2).all(-1)
        shares = torch.where(self.shares > 0, share.clamp_min(LEAST_SHARE), 0.0)
        return StudentMixture(
            shares / shares.sum(0),
            torch.where(keep.unsqueeze(-1), self.center, center),
            torch.where(keep[..., None, None], self.factor, factor),
        )

    def _parts(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Share times density of each part in logs, and squared distances from its center: ``(H, K, n)``."""
        off = (z - self.center.unsqueeze(1)).unsqueeze(-1)
        white = torch.linalg.solve_triangular(self.factor.unsqueeze(1), off, upper=False).squeeze(-1)
        log_volume = self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        share = (self.shares.log() + math.log1p(-PRIOR_SHARE) - log_volume).unsqueeze(1)
        return share + log_student(white, DEGREES_OF_FREEDOM), white.square().sum(-1)

    def _total(self, z: Tensor, parts: Tensor) -> Tensor:
        log_prior = -0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)
        return torch.logaddexp(torch.logsumexp(parts, dim=0), log_prior + math.log(PRIOR_SHARE))


class AdaptiveProposal(Proposal):
    """Draws from t's around the modes of z given y, adapted to draws of their own.

    Where the weights' scales tell of z, a few weights can do so in more ways than one, and the information
    at a mode says little of the width around it. So climbs begin all over the bank, each mode is mixed at
    two scales, and the mixture is adapted a few times to fresh draws. They come from y alone, as all does.
    """

    def __init__(self, channel: Channel, generator: torch.Generator, *, encoder_steps: int = 200) -> None:
        super().__init__(channel, generator, encoder_steps=encoder_steps)
        nearest = torch.cdist(self.bank, self.bank[:REGIONS]).argmin(1)
        self._regions = [(nearest == region).nonzero().squeeze(-1) for region in range(REGIONS)]

    @torch.no_grad()
    def starts(self, y: Tensor) -> Tensor:
        """Where the climbs begin, ``(C, n, d)``: the usual starts, and the best of each part of the bank."""
        heights = self.bank_heights(y)
        best = [self.bank[region[heights[:, region].argmax(1)]] for region in self._regions]
        return torch.cat([super().starts(y), torch.stack(best)])

    def mixture(self, y: Tensor, generator: torch.Generator) -> StudentMixture:
        """What z is drawn from, given y alone."""
        mixture = _around(self.peaks(y, MODES))
        for _ in range(ROUNDS):
            z, _ = mixture.draw(PILOT, generator)
            mixture = mixture.adapted(z, self.log_target(z, y))
        return mixture


def _around(peaks: list[Peak]) -> StudentMixture:
    """Every peak at every scale, by Laplace's approximation of the masses."""
    masses = torch.stack([peak.log_mass for peak in peaks for _ in SCALES])
    shares = torch.softmax(masses, dim=0)
    shares = torch.where(masses.isfinite(), shares.clamp_min(LEAST_SHARE), 0.0)
    center = torch.stack([peak.mode for peak in peaks for _ in SCALES])
    width = torch.stack([torch.linalg.cholesky(torch.cholesky_inverse(peak.factor)) for peak in peaks])
    factor = width.repeat_interleave(len(SCALES), 0)
    scales = factor.new_tensor(SCALES * len(peaks)).reshape(-1, 1, 1, 1)
    return StudentMixture(shares / shares.sum(0), center, scales * factor)
