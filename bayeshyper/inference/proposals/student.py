"""Student's t in d dimensions, with tails heavier than those of any posterior of z."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["log_student", "student_draws"]


def student_draws(
    shape: tuple[int, ...], degrees: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draws of a standard t ``(…, d)``, and the Normal ones that they are made of.

    A t is a Normal over an independent √(χ²/ν); for even ν, χ² is a sum of ν/2 exponentials.
    """
    normal = torch.randn(shape, generator=generator, dtype=torch.float64)
    halves = (int(degrees / 2), *shape[:-1])
    uniforms = torch.rand(halves, generator=generator, dtype=torch.float64)
    chi_square = -2.0 * uniforms.clamp_min(1e-300).log().sum(0)
    return normal / (chi_square / degrees).sqrt().unsqueeze(-1), normal


def log_student(x: Tensor, degrees: float) -> Tensor:
    """The log density of a standard t at x ``(…, d)``: ``(…,)``."""
    d = x.shape[-1]
    return (
        math.lgamma((degrees + d) / 2)
        - math.lgamma(degrees / 2)
        - 0.5 * d * math.log(degrees * math.pi)
        - 0.5 * (degrees + d) * torch.log1p(x.square().sum(-1) / degrees)
    )
