r"""Where training starts: the Gaussian of highest ELBO that a look at the model's scores finds.

First-order steps are slow where latents are of different scales, or correlated, as the coefficients of raw
covariates are. So the guide starts in the coordinates of a Gaussian N(m, C), found in three ways, none of
which needs more than the scores g(u) = ∇ log p(u, data):

1. around the initial values, C = (initial scale)² I;
2. along L-BFGS's path to a mode, which gives an estimate of C at every step (Zhang et al. 2022, Pathfinder,
   arXiv 2108.03782): the mode itself may be no place to be, as in a funnel, whose density has no maximum;
3. from the better of the two, by matching scores (Cai et al. 2024, batch and match, arXiv 2402.14758): with
   B draws of the present Gaussian, their mean z̄ and covariance Z, and the mean ḡ and covariance Γ of their
   scores, a step of size λ is

       U = λΓ + λ/(1+λ) ḡḡᵀ,   V = C + λZ + λ/(1+λ) (m − z̄)(m − z̄)ᵀ
       C ← 2V (I + (I + 4UV)^½)⁻¹,   m ← m/(1+λ) + λ/(1+λ) (Cḡ + z̄)

   whose fixed point, where the scores are C⁻¹(m − u) on average, is exact for a Gaussian posterior.

All candidates are held against each other by the ELBO on the same standard Normal draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

__all__ = ["StartingGaussian", "find_start"]

Density = Callable[[Tensor], Tensor]
"""``(S, D)`` to ``(S,)``."""

# Steps of L-BFGS at most, draws that an ELBO is judged by, and steps and draws of score matching.
LONGEST_PATH = 200
JUDGED_BY = 32
MATCHES, DRAWS = 60, 16


@dataclass(frozen=True)
class StartingGaussian:
    """N(mean, factor factorᵀ).

    Args:
        mean: ``(D,)``.
        factor: Lower triangular, ``(D, D)``.
    """

    mean: Tensor
    factor: Tensor

    @classmethod
    def around(cls, mean: Tensor, scale: float) -> StartingGaussian:
        """With one scale for every direction."""
        return cls(mean, scale * torch.eye(len(mean), dtype=mean.dtype, device=mean.device))

    def at(self, noise: Tensor) -> Tensor:
        """Draws, from standard Normal ones ``(S, D)``."""
        return self.mean + noise @ self.factor.mT

    @torch.no_grad()
    def elbo(self, log_joint: Density, noise: Tensor) -> float:
        """E[log p(u, data)] + H[N], by given noise ``(S, D)``; −∞ where it is not finite."""
        entropy = 0.5 * len(self.mean) * math.log(2 * math.pi * math.e) + self.factor.diagonal().log().sum()
        value = (_safely(log_joint, self.at(noise)).mean() + entropy).item()
        return value if math.isfinite(value) else -math.inf


def find_start(log_joint: Density, mean: Tensor, scale: float, *, seed: int = 0) -> StartingGaussian:
    """The best of three Gaussians; deterministic, given the density.

    Args:
        log_joint: Differentiable.
        mean: The initial values, ``(D,)``.
        scale: The initial scale.
        seed: Of the draws.

    Example:
        >>> variances = torch.diag(torch.tensor([1e6, 1.0]))
        >>> gaussian = torch.distributions.MultivariateNormal(torch.ones(2), variances)
        >>> start = find_start(gaussian.log_prob, torch.zeros(2), 0.1)
        >>> bool((start.factor.diagonal() / torch.tensor([1e3, 1.0]) - 1).abs().max() < 0.2)
        True
    """
    generator = torch.Generator().manual_seed(seed)
    like = mean.detach()
    noise = torch.randn(JUDGED_BY, len(mean), generator=generator, dtype=torch.float64).to(like)
    best = _best(log_joint, noise, [StartingGaussian.around(like, scale), *_path(log_joint, like)])
    return _best(log_joint, noise, [best, *_matches(log_joint, best, generator)])


def _best(log_joint: Density, noise: Tensor, candidates: list[StartingGaussian]) -> StartingGaussian:
    """The one of highest ELBO; the first of all that are equal."""
    return max(candidates, key=lambda candidate: candidate.elbo(log_joint, noise))


def _path(log_joint: Density, mean: Tensor) -> Iterator[StartingGaussian]:
    """Gaussians along the way to a mode, of the inverse Hessian that BFGS's updates have made by then."""
    visited: list[tuple[Tensor, Tensor]] = []

    def surface(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        density, score = _scores(log_joint, torch.from_numpy(at).to(mean).unsqueeze(0))
        if not bool(torch.isfinite(density) & torch.isfinite(score).all()):
            return math.inf, np.zeros_like(at)
        return -density.item(), -score[0].double().cpu().numpy()

    def remember(at: NDArray[np.float64]) -> None:
        here = torch.from_numpy(at.copy()).to(mean)
        visited.append((here.double(), -_scores(log_joint, here.unsqueeze(0))[1][0].double()))

    start = mean.double().cpu().numpy()
    remember(start)
    options = {"maxiter": LONGEST_PATH, "maxcor": 30}
    minimize(surface, start, jac=True, method="L-BFGS-B", callback=remember, options=options)
    inverse = torch.eye(len(mean), dtype=torch.float64, device=mean.device)
    for number, ((before, slope_before), (here, slope)) in enumerate(pairwise(visited)):
        step, change = here - before, slope - slope_before
        along = step @ change
        if along > 1e-12 * change.square().sum():
            if number == 0:
                inverse = inverse * (along / change.square().sum())
            shift = torch.eye(len(step)).to(step) - torch.outer(step, change) / along
            inverse = shift @ inverse @ shift.mT + torch.outer(step, step) / along
        factor, failed = torch.linalg.cholesky_ex(inverse)
        if not failed:
            yield StartingGaussian((here - inverse @ slope).to(mean), factor.to(mean))


def _matches(
    log_joint: Density, start: StartingGaussian, generator: torch.Generator
) -> Iterator[StartingGaussian]:
    """Gaussians whose scores come ever closer to the density's; in float64, whatever the density's type."""
    mean, factor = start.mean.double(), start.factor.double()
    for count in range(1, MATCHES + 1):
        noise = torch.randn(DRAWS, len(mean), generator=generator, dtype=torch.float64).to(mean)
        draws = mean + noise @ factor.mT
        _, scores = _scores(log_joint, draws.to(start.mean))
        scores = scores.double()
        if not bool(torch.isfinite(scores).all()):
            return
        rate = DRAWS * len(mean) / count
        share = rate / (1.0 + rate)
        center, pull = draws.mean(0), scores.mean(0)
        steepness = rate * _covariance(scores) + share * torch.outer(pull, pull)
        width = factor @ factor.mT + rate * _covariance(draws)
        width = width + share * torch.outer(mean - center, mean - center)
        root, failed = torch.linalg.cholesky_ex(width)
        if failed:
            return
        # With V = RRᵀ and RᵀUR = QΛQᵀ, the new covariance is RQ 2/(1 + √(1 + 4Λ)) QᵀRᵀ.
        values, vectors = torch.linalg.eigh(root.mT @ steepness @ root)
        turned = root @ vectors
        covariance = (turned * (2.0 / (1.0 + (1.0 + 4.0 * values.clamp_min(0.0)).sqrt()))) @ turned.mT
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if failed:
            return
        mean = (1.0 - share) * mean + share * (covariance @ pull + center)
        yield StartingGaussian(mean.to(start.mean), factor.to(start.mean))


def _covariance(values: Tensor) -> Tensor:
    centered = values - values.mean(0)
    return centered.mT @ centered / len(values)


def _scores(log_joint: Density, at: Tensor) -> tuple[Tensor, Tensor]:
    """The density ``(S,)`` and its gradient ``(S, D)``; not finite where there is none."""
    at = at.detach().requires_grad_()
    with torch.enable_grad():
        density = _safely(log_joint, at)
        if not density.requires_grad:
            return density, torch.full_like(at, math.nan)
        (gradient,) = torch.autograd.grad(density.sum(), at)
    return density.detach(), gradient


def _safely(log_joint: Density, at: Tensor) -> Tensor:
    """The density, or −∞ where a distribution refuses its parameters there."""
    try:
        return log_joint(at)
    except ValueError:
        return torch.full_like(at[:, 0], -math.inf)
