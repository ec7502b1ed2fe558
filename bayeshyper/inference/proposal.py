"""Importance sampling of the noise z behind a weight vector, from what the weights alone tell of it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .channel import LatentChannel
from .encoder import fit_encoder

__all__ = ["DEGREES_OF_FREEDOM", "PRIOR_SHARE", "Proposal"]

# A few per cent of the prior keep every importance weight bounded.
PRIOR_SHARE = 0.05
DEGREES_OF_FREEDOM = 10.0
GAUSS_NEWTON_STEPS = 20
NEWTON_STEPS = 8
# Where the search for modes begins, beside the encoder: the best of a bank of prior draws.
BANK = 2048
STARTS_FROM_BANK = 3

# Memory for K draws of these, with their Jacobians, is all that is held at once.
ROWS_AT_ONCE = 64
# Where a draw may come from, beside the numbers of the hills.
FROM_PRIOR, FAILED = -1, -2


class _Hill(NamedTuple):
    """One mode of p(z | y) for each of n rows.

    Args:
        mode: ``(n, d)``.
        factor: L, Cholesky factor of the precision I + (BJ)ᵀ(BJ) at the mode, ``(n, d, d)``.
        tangent: G = (BJ)ᵀB, ``(n, d, k)``.
        shift: c = (BJ)ᵀy, ``(n, d)``.
        log_share: The log of its share of the proposal, ``(n,)``; −∞ where there is no such mode.
    """

    mode: Tensor
    factor: Tensor
    tangent: Tensor
    shift: Tensor
    log_share: Tensor


class Proposal:
    """Randomise, then optimise (Bardsley et al. 2014): draws that follow a curved posterior of z.

    The posterior of z given y is exp(−½‖F(z)‖²) with F(z) = (z, Bφ(z) − y). Where some direction of z is
    known sharply and the trunk bends, it is a thin curved sheet, which no Gaussian or t around its mode
    covers. With J_F = QR at a mode, the map ρ(z) = QᵀF(z) = L⁻¹(z + Gφ(z) − c) straightens it: a draw ξ of a
    Student t is mapped back by Newton steps on ρ(z) = ξ, and has the density

        q(z) = t_ν(ρ(z)) |det L⁻¹(I + G ∂φ/∂z)|        where those steps lead from ρ(z) back to z, else 0.

    Draws that Newton's method fails on have weight 0, which keeps the estimate unbiased. Modes are climbed to
    from an encoder and from the best of a bank of prior draws; the two best that differ are mixed, with a
    few per cent of the prior. Nothing depends on the z that y was made from: a proposal that did would break
    the bound and look perfect.

    Args:
        channel: Which channel.
        generator: Noise for the encoder's fit and the bank.
        encoder_steps: Length of the encoder's fit.
    """

    def __init__(
        self, channel: LatentChannel, generator: torch.Generator, *, encoder_steps: int = 200
    ) -> None:
        self.channel = channel
        self.encoder = fit_encoder(channel, generator, encoder_steps)
        self._bank = torch.randn(BANK, channel.noise_dim, generator=generator, dtype=torch.float64)
        self._bank_mean = channel.mean(self._bank)

    @torch.no_grad()
    def starts(self, y: Tensor) -> Tensor:
        """Where the climbs begin, ``(C, n, d)``: functions of y alone."""
        heights = self.channel.log_weight(self._bank_mean, y.unsqueeze(1)) - 0.5 * self._bank.square().sum(-1)
        best = heights.topk(STARTS_FROM_BANK, dim=1).indices  # (n, C - 1)
        encoded: Tensor = self.encoder(y)
        return torch.cat([encoded.unsqueeze(0), self._bank[best].transpose(0, 1)])

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
        if len(y) > ROWS_AT_ONCE:
            truths = [None] * len(y) if truth is None else truth.split(ROWS_AT_ONCE)
            parts = [
                self.log_marginal(rows, draws, generator, known)
                for rows, known in zip(y.split(ROWS_AT_ONCE), truths, strict=False)
            ]
            return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
        hills = self._hills(y)
        z, origin = self._sample(hills, draws, generator)
        weights = self._log_weights(z, y, hills, origin).masked_fill(origin == FAILED, -math.inf)
        below = torch.logsumexp(weights, dim=0) - math.log(draws)
        if truth is None:
            return below, torch.full_like(below, math.nan)
        nobody = torch.full((1, len(y)), FROM_PRIOR)
        true_weight = self._log_weights(truth.unsqueeze(0), y, hills, nobody)
        above = torch.logsumexp(torch.cat([true_weight, weights]), dim=0) - math.log(draws + 1)
        return below, above

    @classmethod
    def of(cls, channel: LatentChannel, generator: torch.Generator) -> Proposal:
        """The proposal for a channel: straightening where its Jacobians are cheap, else from tangents."""
        kind = cls if channel.has_cheap_jacobian else TangentProposal
        return kind(channel, generator)

    # -- modes ------------------------------------------------------------------------------------------

    def _hills(self, y: Tensor) -> list[_Hill]:
        """The highest mode of each row, and the highest that differs from it by more than its width."""
        tops, heights = self._climb(y)
        rows = torch.arange(len(y))
        first = heights.argmax(0)
        best = self._hill(tops[first, rows], y, torch.zeros(len(y), dtype=y.dtype))
        distance = (best.factor.mT @ (tops - best.mode).unsqueeze(-1)).squeeze(-1).norm(dim=-1)
        others = heights.masked_fill(distance < 1.0, -math.inf)
        second = others.argmax(0)
        none = torch.isinf(others[second, rows])
        other = self._hill(tops[second, rows], y, torch.zeros(len(y), dtype=y.dtype))
        # Laplace's approximation of the masses, not trusted beyond a factor of 20.
        masses = [
            chosen - hill.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
            for chosen, hill in ((heights[first, rows], best), (others[second, rows], other))
        ]
        share = torch.sigmoid(masses[1] - masses[0]).clamp(0.05, 0.95).masked_fill(none, 0.0)
        hills = [best._replace(log_share=torch.log1p(-share)), other._replace(log_share=share.log())]
        return hills if not bool(none.all()) else hills[:1]

    def _climb(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Tops ``(C, n, d)`` and their heights ``(C, n)``, by damped Gauss–Newton steps."""
        starts = self.starts(y)
        count, rows, d = starts.shape
        z, y = starts.reshape(-1, d), y.repeat(count, 1)
        damping = torch.full((len(y), 1), 1e-3, dtype=y.dtype)
        height = self._height(z, y)
        for _ in range(GAUSS_NEWTON_STEPS):
            mean, jacobian = self.channel.mean_and_jacobian(z)
            gradient = (jacobian.mT @ (y - mean).unsqueeze(-1)).squeeze(-1) - z
            precision = jacobian.mT @ jacobian + torch.eye(d, dtype=z.dtype)
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
        return self.channel.log_weight(self.channel.mean(z), y) - 0.5 * z.square().sum(-1)

    def _hill(self, mode: Tensor, y: Tensor, log_share: Tensor) -> _Hill:
        _, jacobian = self.channel.mean_and_jacobian(mode)
        precision = jacobian.mT @ jacobian + torch.eye(mode.shape[-1], dtype=mode.dtype)
        shift = (jacobian.mT @ y.unsqueeze(-1)).squeeze(-1)
        return _Hill(
            mode, torch.linalg.cholesky(precision), jacobian.mT @ self.channel.factor, shift, log_share
        )

    # -- draws and their density ------------------------------------------------------------------------

    def _straighten(self, z: Tensor, hill: _Hill) -> tuple[Tensor, Tensor]:
        """ρ(z) ``(K, n, d)`` and ∂ρ/∂z ``(K, n, d, d)``."""
        features, jacobian = self.channel.features_and_jacobian(z.reshape(-1, z.shape[-1]))
        features = features.reshape(*z.shape[:2], -1)
        jacobian = jacobian.reshape(*z.shape[:2], *jacobian.shape[1:])
        residual = z + (hill.tangent @ features.unsqueeze(-1)).squeeze(-1) - hill.shift
        slope = torch.eye(z.shape[-1], dtype=z.dtype) + hill.tangent @ jacobian
        lower = hill.factor
        rho = torch.linalg.solve_triangular(lower, residual.unsqueeze(-1), upper=False).squeeze(-1)
        return rho, torch.linalg.solve_triangular(lower, slope, upper=False)

    def _solve(self, xi: Tensor, hill: _Hill) -> tuple[Tensor, Tensor]:
        """The z ``(K, n, d)`` with ρ(z) = ξ that Newton's method finds, and where it failed ``(K, n)``."""
        step = torch.linalg.solve_triangular(hill.factor.mT, xi.unsqueeze(-1), upper=True).squeeze(-1)
        z = hill.mode + step
        for _ in range(NEWTON_STEPS):
            rho, slope = self._straighten(z, hill)
            off = (rho - xi).abs().amax(-1)
            if bool((off < 1e-9).all()):
                break
            step, _ = torch.linalg.solve_ex(slope, (xi - rho).unsqueeze(-1))
            z = z + step.squeeze(-1)
        else:
            off = (self._straighten(z, hill)[0] - xi).abs().amax(-1)
        return z, ~(off < 1e-6)  # not ≥: NaN has failed too

    def _sample(self, hills: list[_Hill], draws: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws ``(K, n, d)`` from the mixture, and which hill each is from, or FROM_PRIOR, or FAILED."""
        rows, d = hills[0].mode.shape
        prior = torch.randn(draws, rows, d, generator=generator, dtype=torch.float64)
        # A t is a Normal over an independent √(χ²/ν); for even ν, χ² is a sum of ν/2 exponentials.
        halves = (int(DEGREES_OF_FREEDOM / 2), draws, rows)
        uniforms = torch.rand(halves, generator=generator, dtype=torch.float64)
        chi_square = -2.0 * uniforms.clamp_min(1e-300).log().sum(0)
        xi = prior / (chi_square / DEGREES_OF_FREEDOM).sqrt().unsqueeze(-1)
        which = torch.rand(draws, rows, generator=generator, dtype=torch.float64)
        z, failed = self._solve(xi, hills[0])
        origin = torch.zeros(draws, rows, dtype=torch.long).masked_fill(failed, FAILED)
        for number, hill in enumerate(hills[1:], start=1):
            other, other_failed = self._solve(xi, hill)
            here = which < hill.log_share.exp()
            z = torch.where(here.unsqueeze(-1), other, z)
            origin[here] = number
            origin[here & other_failed] = FAILED
        from_prior = torch.rand(draws, rows, generator=generator, dtype=torch.float64) < PRIOR_SHARE
        fresh = torch.randn(prior.shape, generator=generator, dtype=torch.float64)
        z = torch.where(from_prior.unsqueeze(-1), fresh, z)
        return torch.nan_to_num(z), origin.masked_fill(from_prior, FROM_PRIOR)

    def _log_density(self, z: Tensor, hill: _Hill, own: Tensor) -> Tensor:
        """Log q(z) of one hill's draws, ``(K, n)``; −∞ where none of them can be z.

        Args:
            z: ``(K, n, d)``.
            hill: Which.
            own: ``(K, n)``, the draws that this hill made, so that Newton's steps do lead back to them.
        """
        rho, slope = self._straighten(z, hill)
        d, nu = z.shape[-1], DEGREES_OF_FREEDOM
        log_t = (
            math.lgamma((nu + d) / 2)
            - math.lgamma(nu / 2)
            - 0.5 * d * math.log(nu * math.pi)
            - 0.5 * (nu + d) * torch.log1p(rho.square().sum(-1) / nu)
        )
        log_density: Tensor = log_t + torch.linalg.slogdet(slope).logabsdet
        if bool(own.all()):
            return log_density
        draw, row = (~own).nonzero(as_tuple=True)
        these = _Hill(*(part[row] for part in hill))
        back, failed = self._solve(rho[draw, row].unsqueeze(0), these)
        elsewhere = ~((back[0] - z[draw, row]).abs().amax(-1) < 1e-4)
        impossible = torch.zeros_like(own)
        impossible[draw, row] = failed[0] | elsewhere
        return log_density.masked_fill(impossible, -math.inf)

    def _log_weights(self, z: Tensor, y: Tensor, hills: list[_Hill], origin: Tensor) -> Tensor:
        """The log of integrand over proposal, ``(K, n)`` for z ``(K, n, d)``."""
        d = z.shape[-1]
        log_prior = -0.5 * z.square().sum(-1) - 0.5 * d * math.log(2 * math.pi)
        mean = self.channel.mean(z.reshape(-1, d)).reshape(*z.shape[:2], -1)
        target = log_prior + self.channel.log_weight(mean, y)
        proposal = log_prior + math.log(PRIOR_SHARE)
        for number, hill in enumerate(hills):
            share = hill.log_share + math.log1p(-PRIOR_SHARE)
            density = self._log_density(z, hill, origin == number)
            proposal = torch.logaddexp(proposal, share + density)
        return target - proposal


class TangentProposal(Proposal):
    """Draws from a Student t at each mode, its precision that of the tangent there: ρ(z) = Lᵀ(z − mode).

    It needs no Jacobian but at the modes, and covers a thin curved sheet less well: the bounds stay bounds,
    and are further apart.
    """

    def _straighten(self, z: Tensor, hill: _Hill) -> tuple[Tensor, Tensor]:
        """ρ(z) ``(K, n, d)`` and ∂ρ/∂z ``(K, n, d, d)``."""
        across = hill.factor.mT
        rho = (across @ (z - hill.mode).unsqueeze(-1)).squeeze(-1)
        return rho, across.expand(*z.shape[:2], -1, -1)
