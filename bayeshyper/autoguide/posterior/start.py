r"""Where training starts: Gaussians of high ELBO that a look at the model's scores finds.

First-order steps are slow where latents are of different scales, or correlated, as the coefficients of raw
covariates are. So the guide starts in the coordinates of a Gaussian N(m, C), found in three ways, none of
which needs more than the scores g(u) = ∇ log p(u, data):

1. around the initial values, C = (initial scale)² I;
2. along L-BFGS's paths to modes, from the initial values and from others around them: each step gives an
   estimate of C (Zhang et al. 2022, Pathfinder, arXiv 2108.03782). The mode itself may be no place to be, as
   in a funnel, whose density has no maximum;
3. from the best of those, by matching scores (Cai et al. 2024, batch and match, arXiv 2402.14758): with B
   draws of the present Gaussian, their mean z̄ and covariance Z, and the mean ḡ and covariance Γ of their
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

__all__ = ["StartingGaussian", "find_starts", "starts_around"]

Density = Callable[[Tensor], Tensor]
"""``(S, D)`` to ``(S,)``."""

# Paths for one start, and more for each further one; steps of L-BFGS at most.
PATHS, LONGEST_PATH = 4, 200
# Further starts are so far from the initial values, as those of Stan's chains are.
SPREAD = 2.0
# Draws that an ELBO is judged by, and steps and draws of score matching.
JUDGED_BY = 32
MATCHES, DRAWS = 60, 16
# A start whose ELBO is lower than the best by more nats than these is of a mode without weight.
NEGLIGIBLE = 10.0


@dataclass(frozen=True)
class StartingGaussian:
    """N(mean, scale² factor factorᵀ).

    Args:
        mean: ``(D,)``.
        factor: Lower triangular, ``(D, D)``; None for the identity, which need not be stored.
        scale: Of all directions.
    """

    mean: Tensor
    factor: Tensor | None = None
    scale: float = 1.0

    def at(self, noise: Tensor) -> Tensor:
        """Draws, from standard Normal ones ``(S, D)``."""
        return self.mean + self.scale * (noise if self.factor is None else noise @ self.factor.mT)

    @torch.no_grad()
    def elbo(self, log_joint: Density, noise: Tensor) -> float:
        """E[log p(u, data)] + H[N], by given noise ``(S, D)``; −∞ where it is not finite."""
        entropy = len(self.mean) * (0.5 * math.log(2 * math.pi * math.e) + math.log(self.scale))
        if self.factor is not None:
            entropy += self.factor.diagonal().log().sum().item()
        value = _safely(log_joint, self.at(noise)).mean().item() + entropy
        return value if math.isfinite(value) else -math.inf


def find_starts(
    log_joint: Density,
    mean: Tensor,
    scale: float,
    count: int = 1,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[StartingGaussian]:
    """The best Gaussian, and further ones that are good as well, and as far from the others as there are.

    Args:
        log_joint: Differentiable.
        mean: The initial values, ``(D,)``.
        scale: The initial scale.
        count: How many; where there are not so many different ones, some occur again.
        seed: Of all draws: the same density has the same starts.
        progress: Called with how much is done, and of how much.

    Example:
        >>> variances = torch.diag(torch.tensor([1e6, 1.0]))
        >>> gaussian = torch.distributions.MultivariateNormal(torch.ones(2), variances)
        >>> [start] = find_starts(gaussian.log_prob, torch.zeros(2), 0.1)
        >>> bool((start.factor.diagonal() / torch.tensor([1e3, 1.0]) - 1).abs().max() < 0.2)
        True
    """
    generator = torch.Generator().manual_seed(seed)
    like = mean.detach()

    def normal(rows: int) -> Tensor:
        return torch.randn(rows, len(like), generator=generator, dtype=torch.float64).to(like)

    paths = PATHS + 2 * (count - 1)
    noise = normal(JUDGED_BY)
    found = []
    for number, around in enumerate(starts_around(like, scale, paths, seed=seed)):
        found.append(_best(log_joint, noise, [around, *_path(log_joint, around.mean)]))
        if progress is not None:
            progress(number + 1, paths + count)
    starts = []
    for number, start in enumerate(_apart(log_joint, noise, found, count)):
        starts.append(_best(log_joint, noise, [start, *_matches(log_joint, start, normal)]))
        if progress is not None:
            progress(paths + number + 1, paths + count)
    return starts


def starts_around(mean: Tensor, scale: float, count: int, *, seed: int = 0) -> list[StartingGaussian]:
    """The initial values, and others around them in opposite pairs, each with the initial scale.

    Args:
        mean: The initial values, ``(D,)``.
        scale: The initial scale.
        count: How many.
        seed: Of where the others are.
    """
    generator = torch.Generator().manual_seed(seed)
    one_side = SPREAD * (2.0 * torch.rand(count // 2, len(mean), generator=generator).to(mean) - 1.0)
    others = torch.stack([one_side, -one_side], dim=1).flatten(0, 1)[: count - 1]
    center = mean.detach()
    return [StartingGaussian(place, scale=scale) for place in (center, *(center + others))]


def _apart(
    log_joint: Density, noise: Tensor, found: list[StartingGaussian], count: int
) -> list[StartingGaussian]:
    """The best, then again and again, of those that are not negligible, the one furthest from all chosen.

    Distances are in the standard deviations of those chosen already.
    """
    elbos = [start.elbo(log_joint, noise) for start in found]
    good = [start for start, elbo in zip(found, elbos, strict=True) if elbo >= max(elbos) - NEGLIGIBLE]
    chosen = [found[elbos.index(max(elbos))]]
    while len(chosen) < count:
        chosen.append(max(good, key=lambda start: min(_distance(start, other) for other in chosen)))
    return chosen


def _distance(start: StartingGaussian, other: StartingGaussian) -> float:
    """How far one's mean is from another's, in that one's standard deviations."""
    offset = ((start.mean - other.mean) / other.scale).unsqueeze(-1)
    if other.factor is not None:
        offset = torch.linalg.solve_triangular(other.factor, offset, upper=False)
    return float(offset.norm())


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
    log_joint: Density, start: StartingGaussian, normal: Callable[[int], Tensor]
) -> Iterator[StartingGaussian]:
    """Gaussians whose scores come ever closer to the density's; in float64, whatever the density's type."""
    mean = start.mean.double()
    identity = torch.eye(len(mean), dtype=mean.dtype, device=mean.device)
    factor = start.scale * (identity if start.factor is None else start.factor.double())
    for count in range(1, MATCHES + 1):
        draws = mean + normal(DRAWS).double() @ factor.mT
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
