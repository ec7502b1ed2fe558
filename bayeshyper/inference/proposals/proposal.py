"""Where the noise z behind a weight vector is looked for, and the integral over it."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from bayeshyper.inference.channels import Channel
from bayeshyper.memory import check_fits

from .encoder import fit_encoder
from .hills import Hill, Hills

__all__ = ["Mixture", "Peak", "Proposal"]

GAUSS_NEWTON_STEPS = 20
# Where the search for modes begins, beside the encoder: the best of a bank of prior draws.
BANK = 2048
STARTS_FROM_BANK = 3
# With its law and their derivatives, as measured with a trunk of two layers of 32.
BYTES_OF_A_NOISE = 1500


class Mixture(Protocol):
    """What noises are drawn from, for each of n rows."""

    def draw(self, draws: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """K draws for each row, ``(K, n, d)``, and their log density ``(K, n)``; ∞ for those of no weight."""
        ...

    def log_density(self, z: Tensor) -> Tensor:
        """The log density at any z ``(K, n, d)``: ``(K, n)``."""
        ...


class Peak(NamedTuple):
    """A mode of p(z | y) for each of n rows.

    Args:
        mode: ``(n, d)``.
        height: log p(z | y) there but for a constant, ``(n,)``; −∞ where there is no such mode.
        factor: L, Cholesky factor of the precision P, ``(n, d, d)``.
    """

    mode: Tensor
    height: Tensor
    factor: Tensor

    @property
    def log_mass(self) -> Tensor:
        """Laplace's approximation of the probability around it, but for a constant, ``(n,)``."""
        return self.height - self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


class Proposal:
    """Importance sampling of z given y: ∫ N(z; 0, I) exp ℓ(z; y) dz, from below and from above.

    Modes are climbed to from an encoder and from the best of a bank of prior draws; the two best that differ
    are mixed (`Hills`), with a few per cent of the prior. Nothing depends on the z that y was made from: a
    proposal that did would break the bound and look perfect.

    Args:
        channel: Which channel.
        generator: Noise for the encoder's fit and the bank.
        encoder_steps: Length of the encoder's fit.
    """

    def __init__(self, channel: Channel, generator: torch.Generator, *, encoder_steps: int = 200) -> None:
        self.channel = channel
        with torch.enable_grad():
            self.encoder = fit_encoder(channel, generator, encoder_steps)
        self.bank = torch.randn(BANK, channel.noise_dim, generator=generator, dtype=torch.float64)
        self._bank_law = channel.law(self.bank)

    @torch.no_grad()
    def starts(self, y: Tensor) -> Tensor:
        """Where the climbs begin, ``(C, n, d)``: functions of y alone."""
        best = self.bank_heights(y).topk(STARTS_FROM_BANK, dim=1).indices  # (n, C - 1)
        encoded: Tensor = self.encoder(y)
        return torch.cat([encoded.unsqueeze(0), self.bank[best].transpose(0, 1)])

    def bank_heights(self, y: Tensor) -> Tensor:
        """log p(z | y) but for a constant, of every z in the bank, ``(n, bank)``."""
        return self.channel.log_likelihood(self._bank_law, y.unsqueeze(1)) - 0.5 * self.bank.square().sum(-1)

    def log_marginal(
        self, y: Tensor, draws: int, generator: torch.Generator, truth: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Two estimates of log ∫ N(z; 0, I) exp ℓ(z; y) dz, each ``(n,)``.

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
        at_once = self.channel.rows_at_once(max(draws, BANK))
        check_fits(
            min(len(y), at_once) * draws * self.channel.noise_dim,
            f"{draws:,} importance draws for each of {min(len(y), at_once)} densities",
            bytes_each=BYTES_OF_A_NOISE,
            instead="lower inner",
        )
        if len(y) > at_once:
            truths = [None] * len(y) if truth is None else truth.split(at_once)
            parts = [
                self.log_marginal(rows, draws, generator, known)
                for rows, known in zip(y.split(at_once), truths, strict=False)
            ]
            return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
        mixture = self.mixture(y, generator)
        z, log_density = mixture.draw(draws, generator)
        weights = self.log_target(z, y) - log_density
        below = torch.logsumexp(weights, dim=0) - math.log(draws)
        if truth is None:
            return below, torch.full_like(below, math.nan)
        known = truth.unsqueeze(0)
        true_weight = self.log_target(known, y) - mixture.log_density(known)
        above = torch.logsumexp(torch.cat([true_weight, weights]), dim=0) - math.log(draws + 1)
        return below, above

    def mixture(self, y: Tensor, generator: torch.Generator) -> Mixture:
        """What z is drawn from, given y alone."""
        first, *others = self.peaks(y, most=2)
        if not others:
            return Hills([self._hill(first, y, torch.zeros(len(y), dtype=y.dtype))])
        # Laplace's approximation of the masses, not trusted beyond a factor of 20.
        none = torch.isinf(others[0].height)
        share = torch.sigmoid(others[0].log_mass - first.log_mass).clamp(0.05, 0.95).masked_fill(none, 0.0)
        return Hills([self._hill(first, y, torch.log1p(-share)), self._hill(others[0], y, share.log())])

    def log_target(self, z: Tensor, y: Tensor) -> Tensor:
        """log N(z; 0, I) + ℓ(z; y), ``(K, n)`` for z ``(K, n, d)``."""
        d = z.shape[-1]
        log_prior = -0.5 * z.square().sum(-1) - 0.5 * d * math.log(2 * math.pi)
        law = self.channel.law(z.reshape(-1, d))
        return log_prior + self.channel.log_likelihood(law.reshape(*z.shape[:2], *law.shape[1:]), y)

    def peaks(self, y: Tensor, most: int) -> list[Peak]:
        """The highest modes, each further than its width from all that are higher; at least one."""
        tops, heights = self.climb(self.starts(y), y)
        rows = torch.arange(len(y))
        found: list[Peak] = []
        while len(found) < most and not (found and bool(torch.isinf(heights).all())):
            best = heights.argmax(0)
            mode = tops[best, rows]
            _, information = self.channel.score_and_information(mode, y)
            factor = torch.linalg.cholesky(information + torch.eye(mode.shape[-1], dtype=mode.dtype))
            found.append(Peak(mode, heights[best, rows], factor))
            distance = (factor.mT @ (tops - mode).unsqueeze(-1)).squeeze(-1).norm(dim=-1)
            heights = heights.masked_fill(distance < 1.0, -math.inf)
        return found

    def climb(self, starts: Tensor, y: Tensor, steps: int = GAUSS_NEWTON_STEPS) -> tuple[Tensor, Tensor]:
        """Tops ``(C, n, d)`` and their heights ``(C, n)``, by damped Gauss–Newton steps."""
        count, rows, d = starts.shape
        z, y = starts.reshape(-1, d), y.repeat(count, 1)
        damping = torch.full((len(y), 1), 1e-3, dtype=y.dtype)
        height = self._height(z, y)
        for _ in range(steps):
            score, information = self.channel.score_and_information(z, y)
            gradient, precision = score - z, information + torch.eye(d, dtype=z.dtype)
            damped = precision + torch.diag_embed(damping * precision.diagonal(dim1=-2, dim2=-1))
            candidate = z + torch.linalg.solve(damped, gradient.unsqueeze(-1)).squeeze(-1)
            new_height = self._height(candidate, y)
            better = new_height > height
            rise = torch.where(better, new_height - height, 0.0).max()
            z = torch.where(better.unsqueeze(-1), candidate, z)
            height = torch.where(better, new_height, height)
            damping = torch.where(better.unsqueeze(-1), damping * 0.1, damping * 10.0).clamp(1e-9, 1e9)
            if float(rise) < 1e-9:
                break
        return z.reshape(count, rows, d), height.reshape(count, rows)

    def _height(self, z: Tensor, y: Tensor) -> Tensor:
        return self.channel.log_likelihood(self.channel.law(z), y) - 0.5 * z.square().sum(-1)

    def _hill(self, peak: Peak, y: Tensor, log_share: Tensor) -> Hill:
        return Hill(peak.mode, peak.factor, self.channel.sheet(peak.mode, y), log_share)
