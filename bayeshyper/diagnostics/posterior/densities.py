"""log p(θ, y) and log q(θ) at weight draws of one restart: what importance weights are made of."""

from __future__ import annotations

import dataclasses
from typing import Literal

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork, LinearHead, WeightDraw
from bayeshyper.inference import log_density
from bayeshyper.inference.entropies import LinearizedEntropy
from bayeshyper.models import BayesianModel

__all__ = ["DensitySource", "density_source", "draw_density", "log_likelihood"]

DensitySource = Literal[
    "exact", "linearised", "importance-sampled lower bound", "importance-sampled upper bound"
]
"""Where log q(θ) comes from: a closed form where the noise enters linearly; the Gaussian of the tangent at
each draw; or importance sampling over the noise z, which is consistent, and below log q in expectation; or
above it where the draw's own z is counted in, as for weights that are unbiased."""

# Numbers that the Jacobians of a chunk of draws may hold at once: 32 MB of float64.
NUMBERS_AT_ONCE = 2**22


def density_source(member: Hypernetwork, *, sampled: bool = True) -> DensitySource:
    """The best that is known of one restart's log q; without ``sampled`` the best that is cheap.

    Where σ varies with z nothing is: a tangent of the means knows nothing of what the scales tell.
    """
    affine = member.linear and getattr(member.trunk, "hidden", None) == ()
    if member.trunk.noise_dim == 0 or affine:
        return "exact"
    return "importance-sampled lower bound" if sampled or member.varying is not None else "linearised"


@torch.no_grad()
def draw_density(
    member: Hypernetwork,
    draw: WeightDraw,
    source: DensitySource,
    *,
    inner: int = 64,
    generator: torch.Generator | None = None,
) -> Tensor:
    """log q(θ) at a restart's own draws ``(1, S, D)``, made with their Jacobians: ``(S,)`` in float64.

    Args:
        member: One restart.
        draw: Its draws.
        source: See `DensitySource`.
        inner: Importance draws of z for each θ.
        generator: Where those come from.
    """
    if source == "importance-sampled lower bound":
        return log_density(member, draw.weights[0], inner=inner, generator=generator)
    estimator = LinearizedEntropy(member)
    numbers = 2 * member.size * max(1, member.trunk.noise_dim)  # a Jacobian, and its copy in float64
    chunk = max(1, NUMBERS_AT_ONCE // (1 if isinstance(member.head, LinearHead) else numbers))
    parts = [estimator.log_density(member, part)[0] for part in _chunks(draw, chunk)]
    return torch.cat(parts).double()


@torch.no_grad()
def log_likelihood(model: BayesianModel, weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """log p(y | x, θ) of all rows together, ``(S,)`` in float64, in chunks of rows and draws."""
    total = torch.zeros(len(weights), dtype=torch.float64)
    for rows_x, rows_y in zip(x.split(2048), y.split(2048), strict=True):
        parts = [model.log_likelihood(part, rows_x, rows_y).double().sum(1) for part in weights.split(64)]
        total = total + torch.cat(parts)
    return total


def _chunks(draw: WeightDraw, most: int) -> list[WeightDraw]:
    """The draws, at most so many at a time."""
    return [
        dataclasses.replace(
            draw,
            **{
                name: getattr(draw, name)[:, start : start + most]
                for name in ("weights", "mean", "jacobian", "z", "features")
            },
        )
        for start in range(0, draw.weights.shape[1], most)
    ]
