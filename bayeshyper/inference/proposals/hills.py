"""A mixture around the modes of z given y, that follows the sheets on which z lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bayeshyper.inference.channels import Sheet

from .student import log_student, student_draws

__all__ = ["PRIOR_SHARE", "Hill", "Hills"]

# A few per cent of the prior keep every importance weight bounded.
PRIOR_SHARE = 0.05
DEGREES_OF_FREEDOM = 10.0
NEWTON_STEPS = 8
# Where a draw may come from, beside the numbers of the hills.
FROM_PRIOR, FAILED = -1, -2


@dataclass(frozen=True)
class Hill:
    """One mode of p(z | y) for each of n rows.

    Args:
        mode: ``(n, d)``.
        factor: L, Cholesky factor of the precision P at the mode, ``(n, d, d)``.
        sheet: What z lies on around the mode; None where it is too dear to follow.
        log_share: The log of its share of the proposal, ``(n,)``; −∞ where there is no such mode.
    """

    mode: Tensor
    factor: Tensor
    sheet: Sheet | None
    log_share: Tensor

    def __getitem__(self, rows: Tensor) -> Hill:
        sheet = None if self.sheet is None else self.sheet[rows]
        return Hill(self.mode[rows], self.factor[rows], sheet, self.log_share[rows])

    def straighten(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """ρ(z) ``(K, n, d)`` and ∂ρ/∂z ``(K, n, d, d)`` for z ``(K, n, d)``."""
        if self.sheet is None:
            across = self.factor.mT
            rho = (across @ (z - self.mode).unsqueeze(-1)).squeeze(-1)
            return rho, across.expand(*z.shape[:2], -1, -1)
        residual, slope = self.sheet.residual(z)
        rho = torch.linalg.solve_triangular(self.factor, residual.unsqueeze(-1), upper=False).squeeze(-1)
        return rho, torch.linalg.solve_triangular(self.factor, slope, upper=False)

    def solve(self, xi: Tensor) -> tuple[Tensor, Tensor]:
        """The z ``(K, n, d)`` with ρ(z) = ξ that Newton's method finds, and where it failed ``(K, n)``."""
        step = torch.linalg.solve_triangular(self.factor.mT, xi.unsqueeze(-1), upper=True).squeeze(-1)
        z = self.mode + step
        for _ in range(NEWTON_STEPS):
            rho, slope = self.straighten(z)
            off = (rho - xi).abs().amax(-1)
            if bool((off < 1e-9).all()):
                break
            step, _ = torch.linalg.solve_ex(slope, (xi - rho).unsqueeze(-1))
            z = z + step.squeeze(-1)
        else:
            off = (self.straighten(z)[0] - xi).abs().amax(-1)
        return z, ~(off < 1e-6)  # not ≥: NaN has failed too

    def log_density(self, z: Tensor, own: Tensor) -> Tensor:
        """The log density of the hill's draws at z: ``(K, n)``; −∞ where none of them can be z.

        Args:
            z: ``(K, n, d)``.
            own: ``(K, n)``, the draws that this hill made, so that Newton's steps do lead back to them.
        """
        rho, slope = self.straighten(z)
        log_density: Tensor = log_student(rho, DEGREES_OF_FREEDOM) + torch.linalg.slogdet(slope).logabsdet
        if bool(own.all()):
            return log_density
        draw, row = (~own).nonzero(as_tuple=True)
        back, failed = self[row].solve(rho[draw, row].unsqueeze(0))
        elsewhere = ~((back[0] - z[draw, row]).abs().amax(-1) < 1e-4)
        impossible = torch.zeros_like(own)
        impossible[draw, row] = failed[0] | elsewhere
        return log_density.masked_fill(impossible, -math.inf)


class Hills:
    """Randomise, then optimise (Bardsley et al. 2014): draws that follow a curved posterior of z.

    The posterior of z given y is exp(−½‖F(z)‖²) with F(z) = (z, Bφ(z) − y). Where some direction of z is
    known sharply and the trunk bends, it is a thin curved sheet, which no Gaussian or t around its mode
    covers. With J_F = QR at a mode, the map ρ(z) = QᵀF(z) = L⁻¹(z + Gφ(z) − c) straightens it: a draw ξ of a
    Student t is mapped back by Newton steps on ρ(z) = ξ, and has the density

        q(z) = t_ν(ρ(z)) |det L⁻¹(I + G ∂φ/∂z)|        where those steps lead from ρ(z) back to z, else 0.

    Draws that Newton's method fails on have weight 0, which keeps the estimate unbiased. Without a sheet ρ is
    the tangent's, Lᵀ(z − mode), which covers a curved sheet less well: bounds stay bounds, further apart.

    Args:
        hills: At least one; a few per cent of the prior are mixed with them.
    """

    def __init__(self, hills: Sequence[Hill]) -> None:
        self._hills = hills

    def draw(self, draws: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """K draws for each row, ``(K, n, d)``, and their log density; ∞ where Newton's method failed."""
        rows, d = self._hills[0].mode.shape
        xi, prior = student_draws((draws, rows, d), DEGREES_OF_FREEDOM, generator)
        which = torch.rand(draws, rows, generator=generator, dtype=torch.float64)
        z, failed = self._hills[0].solve(xi)
        origin = torch.zeros(draws, rows, dtype=torch.long).masked_fill(failed, FAILED)
        for number, hill in enumerate(self._hills[1:], start=1):
            other, other_failed = hill.solve(xi)
            here = which < hill.log_share.exp()
            z = torch.where(here.unsqueeze(-1), other, z)
            origin[here] = number
            origin[here & other_failed] = FAILED
        from_prior = torch.rand(draws, rows, generator=generator, dtype=torch.float64) < PRIOR_SHARE
        fresh = torch.randn(prior.shape, generator=generator, dtype=torch.float64)
        z = torch.nan_to_num(torch.where(from_prior.unsqueeze(-1), fresh, z))
        origin = origin.masked_fill(from_prior, FROM_PRIOR)
        return z, self._log_density(z, origin).masked_fill(origin == FAILED, math.inf)

    def log_density(self, z: Tensor) -> Tensor:
        """The log density at any z ``(K, n, d)``: ``(K, n)``."""
        return self._log_density(z, torch.full(z.shape[:2], FROM_PRIOR))

    def _log_density(self, z: Tensor, origin: Tensor) -> Tensor:
        log_prior = -0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)
        total = log_prior + math.log(PRIOR_SHARE)
        for number, hill in enumerate(self._hills):
            share = hill.log_share + math.log1p(-PRIOR_SHARE)
            total = torch.logaddexp(total, share + hill.log_density(z, origin == number))
        return total
